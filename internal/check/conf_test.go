package check

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

const (
	isOK    = enforcer.OK
	isSkip  = enforcer.Skip
	isWarn  = enforcer.Warn
	isFault = enforcer.Fault
)

// breakage is one thing that is wrong and the row that must report it; every other row must
// be without fault.
type breakage struct {
	name    string
	broken  func(*place)
	verdict enforcer.Verdict
	what    string
	text    string // in the finding
	mend    string // in the remedy
}

func (b breakage) run(t *testing.T) {
	t.Run(b.name, func(t *testing.T) {
		p := newPlace(t)
		b.broken(p)
		want(t, p.look(), b.verdict, b.what, b.text, b.mend)
	})
}

// swap is a breakage of ossec.conf by putting one text in the place of another.
func swap(old, replacement string) func(*place) {
	return func(p *place) { p.conf(old, replacement) }
}

const (
	opening    = "  <active-response>\n    <command>firewall-drop</command>"
	rules      = "<rules_id>5712,5720</rules_id>"
	endOfBlock = "  </active-response>\n"
	withRemote = "</global><remote><connection>secure</connection></remote>"
	someRules  = "  <rules>\n    <include>ossec_rules.xml</include>\n  </rules>\n"
)

func TestConfiguration(t *testing.T) {
	for _, b := range []breakage{
		{"no ossec.conf", func(p *place) {
			p.remove("var/ossec/etc/ossec.conf")
		}, isFault, "ossec.conf", "without which no daemon starts", "put it back"},
		{"a folder", func(p *place) {
			p.remove("var/ossec/etc/ossec.conf")
			p.write("var/ossec/etc/ossec.conf/x", "")
		}, isFault, "ossec.conf", "is a directory", "plain file"},
		{"too large", func(p *place) {
			p.check(os.Truncate(p.path("var/ossec/etc/ossec.conf"), 1<<30))
		}, isFault, "ossec.conf", "ossec.conf: larger than 32768 KiB", "/ossec.conf smaller"},
		{"empty", func(p *place) { p.write("var/ossec/etc/ossec.conf", "\n") }, isFault, "ossec.conf", "has nothing in it", "write it anew"},
		{"a tag left open", swap("</global>\n", "<stray>&\n</global>\n"), isFault, "ossec.conf", "ossec.conf:5: not well-formed: <stray> is never closed", "ossec.conf:5"},
		{"a byte order mark", swap("<ossec_config>\n  <global>", "\ufeff<ossec_config>\n  <global>"), isWarn, "ossec.conf",
			"begins with a byte order mark, which older daemons refuse", `sed -i '1s/^\xef\xbb\xbf//' `},
		{"an XML declaration", swap("<ossec_config>\n  <global>", "<?xml version=\"1.0\"?>\n<ossec_config>\n  <global>"), isWarn, "ossec.conf",
			"begins with an XML declaration, which older daemons refuse", "sed -i '1s/<?[^>]*?>//' "},

		{"disabled", swap(opening, "<active-response><disabled>yes</disabled></active-response>"+opening), isFault,
			"active response", "ossec.conf:13: active response is disabled", "<disabled>no</disabled> in "},
		{"disabled in a block", swap(rules, rules+"<disabled>YES</disabled>"), isFault, "active response", "disabled on this host", "ossec-control restart"},
		{"disabled where it is not read", swap(endOfBlock, endOfBlock+"<active-response><disabled>yes</disabled></active-response>"), isWarn,
			"active response", "has no effect there: execd reads it from the first", "move <disabled>"},
		{"not disabled where it is not read", swap(endOfBlock, endOfBlock+"<active-response><command>firewall-drop</command><location>local</location><timeout>600</timeout><disabled>no</disabled></active-response>"), isOK,
			"active response", "not disabled", ""},
		{"disabled in the second root", swap("</ossec_config>\n", "</ossec_config>\n<ossec_config><active-response><disabled>yes</disabled></active-response></ossec_config>\n"), isFault,
			"active response", "disabled on this host", "<disabled>no</disabled>"},
		{"disabled maybe", swap(rules, rules+"<disabled>true</disabled>"), isFault, "active response", `says "true", which is neither yes nor no`, "<disabled>no</disabled>"},

		{"a second rules", swap("</ossec_config>\n", someRules+"</ossec_config>\n<ossec_config>\n"+someRules+"</ossec_config>\n"), isFault,
			"rules", "ossec.conf:25: a second <rules>: OSSEC forgets what the one at line 20 includes, and does not start", "move what is in it to the end of the <rules> at "},
		{"a second rules in a comment, and empty ones", swap("</ossec_config>\n", someRules+"<rules/><rules></rules><!-- "+someRules+" --></ossec_config>\n"), isOK, "rules", "no second <rules>", ""},

		{"a lone block", swap(opening, "<active-response><disabled>no</disabled></active-response>"+opening), isFault,
			"blocks", "a lone <disabled>no</disabled> is refused", "take the block out"},
		{"no command in a block", swap(endOfBlock, endOfBlock+"<active-response><location>local</location></active-response>\n"), isFault,
			"blocks", "without <command> is refused", "add <command>"},
		{"no location", swap("<location>local</location>\n    <rules_id>", "<rules_id>"), isFault, "blocks", "without <location>", "add <location>local"},
		{"no such location", swap("<location>local</location>\n    <rules_id>", "<location>here</location><rules_id>"), isFault, "blocks", `<location> says "here"`, "local, server"},
		{"no agent", swap("<location>local</location>\n    <rules_id>", "<location>defined-agent</location><rules_id>"), isFault, "blocks", "without <agent_id>", "<agent_id>001"},
		{"an alert frees", unbanOn("<rules_id>5712</rules_id>"), isWarn,
			"blocks", `an alert calls "unban", so an attacker who raises it frees himself`, "<level>20</level> alone"},
		{"a high alert frees", unbanOn("<level>12</level>"), isWarn, "blocks", `an alert calls "unban"`, ""},
		{"a person frees", unbanOn("<level>20</level>"), isOK, "blocks", "with all that OSSEC wants", ""},

		{"wrong order", func(p *place) {
			p.conf("    <name>firewall-drop</name>", "    <name>firewall-drop-2</name>")
			p.conf(endOfBlock, endOfBlock+"<command><name>firewall-drop</name><executable>firewall-drop.sh</executable><expect>srcip</expect><timeout_allowed>yes</timeout_allowed></command>\n<active-response><command>firewall-drop-2</command><location>local</location><timeout>600</timeout></active-response>")
		}, isFault, "order", `the <command> "firewall-drop" stands behind its <active-response>`, "above line 14"},
		{"no such command", swap(endOfBlock, endOfBlock+"<active-response><command>firewal-drop</command><location>local</location></active-response>\n"), isFault,
			"order", `there is no <command> "firewal-drop"`, "<name>firewal-drop</name>"},

		{"a list of levels", swap(rules, "<level>8,9,10</level>"), isFault, "level", `says "8,9,10"`, "<level>8</level>; for an upper bound"},
		{"too high a level", swap(rules, "<level>21</level>"), isFault, "level", `says "21"`, "<level>8</level>"},
		{"no number", swap(rules, "<level>high</level>"), isFault, "level", `says "high"`, "<level>8</level>"},
		{"below zero", swap(rules, "<level>-1</level>"), isFault, "level", `says "-1"`, "<level>8</level>"},
		{"level or rules", swap(rules, rules+"<level>10</level>"), isWarn, "level", "<level>10</level> or <rules_id>: either is enough", "take one"},

		{"a newline in the list", swap(rules, "<rules_id>5712,\n  5720</rules_id>"), isFault, "rules_id", `"5720" is not read`, "<rules_id>5712,5720</rules_id>"},
		{"a tab in the list", swap(rules, "<rules_id>5712,\t5720</rules_id>"), isFault, "rules_id", `"5720" is not read`, "<rules_id>5712,5720</rules_id>"},
		{"a newline at the head", swap(rules, "<rules_id>\n5712</rules_id>"), isFault, "rules_id", `"5712" is not read`, "<rules_id>5712</rules_id>"},
		{"a name in the list", swap(rules, "<rules_id>5712,sshd</rules_id>"), isFault, "rules_id", `has "sshd" in it`, "numbers"},

		{"minutes", swap("<timeout>600</timeout>", "<timeout>10m</timeout>"), isFault, "timeout", `says "10m", which OSSEC reads as 10 s`, "<timeout>600</timeout>"},
		{"timeout not allowed", func(p *place) {
			p.conf("<timeout_allowed>yes</timeout_allowed>", "<timeout_allowed>no</timeout_allowed>")
			p.write("var/ossec/etc/shared/ar.conf", "firewall-drop0 - firewall-drop.sh - 0\n")
		}, isFault, "timeout", "error 1305", "<timeout_allowed>yes</timeout_allowed> at "},

		{"repeats in the second block", swap(endOfBlock, endOfBlock+"<active-response><command>firewall-drop</command><location>local</location><timeout>600</timeout><repeated_offenders>30,60</repeated_offenders></active-response>\n"), isFault,
			"repeated_offenders", "has no effect there", "move it to the first"},
		{"repeats begin with 0", swap(rules, rules+"<repeated_offenders>0,30</repeated_offenders>"), isWarn, "repeated_offenders", "begins with 0, which turns it off", "above 0"},
		{"six repeats", swap(rules, rules+"<repeated_offenders>1,2,3,4,5,6</repeated_offenders>"), isWarn, "repeated_offenders", "has 6 values", "five"},
		{"repeats with a unit", swap(rules, rules+"<repeated_offenders>30m</repeated_offenders>"), isFault, "repeated_offenders", `"30m" in it`, "30,60,120"},
		{"good repeats", swap(rules, rules+"<repeated_offenders>30, 60,120</repeated_offenders>"), isOK, "repeated_offenders", "minutes on this host", ""},
	} {
		b.run(t)
	}
}

