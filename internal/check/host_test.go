package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/run"
)

const bin = "var/ossec/active-response/bin/"

// runningSince makes the daemons have started at a time.
func (p *place) runningSince(t time.Time) {
	const processStart = 60 // seconds after boot: see process
	p.write("proc/stat", fmt.Sprintf("btime %d\n", t.Unix()-processStart))
}

func TestExecutables(t *testing.T) {
	for _, b := range []breakage{
		{"missing", func(p *place) { p.remove(bin + "firewall-drop.sh") }, isFault, "executable", "bin/firewall-drop.sh is not there", "install.sh --home "},
		{"a link to nothing", func(p *place) {
			p.remove(bin + "firewall-drop.sh")
			p.link("gone", bin+"firewall-drop.sh")
		}, isFault, "executable", "bin/firewall-drop.sh is not there", "install.sh"},
		{"of another response", func(p *place) {
			p.conf("<command>\n", "<command><name>other</name><executable>othr.sh</executable></command>\n<command>\n")
			p.conf(endOfBlock, endOfBlock+"<active-response><command>other</command><location>local</location></active-response>\n")
		}, isFault, "executable", "othr.sh is not there", "correct <executable>"},
		{"of another response of the suite", func(p *place) {
			p.conf("<command>\n", "<command><name>other</name><executable>host-deny.sh</executable></command>\n<command>\n")
			p.conf(endOfBlock, endOfBlock+"<active-response><command>other</command><location>local</location></active-response>\n")
		}, isFault, "executable", "host-deny.sh is not there", "install.sh"},
		{"a path", func(p *place) {
			p.conf("<executable>firewall-drop.sh", "<executable>bin/firewall-drop.sh")
			p.write("var/ossec/etc/shared/ar.conf", "firewall-drop600 - bin/firewall-drop.sh - 600\n")
		}, isFault, "executable", "has a slash in it", "the name alone"},
		{"not executable", func(p *place) {
			p.remove(bin + "firewall-drop.sh")
			p.check(os.Link(p.path(bin+"firewall-drop"), p.path(bin+"firewall-drop.sh")))
			p.chmod(bin+"firewall-drop", 0o644)
		}, isFault, "executable", "is not executable (mode 0644)", "chmod 0755 "},
		{"writable by others", func(p *place) { p.chmod(bin+"firewall-drop", 0o775) }, isFault, "executable", "(mode 0775), who could so become root", "chmod 0755 "},
		{"a folder for everybody", func(p *place) { p.chmod("var/ossec/active-response/bin", 0o777) }, isFault, "executable", "bin can be written to by everybody", "chmod o-w "},
		{"wrong owner", func(p *place) {
			p.adjust = func(h *host) { h.owner, h.user = h.owner+1, h.user+1 }
			p.check(os.MkdirAll(p.path("var/spool/cron"), 0o755))
			p.check(os.Rename(p.path("etc/cron.d/ossec-ar"), p.path("var/spool/cron/root")))
		}, isFault, "executable", "belongs to user ", "chown root "},
		{"wrong group", func(p *place) { p.write("etc/group", "root:x:0:\nwazuh:x:123:\nossec:x:54321:\n") }, isWarn, "executable", "not ossec", "chown root:ossec "},
		{"wrong group of Wazuh", func(p *place) {
			p.write("etc/group", "ossec:x:1:\nwazuh:x:54321:\n")
			p.write("var/ossec/bin/wazuh-execd", "")
		}, isWarn, "executable", "not wazuh", "chown root:wazuh "},
		{"another program of that name", func(p *place) {
			p.remove(bin + "firewall-drop.sh")
			p.write(bin+"firewall-drop.sh", "#!/bin/sh\n")
			p.chmod(bin+"firewall-drop.sh", 0o755)
		}, isWarn, "executable", "firewall-drop.sh is another program than firewall-drop", "install.sh"},
		{"newer than execd", func(p *place) { p.runningSince(time.Now().Add(-time.Hour)) }, isFault,
			"executable", "the daemon does not see it before it is restarted", "ossec-control restart"},
		{"newer, but called before", func(p *place) {
			p.runningSince(time.Now().Add(-time.Hour))
			p.write("var/ossec/logs/active-responses.log", "Mon x {HOME}/active-response/bin/firewall-drop add\n2026/11/23 active-response/bin/firewall-drop.sh: {}\n")
			p.chmod("var/ossec/logs/active-responses.log", 0o660)
			old := now.Add(-time.Hour)
			p.check(os.Chtimes(p.path("var/ossec/logs/active-responses.log"), old, old))
		}, isWarn, "executable", "has been called before", "ossec-control restart"},
	} {
		b.run(t)
	}
}

