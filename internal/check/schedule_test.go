package check

import (
	"strings"
	"testing"
)

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
