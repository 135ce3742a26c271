package check

import (
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

func TestSchedule(t *testing.T) {
	const tab = "etc/cron.d/ossec-ar"
	none := func(p *place) { p.remove(tab) }
	line := "* * * * * root {HOME}/bin/ossec-ar maintain\n"
	const job = "cron: ossec-ar maintain"
	for _, b := range []breakage{
		{"none", none, isWarn, job, "no line of cron and no timer of systemd runs ossec-ar maintain", "* * * * * root "},
		{"commented out", func(p *place) { p.write(tab, "# "+line) }, isWarn, job, "no line of cron", "echo "},
		{"a name that cron ignores", func(p *place) {
			none(p)
			p.write("etc/cron.d/ossec.cron", line)
		}, isWarn, job, "but cron ignores that file: its name", "etc/cron.d/ossec-cron"},
		{"one that cron ignores beside a good one", func(p *place) { p.write("etc/cron.d/a.cron", line) }, isOK, job, "ossec-ar has the job", ""},
		{"no end of line", func(p *place) {
			p.write(tab, strings.TrimSuffix(line, "\n"))
		}, isWarn, job, "its last line has no end", "echo >> "},
		{"a table of everybody's", func(p *place) {
			p.write(tab, line)
			p.chmod(tab, 0o666)
		}, isWarn, job, "others than root can write to it", "chmod 0644 "},
		{"of another home", func(p *place) {
			p.write("opt/ossec/bin/ossec-ar", "")
			p.write(tab, strings.ReplaceAll(line, "{HOME}", p.path("opt/ossec")))
		}, isWarn, job, "no line of cron", "echo "},
		{"of this home, through a link", func(p *place) {
			p.link("var", "opt")
			p.write(tab, strings.ReplaceAll(line, "{HOME}", p.path("opt/ossec")))
		}, isOK, job, "ossec-ar has the job", ""},
		{"from within the home", func(p *place) {
			p.write(tab, "* * * * * root cd {HOME}; bin/ossec-ar maintain >/dev/null\n")
		}, isOK, job, "ossec-ar has the job", ""},
		{"with a test before it", func(p *place) {
			p.write(tab, "* * * * * root [ ! -x {HOME}/bin/ossec-ar ] || {HOME}/bin/ossec-ar maintain>/dev/null\n")
		}, isOK, job, "ossec-ar has the job", ""},
		{"for nobody", func(p *place) { p.write(tab, strings.ReplaceAll(line, "root", "nobody")) },
			isWarn, job, `to be run by the user "nobody" instead of root`, "name root before the command in "},
		{"without a user", func(p *place) { p.write(tab, strings.ReplaceAll(line, "root ", "")) },
			isWarn, job, "to be run by the user \"/", "name root before the command in "},
		{"for nobody beside a good one", func(p *place) { p.write("etc/cron.d/a", strings.ReplaceAll(line, "root", "nobody")) },
			isOK, job, "ossec-ar has the job", ""},
		{"at no time", func(p *place) { p.write(tab, strings.Replace(line, "*", "*/5x", 1)) },
			isWarn, job, `at a time that is none, "*/5x * * * *": minute: "5x" is no step`, "crontab(5)"},
		{"at a minute that there is not", func(p *place) { p.write(tab, strings.Replace(line, "*", "61", 1)) },
			isWarn, job, `minute: "61" is not within 0 and 59`, "crontab(5)"},
		{"on a day that never comes", func(p *place) { p.write(tab, strings.ReplaceAll(line, "* * * * *", "0 0 31 2 *")) },
			isWarn, job, "it never comes", "crontab(5)"},
		{"with a field missing", func(p *place) { p.write(tab, strings.Replace(line, "* ", "", 1)) },
			isWarn, job, `day of the week: "root"`, "crontab(5)"},
		{"a timer of another home", func(p *place) {
			none(p)
			p.write("opt/ossec/bin/ossec-ar", "")
			p.write("etc/systemd/system/e.service", "[Service]\nExecStart=-"+p.path("opt/ossec")+"/bin/ossec-ar maintain\n")
			p.write("etc/systemd/system/timers.target.wants/e.timer", "")
		}, isWarn, job, "no line of cron and no timer", "echo "},
		{"a script that cron runs every hour", func(p *place) {
			none(p)
			p.write("etc/cron.hourly/ossec-ar", "#!/bin/sh\ncd {HOME}/bin\n./ossec-ar maintain\n")
		}, isOK, job, "cron.hourly/ossec-ar has the job", ""},
		{"in the table of somebody", func(p *place) {
			none(p)
			p.write("var/spool/cron/crontabs/ossec", strings.ReplaceAll(line, "root ", ""))
		}, isWarn, job, `that is the table of the user "ossec"`, "crontab -e"},
		{"in root's own table", func(p *place) {
			none(p)
			p.write("var/spool/cron/crontabs/root", strings.ReplaceAll(line, "root ", ""))
		}, isOK, job, "crontabs/root has the job", ""},
		{"a timer", func(p *place) {
			none(p)
			p.write("etc/systemd/system/ossec-ar-maintain.service", "[Service]\nExecStart={HOME}/bin/ossec-ar \\\n  maintain\n")
			p.write("etc/systemd/system/timers.target.wants/ossec-ar-maintain.timer", "")
		}, isOK, job, "ossec-ar-maintain.service runs it", ""},
		{"a timer that is not enabled", func(p *place) {
			none(p)
			p.write("usr/lib/systemd/system/expire.service", "[Service]\nExecStart={HOME}/bin/ossec-ar maintain\n")
			p.write("usr/lib/systemd/system/expire.timer", "")
			p.write("run/systemd/system/x", "")
		}, isWarn, job, "is not enabled", "systemctl enable --now expire.timer"},
	} {
		b.run(t)
	}

	t.Run("systemd alone", func(t *testing.T) {
		p := newPlace(t)
		p.remove("proc/102")
		p.remove(tab)
		p.write("run/systemd/system/x", "")
		for _, f := range p.look() {
			if strings.HasPrefix(f.What, "cron: ") && !strings.HasPrefix(f.Mend, "run install.sh --systemd") {
				t.Errorf("got %+v", f)
			}
		}
	})
	for _, test := range []struct {
		name string
		has  []string
		mend string
	}{
		{"no cron", nil, "start cron, or install it"},
		{"cron can be installed", []string{"usr/bin/apt-get"}, "/usr/bin/apt-get install cron"},
		{"cron without systemd", []string{"usr/sbin/cron", "usr/lib/systemd/system/cron.service", "usr/bin/apt-get"}, "/usr/sbin/cron"},
		{"cron with systemd", []string{"usr/sbin/cron", "usr/lib/systemd/system/cron.service", "run/systemd/system/x"}, "systemctl enable --now cron"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			p.remove("proc/102")
			for _, file := range test.has {
				p.write(file, "")
			}
			for _, f := range p.look() {
				if strings.HasPrefix(f.What, "cron: ") && (f.Verdict != isWarn || !strings.Contains(f.Found, "no cron runs") || !strings.HasSuffix(f.Mend, test.mend)) {
					t.Errorf("got %+v", f)
				}
			}
		})
	}
}

