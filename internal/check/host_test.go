package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/target"
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
		{"of agents on Windows", func(p *place) {
			p.conf("<command>\n", "<command><name>win_drop</name><executable>firewall-drop.exe</executable></command>\n<command>\n")
			p.conf(endOfBlock, endOfBlock+"<active-response><command>win_drop</command><location>local</location></active-response>\n")
		}, isOK, "executable", "as they should be: firewall-drop, firewall-drop.sh", ""},
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
			p.tool = Subject{}
			p.check(os.MkdirAll(p.path("var/spool/cron"), 0o755))
			p.check(os.Rename(p.path("etc/cron.d/ossec-ar"), p.path("var/spool/cron/root")))
		}, isFault, "executable", "belongs to user ", "chown root "},
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
		{"no execd", func(p *place) { p.remove("proc/100") }, isFault, "daemons", "neither ossec-execd nor wazuh-execd of this home runs", "ossec-control start"},
		{"no analysisd", func(p *place) { p.remove("proc/101") }, isFault, "daemons", "neither ossec-analysisd nor wazuh-analysisd", "restart"},
		{"no agentd on an agent", func(p *place) { p.write("var/ossec/etc/ossec.conf", agentConf) }, isFault, "daemons", "ossec-agentd nor wazuh-agentd", "restart"},
		{"no logcollector", func(p *place) { p.remove("proc/104") }, isFault, "daemons",
			"neither ossec-logcollector nor wazuh-logcollector runs: no log is read", "ossec-control restart"},
		{"no remoted, and no agents", swap("</global>", withRemote), isOK, "daemons", "ossec-execd runs since ", ""},
		{"no remoted where there are agents", func(p *place) {
			p.conf("</global>", withRemote)
			p.write("var/ossec/etc/client.keys", "001 web any 0f\n")
		}, isFault, "daemons", "ossec-remoted nor wazuh-remoted runs: agents are neither heard", "restart"},
		{"Wazuh's", func(p *place) {
			p.process(100, "wazuh-execd", 6001)
			p.process(101, "wazuh-analysisd", 6000)
			p.write("var/ossec/bin/wazuh-control", "")
		}, isOK, "daemons", "wazuh-execd runs since ", ""},
		{"execd alone started again", func(p *place) { p.process(100, "ossec-execd", 6001) }, isFault, "daemons",
			"ossec-execd was started after ossec-analysisd, which has lost the way to it", "ossec-control restart"},
		{"execd alone started again on an agent", func(p *place) {
			p.write("var/ossec/etc/ossec.conf", agentConf)
			p.process(103, "ossec-agentd", 5999)
		}, isFault, "daemons", "ossec-execd was started after ossec-agentd", "ossec-control restart"},
		{"execd of another home", func(p *place) {
			p.remove("proc/100/exe")
			p.link("/opt/ossec/bin/ossec-execd", "proc/100/exe")
		}, isFault, "daemons", "neither ossec-execd nor wazuh-execd of this home runs", "ossec-control start"},
		{"execd of somebody else", func(p *place) { p.write("proc/100/status", "Name:\tx\nUid:\t7\t7\t7\t7\n") }, isFault,
			"daemons", "neither ossec-execd nor wazuh-execd of this home runs", "ossec-control start"},
		{"nothing to start it with", func(p *place) {
			p.remove("proc/100")
			p.remove("var/ossec/bin/ossec-control")
		}, isFault, "daemons", "of this home runs", "start the daemons of OSSEC or Wazuh"},
		{"no ar.conf on Wazuh 5", func(p *place) {
			p.remove("var/ossec/etc/shared/ar.conf")
			p.write("var/ossec/VERSION.json", `{"version": "5.0.0", "stage": "rc1"}`)
		}, isOK, "ar.conf", "Wazuh 5 has none", ""},
		{"what an agent of Wazuh 5 calls", func(p *place) {
			p.remove("var/ossec/etc/shared/ar.conf")
			p.write("var/ossec/etc/ossec.conf", agentConf)
			p.write("var/ossec/VERSION.json", `{"version": "5.0.0"}`)
			p.process(103, "wazuh-agentd", 6000)
			p.link("firewall-drop", bin+"block-ip")
			p.adjust = func(h *host) { h.subjects = append(h.subjects, &Subject{Name: "host-deny", Failure: errors.New("no")}) }
		}, isSkip, "host-deny", "nothing on this host uses it", ""},
		{"no ar.conf on Wazuh 4", func(p *place) {
			p.remove("var/ossec/etc/shared/ar.conf")
			p.write("var/ossec/VERSION.json", `{"version": "4.14.0"}`)
			p.write("var/ossec/bin/wazuh-control", "")
		}, isFault, "ar.conf", "is not there", "wazuh-analysisd then writes it"},

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
		}, isFault, "ar.conf", `ar.conf:2: not NAME`, "restart"},
	} {
		b.run(t)
	}
}