func TestDaemons(t *testing.T) {
	for _, b := range []breakage{
		{"no execd", func(p *place) { p.remove("proc/100") }, isFault, "daemons", "neither ossec-execd nor wazuh-execd runs", "ossec-control start"},
		{"no analysisd", func(p *place) { p.remove("proc/101") }, isFault, "daemons", "neither ossec-analysisd nor wazuh-analysisd", "restart"},
		{"no agentd on an agent", func(p *place) { p.write("var/ossec/etc/ossec.conf", agentConf) }, isFault, "daemons", "ossec-agentd nor wazuh-agentd", "restart"},
		{"Wazuh's", func(p *place) {
			p.process(100, "wazuh-execd", 6000)
			p.process(101, "wazuh-analysisd"[:15], 6000)
		}, isOK, "daemons", "wazuh-execd runs since ", ""},

		{"no ar.conf", func(p *place) { p.remove("var/ossec/etc/shared/ar.conf") }, isFault, "ar.conf", "is not there", "ossec-analysisd then writes it"},
		{"not in ar.conf", func(p *place) {
			p.write("var/ossec/etc/shared/ar.conf", "restart-ossec0 - restart-ossec.sh - 0\n")
		}, isFault, "ar.conf", "has no line for firewall-drop", "restart"},
		{"not on an agent", func(p *place) {
			p.write("var/ossec/etc/ossec.conf", agentConf)
			p.process(101, "ossec-agentd", 6000)
			p.write("var/ossec/etc/shared/ar.conf", "restart-ossec0 - restart-ossec.sh - 0\n")
		}, isFault, "ar.conf", "has no line for firewall-drop", "on the server"},
		{"another timeout", func(p *place) {
			p.write("var/ossec/etc/shared/ar.conf", "firewall-drop600 - firewall-drop.sh - 300\n")
		}, isFault, "ar.conf", `does not have "firewall-drop.sh" with a timeout of 600 s`, "restart"},
		{"a broken line", func(p *place) {
			p.write("var/ossec/etc/shared/ar.conf", "firewall-drop600 - firewall-drop.sh - 600\nwhat\n")
		}, isFault, "ar.conf", `ar.conf:2: "what"`, "restart"},
	} {
		b.run(t)
	}
}

func TestBlocks(t *testing.T) {
	const state = "var/ossec/var/active-response"
	for _, b := range []breakage{
		{"no enforcer", func(p *place) {
			p.subject.Enforcer, p.subject.Failure = nil, errors.New("no such type")
		}, isFault, "enforcer", "no such type", "active-response.toml"},
		{"leased but not blocked", func(p *place) { p.lease("203.0.113.7", "2001:db8::7") }, isFault, "leases", "leased but not blocked: 2001:db8::7, 203.0.113.7", "firewall-drop restore"},
		{"blocked but not leased", func(p *place) {
			p.lease("203.0.113.7")
			p.enforcer.blocked = []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")}
		}, isWarn, "leases", "blocked but held by nobody: 203.0.113.8", "reconcile --repair"},
		{"the administrator's own", func(p *place) {
			p.lease("203.0.113.7")
			p.subject.Lasting = true
			p.enforcer.blocked = []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")}
		}, isOK, "leases", "1 lease, 2 blocked addresses, and they agree", ""},
		{"a state folder of everybody's", func(p *place) {
			p.lease("203.0.113.7")
			p.chmod(state, 0o777)
		}, isFault, "leases", "is not used", "chmod 0700 "},
		{"a state folder that is a link", func(p *place) {
			p.write("elsewhere/x", "")
			p.check(os.MkdirAll(p.path("var/ossec/var"), 0o755))
			p.link(p.path("elsewhere"), state)
		}, isFault, "leases", "is not used", "chown root "},
		{"a damaged lease file", func(p *place) {
			p.lease()
			p.write(state+"/firewall-drop.db", strings.Repeat("x", 40000))
		}, isFault, "leases", "reading the leases", "restore"},
		{"one moved aside", func(p *place) {
			p.lease()
			p.write(state+"/firewall-drop.db.damaged-20261123T", "")
		}, isWarn, "leases", "was damaged and moved aside", "rm "},
	} {
		b.run(t)
	}

	t.Run("cannot be listed", func(t *testing.T) {
		p := newPlace(t)
		p.enforcer.listErr = run.ErrNotFound
		want(t, p.look(), isFault, "enforcer", "program not found", "package manager")
	})
	t.Run("looks itself over", func(t *testing.T) {
		p := newPlace(t)
		p.subject.Enforcer = inspecting{p.enforcer}
		want(t, p.look(), isFault, "chain", "in "+p.dir, "make it")
	})
}