func TestCommands(t *testing.T) {
	for _, b := range []breakage{
		{"no account expected", func(p *place) { p.subject.Hold.Kind.Accounts = true }, isFault, "commands", "does not expect user", "<expect>user</expect> at "},
		{"an account expected", func(p *place) {
			p.subject.Hold.Kind.Accounts = true
			p.conf("<expect>srcip</expect>", "<expect>user</expect>")
		}, isOK, "commands", `is run by the <command> "firewall-drop"`, ""},
		{"no address expected", swap("<expect>srcip</expect>", "<expect></expect>"), isFault, "commands", "does not expect srcip", "<expect>srcip</expect> at "},
		{"a second one, not used", swap("<command>\n    <name>", "<command><name>web-attack-block</name><executable>custom-firewall-drop.sh</executable><expect>srcip</expect></command>\n<command>\n    <name>"), isWarn,
			"commands", `no <active-response> uses the <command> "web-attack-block"`, "<command>web-attack-block</command>"},
	} {
		if b.name == "a second one, not used" {
			broken := b.broken
			b.broken = func(p *place) {
				broken(p)
				p.link("firewall-drop", "var/ossec/active-response/bin/custom-firewall-drop.sh")
			}
		}
		b.run(t)
	}

	t.Run("no active-response", func(t *testing.T) {
		p := newPlace(t)
		p.conf("<command>firewall-drop</command>", "<command>other</command>")
		p.conf("<command>\n", "<command><name>other</name><executable>other.sh</executable><timeout_allowed>yes</timeout_allowed></command>\n<command>\n")
		p.write("var/ossec/active-response/bin/other.sh", "")
		want(t, p.look(), isFault, "commands", `no <active-response> uses the <command> "firewall-drop"`, "<active-response><command>firewall-drop</command>")
	})
	t.Run("no active-response on Wazuh", func(t *testing.T) {
		p := newPlace(t)
		p.conf("<command>firewall-drop</command>", "<command>other</command>")
		p.conf("<command>\n", "<command><name>other</name><executable>other.sh</executable><timeout_allowed>yes</timeout_allowed></command>\n<command>\n")
		p.write("var/ossec/active-response/bin/other.sh", "")
		p.write("var/ossec/bin/wazuh-control", "")
		want(t, p.look(), isFault, "commands", `no <active-response> uses the <command> "firewall-drop"`, "<rules_id>5763</rules_id>")
	})
	t.Run("no command on Wazuh", func(t *testing.T) {
		p := newPlace(t)
		p.conf("<executable>firewall-drop.sh</executable>", "<executable>other.sh</executable>")
		p.write("var/ossec/active-response/bin/other.sh", "")
		p.write("var/ossec/bin/wazuh-control", "")
		want(t, p.look(), isFault, "commands", "has no <command> that runs firewall-drop",
			"<name>firewall-drop</name><executable>firewall-drop</executable><timeout_allowed>yes</timeout_allowed></command> <active-response>")
	})
	t.Run("no command", func(t *testing.T) {
		p := newPlace(t)
		p.conf("<executable>firewall-drop.sh</executable>", "<executable>other.sh</executable>")
		p.write("var/ossec/active-response/bin/other.sh", "")
		want(t, p.look(), isFault, "commands", "has no <command> that runs firewall-drop", "<executable>firewall-drop.sh</executable>")
	})
	t.Run("nothing at all", func(t *testing.T) {
		p := newPlace(t)
		p.write("var/ossec/etc/ossec.conf", `<ossec_config><localfile><log_format>syslog</log_format><location>logs/*.log</location></localfile>
<command><name>f</name><executable>firewall-drop</executable><expect>srcip</expect></command></ossec_config>`)
		rows := p.look()
		for _, what := range []string{"blocks", "commands"} {
			found := false
			for _, f := range rows {
				found = found || f.What == what && f.Verdict == isFault
			}
			if !found {
				t.Errorf("no fault %s in %+v", what, rows)
			}
		}
	})
	t.Run("a link of another name is ours", func(t *testing.T) {
		p := newPlace(t)
		p.conf("firewall-drop.sh", "block-them")
		p.link("firewall-drop", "var/ossec/active-response/bin/block-them")
		p.write("var/ossec/etc/shared/ar.conf", "firewall-drop600 - block-them - 600\n")
		want(t, p.look(), isOK, "commands", `is run by the <command> "firewall-drop"`, "")
	})
	t.Run("Wazuh expects nothing", func(t *testing.T) {
		p := newPlace(t)
		p.conf("<expect>srcip</expect>", "")
		p.write("var/ossec/bin/wazuh-control", "")
		want(t, p.look(), isOK, "commands", "is run by", "")
	})
}