func TestBlocks(t *testing.T) {
	const state = "var/ossec/var/active-response"
	for _, b := range []breakage{
		{"no enforcer", func(p *place) {
			p.subject.Hold, p.subject.Failure = nil, errors.New("no such type")
		}, isFault, "enforcer", "no such type", "active-response.toml"},
		{"leased but not blocked", func(p *place) { p.lease("203.0.113.7", "2001:db8::7") }, isFault, "leases", "should be blocked and is not in force: 203.0.113.7, 2001:db8::7", "ossec-ar repair"},
		{"blocked but not leased", func(p *place) {
			p.lease("203.0.113.7")
			p.enforcer.Put(target.MustParse("203.0.113.7"), target.MustParse("203.0.113.8"))
		}, isWarn, "leases", "blocked and nothing asks for it: 203.0.113.8", "ossec-ar repair"},
		{"the administrator's own", func(p *place) {
			p.lease("203.0.113.7")
			p.subject.Hold.Kind.InFile = true
			p.enforcer.Put(target.MustParse("203.0.113.7"), target.MustParse("203.0.113.8"))
		}, isOK, "leases", "what is to be blocked and what is in force agree", ""},
		{"a file in the place of the state folder", func(p *place) {
			p.unasked = true
			p.write(state, "")
		}, isFault, "leases", "is not used", "mv "},
		{"a state folder of everybody's", func(p *place) {
			p.lease("203.0.113.7")
			p.chmod(state, 0o777)
		}, isFault, "leases", "is not used", "chmod 0700 "},
		{"state folder that others can take away", func(p *place) {
			if os.Geteuid() != 0 {
				p.Skip("only root can make the one in /var/lib")
			}
			p.lease()
			p.chmod(state+"/..", 0o770)
		}, isWarn, "leases", "var/ossec/var/active-response is not used: others than root can write", "rm -r "},
		{"a state folder that is a link", func(p *place) {
			p.write("elsewhere/x", "")
			p.check(os.MkdirAll(p.path("var/ossec/var"), 0o755))
			p.link(p.path("elsewhere"), state)
		}, isFault, "leases", "is not used", "mv "},
		{"a damaged lease file", func(p *place) {
			p.lease()
			p.write(state+"/firewall-drop.db", strings.Repeat("x", 40000))
		}, isFault, "leases", "reading the leases", "ossec-ar maintain"},
		{"one moved aside", func(p *place) {
			p.lease()
			p.write(state+"/firewall-drop.db.damaged-20261123T", "")
		}, isWarn, "leases", "was damaged and moved aside", "rm "},
	} {
		b.run(t)
	}

	t.Run("cannot be listed", func(t *testing.T) {
		p := newPlace(t)
		p.enforcer.Fail("List", exec.ErrNotFound)
		want(t, p.look(), isFault, "enforcer", "program not found", "package manager")
	})
	t.Run("looks itself over", func(t *testing.T) {
		p := newPlace(t)
		p.subject.Hold.Enforcer = inspecting{p.enforcer}
		want(t, p.look(), isFault, "chain", "in "+p.dir, "make it")
	})
}

// inspecting is an Inspector.
type inspecting struct{ *fakeEnforcer }