// inspecting is an Inspector.
type inspecting struct{ *fakeEnforcer }

func (inspecting) Inspect(_ context.Context, root string) []Finding {
	return []Finding{{What: "chain", Verdict: enforcer.Fault, Found: "in " + root, Mend: "make it"}}
}

func TestLogs(t *testing.T) {
	const log = "var/ossec/logs/active-responses.log"
	for _, b := range []breakage{
		{"a link", func(p *place) {
			p.remove(log)
			p.link("/etc/passwd", log)
		}, isFault, "log", "is a symbolic link", "rm "},
		{"a folder", func(p *place) {
			p.remove(log)
			p.write(log+"/x", "")
			p.check(os.Chtimes(p.path(log), now, now))
		}, isFault, "log", "no plain file", "mv "},
		{"a second name", func(p *place) { p.check(os.Link(p.path(log), p.path("other"))) }, isFault, "log", "has 2 names", "mv "},
		{"open to everybody", func(p *place) { p.chmod(log, 0o666) }, isWarn, "log", "(mode 0666)", "chmod o-rw "},
		{"missing", func(p *place) { p.remove(log) }, isOK, "log", "can be written", ""},
		{"the JSON log", func(p *place) {
			p.write("var/ossec/etc/active-response.toml", "[log]\njson = true\n")
			p.link("/dev/null", "var/ossec/logs/active-responses.json")
		}, isFault, "log", "active-responses.json is a symbolic link", "rm "},
		{"a log of its own", func(p *place) {
			p.subject.Logs = []string{p.path("var/ossec/logs/notifications.log")}
			p.conf("</localfile>", "</localfile><localfile><log_format>syslog</log_format><location>logs/notif*.log</location></localfile>")
			p.link("/dev/null", "var/ossec/logs/notifications.log")
		}, isFault, "log", "notifications.log is a symbolic link", "rm "},

		{"no localfile", swap("/logs/active-responses.log", "/logs/other.log"), isWarn, "localfile", "no <localfile> names ", "<log_format>syslog</log_format><location>"},
		{"another format", swap("<log_format>syslog", "<log_format>json"), isWarn, "localfile", `has the format "json"`, "syslog"},
		{"with a star", swap("/logs/active-responses.log", "/logs/*.log"), isOK, "localfile", "OSSEC reads ", ""},
		{"in the shared configuration of an agent", func(p *place) {
			p.write("var/ossec/etc/ossec.conf", "<ossec_config><client><server-ip>192.0.2.99</server-ip></client></ossec_config>")
			p.process(101, "ossec-agentd", 6000)
			p.write("var/ossec/etc/shared/agent.conf", "<agent_config><localfile><log_format>syslog</log_format><location>{HOME}/logs/active-responses.log</location></localfile></agent_config>")
		}, isOK, "localfile", "OSSEC reads ", ""},

		{"a clock never set", func(p *place) {
			p.env.Now = func() time.Time { return time.Unix(3600, 0).UTC() }
			p.remove(log)
		}, isFault, "clock", "the clock says 1970-01-01T01:00:00Z", "timedatectl set-ntp true"},
		{"a clock set back", func(p *place) { p.check(os.Chtimes(p.path(log), now, now.Add(time.Hour))) }, isFault, "clock", "the log was written on 2026-11-23 13:00:00", "timedatectl"},
		{"a zone without a name", func(p *place) {
			p.env.Now = func() time.Time { return now.In(time.FixedZone("+0545", 20700)) }
		}, isWarn, "clock", `is called "+0545", which OSSEC's decoder cannot read: log lines are in UTC`, "abbreviation"},
	} {
		b.run(t)
	}
}