func TestSettings(t *testing.T) {
	for _, b := range []breakage{
		{"an unknown key", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", "[whitelist]\nlopback = true\n")
		}, isFault, "active-response.toml", `active-response.toml:2: whitelist.lopback: unknown key; did you mean "loopback"?`, `write "loopback" in `},
		{"a bad value", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", "[firewall]\ntarget = \"ACCEPT\"\n")
		}, isFault, "active-response.toml", `firewall.target: "ACCEPT" is not one of`, "active-response.toml:2"},
		{"no TOML", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", "[whitelist\n")
		}, isFault, "active-response.toml", "active-response.toml:1: expected", "correct "},
		{"too large", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", strings.Repeat("#\n", 1<<20))
		}, isFault, "active-response.toml", "file too large", "/active-response.toml smaller, or remove it"},
		{"a pipe where others can write", func(p *place) {
			p.check(errors.Join(os.Chmod(p.path("var/ossec/etc"), 0o770),
				syscall.Mkfifo(p.path("var/ossec/etc/active-response.toml"), 0o660)))
		}, isFault, "active-response.toml", "is no plain file", "var/ossec/etc/active-response.toml a plain file"},
	} {
		b.run(t)
	}
}

func TestWhiteList(t *testing.T) {
	entry := func(text string) func(*place) {
		return swap("192.168.1.0/24", text)
	}
	for _, b := range []breakage{
		{"a dotted mask", entry("10.0.0.0/255.0.0.0"), isWarn, "white_list", `OSSEC itself takes "10.0.0.0/255.0.0.0" for a host name`, ": 10.0.0.0/8"},
		{"a star", entry("10.1.2.*"), isWarn, "white_list", "ossec.conf:4: OSSEC itself takes", ": 10.1.2.0/24"},
		{"a list", entry("10.0.0.1, 10.0.0.2"), isWarn, "white_list", "OSSEC itself", "one to each <white_list>: 10.0.0.1, 10.0.0.2"},
		{"localhost", entry("localhost"), isWarn, "white_list", "OSSEC itself", "127.0.0.0/8, ::1"},
		{"localhost as OSSEC is installed", entry("localhost.localdomain"), isOK, "white_list", "beside what is built in: 2", ""},
		{"localhost as Wazuh is installed", entry("^localhost.localdomain$"), isOK, "white_list", "beside what is built in: 2", ""},
		{"an address between anchors", entry("^10.0.0.1$"), isWarn, "white_list", "OSSEC itself takes", ": 10.0.0.1"},
		{"a name between anchors", entry("^office.example.org$"), isWarn, "white_list", `OSSEC itself takes "^office.example.org$" for a host name`, "its addresses"},
		{"a name between anchors that nobody knows", entry("^offfice.example.org$"), isWarn, "white_list", `the host name "offfice.example.org" has no address`, "its addresses"},
		{"anchors around what is not understood", entry("^(a).example.org$"), isFault, "white_list", "means no address", "10.0.0.0/8"},
		{"a pattern", entry("^10."), isWarn, "white_list", `OSSEC itself takes "^10." for a host name`, ": 10.0.0.0/8"},
		{"too many bits", entry("10.0.0.0/33"), isFault, "white_list", `entry "10.0.0.0/33"`, "10.0.0.0/8 there"},
		{"an exception", entry("!10.0.0.1"), isFault, "white_list", "exceptions with ! are not known", "take it out"},
		{"empty", entry(""), isWarn, "white_list", "an empty <white_list>", "take it out"},
		{"everything", entry("0.0.0.0/0"), isFault, "white_list", "covers every address", "take it out"},
		{"everything of IPv6", entry("::/0"), isFault, "white_list", "covers every address", "take it out"},
		{"half of everything", entry("128.0.0.0/1"), isWarn, "white_list", "a large part", "networks"},
		{"outside global", swap("</global>", "</global><syslog_output><white_list>10.0.0.1</white_list></syslog_output>"), isWarn, "white_list", "is not in <global>", "into <global>"},
		{"everything in the settings", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", "[whitelist]\nentries = [\"::/0\"]\n")
		}, isFault, "white_list", "active-response.toml: whitelist.entries: the entry \"::/0\" covers every address", "take it out"},
		{"a broken file", func(p *place) {
			p.write("var/ossec/etc/whitelist.d/office", "# ours\n10.0.0.1\none two\n")
		}, isFault, "white_list", "whitelist.d/office:3: ", "take it out"},
		{"everything in a file", func(p *place) {
			p.write("var/ossec/etc/whitelist.d/office", "0.0.0.0/0.0.0.0 # oops\n")
		}, isFault, "white_list", "whitelist.d/office:1: ", "take it out"},
		{"no such file", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", "[whitelist]\nfiles = [\"/nonexistent/list\"]\n")
		}, isFault, "white_list", "/nonexistent/list", "put it there, or take it out of whitelist.files"},
		{"a line that is too long", func(p *place) {
			p.write("var/ossec/etc/whitelist.d/office", strings.Repeat("9", 1<<17))
		}, isFault, "white_list", "line is longer than", "take out what is broken there, or too much"},
		{"a name", entry("office.example.org"), isWarn, "white_list", `OSSEC itself takes "office.example.org" for a host name and so ignores it; the responses of this suite honour it`, "its addresses"},
		{"a name that nobody knows", entry("offfice.example.org"), isWarn, "white_list",
			`ossec.conf:4: the host name "offfice.example.org" has no address now, and so protects nobody: no such host`, "write its addresses there"},
		{"one in a list", entry("10.0.0.1, offfice.example.org"), isWarn, "white_list", `the host name "offfice.example.org" has no address`, "write its addresses there"},
		{"one in active-response.toml", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", "[whitelist]\nentries = [\"offfice.example.org\", \"office.example.org\"]\n")
		}, isWarn, "white_list", `active-response.toml: whitelist.entries: the host name "offfice.example.org" has no address`, "its addresses"},
		{"one in a file", func(p *place) {
			p.write("var/ossec/etc/whitelist.d/office", "office.example.org\nofffice.example.org\n")
		}, isWarn, "white_list", `whitelist.d/office:2: the host name "offfice.example.org" has no address`, "its addresses"},
		{"a name server that does not answer", func(p *place) {
			entry("slow.example.org")(p)
			p.write("var/ossec/etc/active-response.toml", "[whitelist]\nresolve_timeout = \"1ms\"\n")
		}, isWarn, "white_list", `"slow.example.org" has no address now, and so protects nobody: no answer within 1ms`, "its addresses"},
		{"a name that is not asked for", func(p *place) {
			entry("office.example.org")(p)
			p.write("var/ossec/etc/active-response.toml", "[whitelist]\nresolve_names = false\n")
		}, isWarn, "white_list", `"office.example.org" has no address now, and so protects nobody: resolve_names is false`, "its addresses"},
		{"names that are known", func(p *place) {
			p.write("var/ossec/etc/whitelist.d/office", "office.example.org\n")
		}, isOK, "white_list", "beside what is built in: 3", ""},
	} {
		b.run(t)
	}

	for _, b := range []breakage{
		{"a dotted mask on Wazuh", entry("10.0.0.0/255.0.0.0"), isOK, "white_list", "built in: 2", ""},
		{"a pattern on Wazuh", entry("^10.|^192.168."), isOK, "white_list", "built in: 2", ""},
		{"a star on Wazuh", entry("10.1.2.*"), isWarn, "white_list",
			`Wazuh itself takes "10.1.2.*" for the text of an address, which none has`, ": 10.1.2.0/24"},
	} {
		broken := b.broken
		b.broken = func(p *place) {
			broken(p)
			p.write("var/ossec/bin/wazuh-control", "")
		}
		b.run(t)
	}
	t.Run("a name that maintain has not asked for", func(t *testing.T) {
		p := newPlace(t)
		p.unasked = true
		p.write("var/ossec/etc/whitelist.d/office", "Office.Example.org.\n")
		want(t, p.look(), isWarn, "white_list", `the host name "office.example.org" is 198.51.100.80 now, and protects nobody until that is remembered (never asked for before)`, "ossec-ar whitelist refresh")
	})
	t.Run("a name that is remembered while the name server is silent", func(t *testing.T) {
		p := newPlace(t)
		p.write("var/ossec/etc/whitelist.d/office", "office.example.org\n")
		p.made()
		p.env.Resolver, p.unasked = silence{}, true
		want(t, p.look(), isWarn, "white_list", `the host name "office.example.org" gets no answer (silence); 198.51.100.80 counts, as answered 1m0s ago`, "name server")
	})
	t.Run("age and result of each name, the manager's too", func(t *testing.T) {
		p := newPlace(t)
		p.conf("</global>", "</global><client><server-hostname>office.example.org</server-hostname></client>")
		p.process(103, "ossec-agentd", 6000)
		want(t, p.look(), isOK, "white_list", `the host name "office.example.org" is 198.51.100.80, as answered 1m0s ago`, "")
	})
	t.Run("own address", func(t *testing.T) {
		p := newPlace(t)
		p.write("var/ossec/etc/active-response.toml", "[whitelist]\nloopback = false\nown_addresses = false\n")
		p.conf("<white_list>127.0.0.1</white_list>", "")
		want(t, p.look(), isWarn, "own addresses", "127.0.0.1, an address of this host, is not covered", "own_addresses = true")
	})
	t.Run("on an agent only the suite reads it", func(t *testing.T) {
		p := newPlace(t)
		p.write("var/ossec/etc/ossec.conf", agentConf+"<ossec_config><global><white_list>10.0.0.*</white_list></global></ossec_config>")
		p.process(103, "ossec-agentd", 6000)
		want(t, p.look(), isOK, "white_list", "beside what is built in: 2", "")
	})
}

// unbanOn makes a home with unban, which runs when an alert is so.
func unbanOn(alert string) func(*place) {
	return func(p *place) {
		p.write("var/ossec/active-response/bin/unban.sh", "")
		p.chmod("var/ossec/active-response/bin/unban.sh", 0o755)
		p.conf(endOfBlock, endOfBlock+"<command><name>unban</name><executable>unban.sh</executable>"+
			"<expect>srcip</expect></command><active-response><command>unban</command>"+
			"<location>all</location>"+alert+"</active-response>\n")
	}
}