func (inspecting) Inspect(_ context.Context, root string) []Finding {
	return []Finding{{What: "chain", Verdict: enforcer.Fault, Found: "in " + root, Mend: "make it"}}
}

// givenUp is what logcollector logs of a log that it gives up.
func givenUp(at time.Time, path string) string {
	line := " ossec-logcollector(1904): INFO: File not available, ignoring it: '" + path + "'.\n"
	return at.UTC().Format(daemonStamp) + line
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
		{"missing", func(p *place) { p.remove(log) }, isWarn, "localfile",
			"is not there: logcollector reads no log that is not there 128 s after its start", "install -m 0660 /dev/null "},
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

		{"given up", func(p *place) {
			p.write("var/ossec/logs/ossec.log", givenUp(time.Now().Add(2*time.Hour), p.path(log)))
		}, isWarn, "localfile", "active-responses.log was given up by logcollector on ", "ossec-control restart"},
		{"given up by an earlier one", func(p *place) {
			p.write("var/ossec/logs/ossec.log", givenUp(time.Now(), p.path(log)))
		}, isOK, "localfile", "OSSEC reads ", ""},
		{"another that was given up", func(p *place) {
			p.write("var/ossec/logs/ossec.log", givenUp(time.Now().Add(2*time.Hour), "/var/log/messages"))
		}, isOK, "localfile", "OSSEC reads ", ""},
		{"given up by Wazuh, by a path from its home", func(p *place) {
			p.write("var/ossec/logs/ossec.log", givenUp(time.Now().Add(2*time.Hour), "logs/active-responses.log"))
			p.write("var/ossec/bin/wazuh-control", "")
		}, isWarn, "localfile", "was given up by logcollector on ", "wazuh-control restart"},

		{"rotated twice", func(p *place) {
			p.write("etc/logrotate.d/ossec-ar", "# ours\n{HOME}/logs/active-responses.log\n{HOME}/logs/notifications.log\n{\n\tweekly\n}\n")
			p.write("etc/logrotate.d/ossec-hids", "\"{HOME}/logs/*.log\" /var/log/x {\n\tcopytruncate\n}\n")
		}, isWarn, "logrotate", "etc/logrotate.d/ossec-ar and ", "take the line "},
		{"packed in another way", func(p *place) {
			p.write("var/ossec/logs/active-responses.log.1.xz", "x")
		}, isWarn, "reports", "active-responses.log.1.xz is not read: only .gz can be unpacked", "gzip"},
		{"packed, and cut", func(p *place) {
			p.write("var/ossec/logs/active-responses.log.2.gz", "x")
		}, isWarn, "reports", "active-responses.log.2.gz: unpacking: ", "not whole"},
		{"rotated once", func(p *place) {
			p.write("etc/logrotate.d/ossec-ar", "{HOME}/logs/active-responses.log {\n\tweekly\n}\n")
			p.write("etc/logrotate.d/ossec-hids", "# {HOME}/logs/active-responses.log\n{HOME}/logs/alerts/*.log {\n}\n")
		}, isOK, "logrotate", "no log is rotated twice", ""},

		{"a clock never set", func(p *place) {
			p.env.Now = func() time.Time { return time.Unix(3600, 0).UTC() }
			p.check(os.Chtimes(p.path(log), time.Unix(0, 0), time.Unix(0, 0)))
		}, isFault, "clock", "the clock says 1970-01-01T01:00:00Z", "set the clock"},
		{"a clock set back", func(p *place) { p.check(os.Chtimes(p.path(log), now, now.Add(time.Hour))) }, isFault, "clock", "the log was written on 2026-11-23 13:00:00", "set the clock"},
		{"a clock set back under systemd", func(p *place) {
			p.check(os.Chtimes(p.path(log), now, now.Add(time.Hour)))
			p.write("run/systemd/system/x", "")
		}, isFault, "clock", "the log was written on", "timedatectl set-ntp true"},
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
	want(t, p.look(), isWarn, "rights", "not run as root", "run it as root")
}