func TestUnwritable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	p := newPlace(t)
	p.chmod("var/ossec/logs/active-responses.log", 0o400)
	want(t, p.look(), isFault, "log", "cannot be written to", "chmod 0660")
}

func TestNotRoot(t *testing.T) {
	p := newPlace(t)
	p.adjust = func(h *host) { h.user++ }
	want(t, p.look(), isWarn, "rights", "not run as root", "sudo ")
}

// mailConf makes email-notification run, by some settings.
func mailConf(global string) func(*place) {
	return func(p *place) {
		p.conf("<global>", "<global>"+global)
		p.conf("<command>\n", "<command><name>email-alert</name><executable>email-notification.sh</executable><expect>srcip</expect></command>\n<command>\n")
		p.conf(endOfBlock, endOfBlock+"<active-response><command>email-alert</command><location>local</location></active-response>\n")
		p.write(bin+"email-notification.sh", "")
	}
}

func TestMail(t *testing.T) {
	const to = "<email_to>a@example.org</email_to>"
	for _, b := range []breakage{
		{"nobody", mailConf("<smtp_server>/bin/sh</smtp_server>"), isWarn, "mail", "nobody is to get the mail", "<email_to>"},
		{"no server", mailConf(to), isWarn, "mail", "there is no mail server", "<smtp_server>"},
		{"no such program", mailConf(to + "<smtp_server>/nonexistent/sendmail</smtp_server>"), isWarn, "mail", `"/nonexistent/sendmail" is not there`, "smtp_server"},
		{"a program", mailConf(to + "<smtp_server>/bin/sh</smtp_server>"), isOK, "mail", "by the program", ""},
		{"a program as OSSEC calls it", mailConf(to + "<smtp_server>/bin/sh -t</smtp_server>"), isOK, "mail", `by the program "/bin/sh", which is there`, ""},
		{"no such program, with arguments", mailConf(to + "<smtp_server>/nonexistent/sendmail -t</smtp_server>"), isWarn, "mail", `"/nonexistent/sendmail" is not there`, "smtp_server"},
		{"a program that needs a shell", mailConf(to + "<smtp_server>/bin/cat | /bin/sh</smtp_server>"), isWarn, "mail", "no shell is used", "smtp_server"},
		{"no answer", mailConf(to + "<smtp_server>192.0.2.25</smtp_server>"), isWarn, "mail", `"192.0.2.25:25": connection refused`, "email-notification test"},
		{"a bad port", mailConf(to + "<smtp_server>/bin/sh</smtp_server><smtp_port>many</smtp_port>"), isWarn, "mail", "<smtp_port>", "correct it"},
		{"in the settings", func(p *place) {
			mailConf("")(p)
			p.write("var/ossec/etc/active-response.toml", "[mail]\nto = [\"a@example.org\"]\nsmtp_server = \"192.0.2.26\"\nsmtp_user = \"u\"\n")
		}, isWarn, "mail", `"192.0.2.26:587"`, "email-notification test"},
	} {
		b.run(t)
	}

	for name, row := range map[string]struct {
		greeting string
		verdict  enforcer.Verdict
		text     string
	}{
		"greets":   {"220 mail.example.org ESMTP\r\n", isOK, "192.0.2.25:2525, which answers"},
		"refuses":  {"554 go away\r\n", isWarn, `it says "554 go away"`},
		"hangs up": {"", isWarn, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			mailConf(to + "<smtp_server>192.0.2.25</smtp_server><smtp_port>2525</smtp_port>")(p)
			said := make(chan string, 1)
			p.adjust = func(h *host) {
				h.dial = func(_ context.Context, _, address string) (net.Conn, error) {
					if address != "192.0.2.25:2525" {
						t.Errorf("dialled %s", address)
					}
					ours, theirs := net.Pipe()
					go func() {
						_, _ = io.WriteString(theirs, row.greeting) // what is not read is not waited for
						if row.verdict != isOK {
							_ = theirs.Close()
						}
						all, _ := io.ReadAll(theirs)
						said <- string(all)
					}()
					return ours, nil
				}
			}
			want(t, p.look(), row.verdict, "mail", row.text, "")
			if got := <-said; row.verdict == isOK && got != "QUIT\r\n" {
				t.Errorf("said %q", got)
			}
		})
	}

	t.Run("a fault for who sends it", func(t *testing.T) {
		p := newPlace(t)
		mailConf(to)(p)
		p.subject = Subject{Name: "email-notification"}
		p.write(bin+"email-notification", "")
		p.chmod(bin+"email-notification", 0o755)
		p.remove(bin + "email-notification.sh")
		p.link("email-notification", bin+"email-notification.sh")
		p.write("var/ossec/etc/shared/ar.conf", "email-alert0 - email-notification.sh - 0\n")
		want(t, p.look(), isFault, "mail", "there is no mail server", "<smtp_server>")
	})
}