// TestScheduledButNotRun: what counts is what is set up, and when it ran last.
func TestScheduledButNotRun(t *testing.T) {
	const tab = "etc/cron.d/ossec-ar"
	for _, test := range []struct {
		name   string
		set    bool
		last   time.Duration // how long ago; 0 for never
		needed bool
		want   enforcer.Verdict
		found  string
	}{
		{"set up, and ran", true, time.Minute, true, isOK, "has the job"},
		{"set up, and is yet to run", true, 0, true, isOK, "has the job"},
		{"set up, ran long ago", true, time.Hour, true, isFault, "has the job, but it has not run since "},
		{"set up, ran long ago, nothing was blocked", true, time.Hour, false, isWarn, "it has not run since "},
		{"not set up, ran by hand just now", false, time.Minute, true, isWarn, "no line of cron"},
		{"not set up, ran long ago", false, time.Hour, true, isFault, "no line of cron"},
		{"not set up, never ran", false, 0, true, isFault, "no line of cron"},
		{"not set up, nothing was blocked", false, 0, false, isWarn, "no line of cron"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			job := &p.tool.Jobs[0]
			job.Within, job.Needed = 10*time.Minute, test.needed
			if test.last != 0 {
				job.Last = now.Add(-test.last)
			}
			if !test.set {
				p.remove(tab)
			}
			want(t, p.look(), test.want, "cron: ossec-ar maintain", test.found, "")
		})
	}
}