func TestSchedule(t *testing.T) {
	const tab = "etc/cron.d/ossec-ar"
	none := func(p *place) { p.remove(tab) }
	line := "*/5 * * * * root {HOME}/active-response/bin/firewall-drop expire\n"
	boot := "@reboot root {HOME}/active-response/bin/firewall-drop restore\n"
	const expire, restore = "cron: firewall-drop expire", "cron: firewall-drop restore"
	for _, b := range []breakage{
		{"no expire", func(p *place) { p.write(tab, boot) }, isWarn, expire, "no line of cron and no timer of systemd runs firewall-drop expire", "*/5 * * * * root "},
		{"no restore", func(p *place) { p.write(tab, line) }, isWarn, restore, "firewall-drop restore: what was blocked before a reboot", "@reboot root "},
		{"commented out", func(p *place) { p.write(tab, "# "+line+boot) }, isWarn, expire, "no line of cron", "echo "},
		{"a name that cron ignores", func(p *place) {
			p.write(tab, boot)
			p.write("etc/cron.d/ossec.cron", line)
		}, isWarn, expire, "but cron ignores that file: its name", "etc/cron.d/ossec-cron"},
		{"one that cron ignores beside a good one", func(p *place) { p.write("etc/cron.d/a.cron", line) }, isOK, expire, "ossec-ar has it", ""},
		{"no end of line", func(p *place) {
			p.write("etc/cron.d/other", boot)
			p.write(tab, strings.TrimSuffix(line, "\n"))
		}, isWarn, expire, "its last line has no end", "echo >> "},
		{"a table of everybody's", func(p *place) {
			p.write("etc/cron.d/other", boot)
			p.write(tab, line)
			p.chmod(tab, 0o666)
		}, isWarn, expire, "others than root can write to it", "chmod 0644 "},
		{"of another home", func(p *place) {
			p.write("opt/ossec/active-response/bin/firewall-drop", "")
			p.write(tab, strings.ReplaceAll(line, "{HOME}", p.path("opt/ossec"))+boot)
		}, isWarn, expire, "no line of cron", "echo "},
		{"of this home, through a link", func(p *place) {
			p.link("var", "opt")
			p.write(tab, strings.ReplaceAll(line, "{HOME}", p.path("opt/ossec"))+boot)
		}, isOK, expire, "ossec-ar has it", ""},
		{"from within the home", func(p *place) {
			p.write(tab, "*/5 * * * * root cd {HOME}; active-response/bin/firewall-drop expire >/dev/null\n"+boot)
		}, isOK, expire, "ossec-ar has it", ""},
		{"with a test before it", func(p *place) {
			p.write(tab, "*/5 * * * * root [ ! -x {HOME}/active-response/bin/firewall-drop ] || {HOME}/active-response/bin/firewall-drop expire>/dev/null\n"+boot)
		}, isOK, expire, "ossec-ar has it", ""},
		{"for nobody", func(p *place) { p.write(tab, strings.ReplaceAll(line, "root", "nobody")+boot) },
			isWarn, expire, `to be run by the user "nobody" instead of root`, "name root before the command in "},
		{"without a user", func(p *place) { p.write(tab, strings.ReplaceAll(line, "root ", "")+boot) },
			isWarn, expire, "to be run by the user \"/", "name root before the command in "},
		{"for nobody beside a good one", func(p *place) { p.write("etc/cron.d/a", strings.ReplaceAll(line, "root", "nobody")) },
			isOK, expire, "ossec-ar has it", ""},
		{"at no time", func(p *place) { p.write(tab, strings.ReplaceAll(line, "*/5", "*/5x")+boot) },
			isWarn, expire, `at a time that is none, "*/5x * * * *": minute: "5x" is no step`, "crontab(5)"},
		{"at a minute that there is not", func(p *place) { p.write(tab, strings.ReplaceAll(line, "*/5", "61")+boot) },
			isWarn, expire, `minute: "61" is not within 0 and 59`, "crontab(5)"},
		{"on a day that never comes", func(p *place) { p.write(tab, strings.ReplaceAll(line, "*/5 * * * *", "0 0 31 2 *")+boot) },
			isWarn, expire, "it never comes", "crontab(5)"},
		{"with a field missing", func(p *place) { p.write(tab, strings.ReplaceAll(line, "*/5 ", "")+boot) },
			isWarn, expire, `day of the week: "root"`, "crontab(5)"},
		{"a timer of another home", func(p *place) {
			p.write(tab, boot)
			p.write("opt/ossec/active-response/bin/firewall-drop", "")
			p.write("etc/systemd/system/e.service", "[Service]\nExecStart=-"+p.path("opt/ossec")+"/active-response/bin/firewall-drop expire\n")
			p.write("etc/systemd/system/timers.target.wants/e.timer", "")
		}, isWarn, expire, "no line of cron and no timer", "echo "},
		{"a script that cron runs every hour", func(p *place) {
			p.write(tab, boot)
			p.write("etc/cron.hourly/ossec-ar", "#!/bin/sh\ncd {HOME}/active-response/bin\n./firewall-drop expire\n")
		}, isOK, expire, "cron.hourly/ossec-ar has it", ""},
		{"in the table of somebody", func(p *place) {
			p.write(tab, boot)
			p.write("var/spool/cron/crontabs/ossec", strings.ReplaceAll(line, "root ", ""))
		}, isWarn, expire, `that is the table of the user "ossec"`, "crontab -e"},
		{"in root's own table", func(p *place) {
			none(p)
			p.write("var/spool/cron/crontabs/root", strings.ReplaceAll(line+boot, "root ", ""))
		}, isOK, expire, "crontabs/root has it", ""},
		{"a timer", func(p *place) {
			p.write(tab, boot)
			p.write("etc/systemd/system/ossec-ar-expire@.service", "[Service]\nExecStart={HOME}/active-response/bin/%i \\\n  expire\n")
			p.write("etc/systemd/system/timers.target.wants/ossec-ar-expire@firewall-drop.timer", "")
		}, isOK, expire, "ossec-ar-expire@.service runs it", ""},
		{"a timer that is not enabled", func(p *place) {
			p.write(tab, boot)
			p.write("usr/lib/systemd/system/expire.service", "[Service]\nExecStart={HOME}/active-response/bin/firewall-drop expire\n")
			p.write("usr/lib/systemd/system/expire.timer", "")
		}, isWarn, expire, "is not enabled", "systemctl enable --now expire.timer"},
		{"a service at boot that is not enabled", func(p *place) {
			p.write(tab, line)
			p.write("etc/systemd/system/restore.service", "[Service]\nExecStart={HOME}/active-response/bin/firewall-drop restore\n")
		}, isWarn, restore, "is not enabled", "systemctl enable --now restore.service"},
	} {
		b.run(t)
	}

	t.Run("systemd alone", func(t *testing.T) {
		p := newPlace(t)
		p.remove("proc/102")
		p.remove(tab)
		p.write("run/systemd/system/x", "")
		for _, f := range p.look() {
			if strings.HasPrefix(f.What, "cron: ") && !strings.HasPrefix(f.Mend, "./install.sh --systemd") {
				t.Errorf("got %+v", f)
			}
		}
	})
	t.Run("no cron", func(t *testing.T) {
		p := newPlace(t)
		p.remove("proc/102")
		rows := p.look()
		for _, f := range rows {
			if strings.HasPrefix(f.What, "cron: ") && (f.Verdict != isWarn || !strings.Contains(f.Found, "no cron runs")) {
				t.Errorf("got %+v", f)
			}
		}
	})
}
