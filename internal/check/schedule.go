package check

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/crontab"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// Job is what cron, or a timer of systemd, has to run.
type Job struct {
	Command string // of the program, "" for it alone
	When    string // in the form of crontab(5)
	Why     string // what happens where it does not run

	Last   time.Time     // when it ran last; zero for never, or where nobody writes it down
	Within time.Duration // how old Last may be; 0 where nobody writes it down
	Needed bool          // something depends on it now: that it does not run is a fault
}

// schedule looks at cron and the timers of systemd.
type schedule struct{ *host }

// Scheduled judges, as a whole check does, whether the jobs of a program are run now and then.
func Scheduled(ctx context.Context, p app.Program, subject *Subject) []Finding {
	s := &sheet{}
	schedule{newHost(p, Options{}, []*Subject{subject})}.jobs(ctx, s)
	return s.rows
}

// jobs checks whether cron or systemd run what has to run now and then.
func (h schedule) jobs(_ context.Context, s *sheet) {
	s.prefix = ""
	for _, job := range h.subject.Jobs {
		s.add(h.judge(job))
	}
}

// judge goes by what is set up, and, where it is written down, by when it ran last.
func (h schedule) judge(job Job) Finding {
	what := strings.TrimSpace(h.subject.Name + " " + job.Command)
	f := h.job(job)
	recent := !job.Last.IsZero() && h.Now().Sub(job.Last) <= job.Within
	switch {
	case f.Verdict == "":
		f = warn(h.addJob(job, what), "no line of cron and no timer of systemd runs %s: %s", what, job.Why)
	case f.Verdict == enforcer.OK && !job.Last.IsZero() && !recent:
		f = warn("look in the log of cron or systemd why", "%s, but it has not run since %s: %s", f.Found,
			stamp(job.Last), job.Why)
	}
	if f.Verdict == enforcer.Warn && job.Needed && !recent {
		f.Verdict = enforcer.Fault
	}
	f.What = "cron: " + what
	return f
}

// addJob is the command that has the job run from now on.
func (h schedule) addJob(job Job, what string) string {
	if h.systemd() && !h.runs(crons...) {
		return "run install.sh --systemd --home " + string(h.Home) + " of the suite"
	}
	return "echo '" + job.When + " root " + strings.TrimSpace(h.file(h.subject)+" "+job.Command) +
		"' > /etc/cron.d/" + strings.ReplaceAll(what, " ", "-")
}

// crons are the names of cron's daemon.
var crons = []string{"cron", "crond", "fcron", "anacron", "bcron-start"}

// job looks for one job; the zero Finding says that nothing runs it.
func (h schedule) job(job Job) Finding {
	var passedOver Finding // has the job, but is not used
	for _, path := range h.crontabs() {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, e := range h.entries(path, string(text)) {
			// A field that is missing has moved the command into the others.
			if !h.does(strings.Join([]string{e.When, e.User, e.Command}, " "), job) {
				continue
			}
			f := h.entry(path, string(text), e)
			if f.Verdict == enforcer.OK {
				return f
			}
			passedOver = f
		}
	}
	if f := h.timer(job); f.Verdict == enforcer.OK || passedOver.Verdict == "" {
		return f
	}
	return passedOver
}

// entry says whether cron runs an entry of a table, as root and now and then.
func (h schedule) entry(path, text string, e crontab.Entry) Finding {
	if reason, mend := h.cronIgnores(path, text); reason != "" {
		return warn(mend, "%s has the job, but cron ignores that file: %s", path, reason)
	}
	if e.When != "" {
		if err := crontab.Check(e.When); err != nil {
			return warn("correct the time in "+path+": see crontab(5)",
				"%s has the job, but at a time that is none, %s: %v", path, quote(e.When), err)
		}
	}
	switch {
	case e.User != "root" && h.isSystemTable(path):
		return warn("name root before the command in "+path,
			"%s has the job, but to be run by the user %s instead of root", path, quote(e.User))
	case e.User != "root":
		return warn("move it into root's own table: crontab -e",
			"%s has the job, but that is the table of the user %s", path, quote(e.User))
	case !h.runs(crons...):
		return warn(h.startCron(), "%s has the job, but no cron runs", path)
	}
	return ok("%s has the job", path)
}

// startCron is the command that has cron run.
func (h schedule) startCron() string {
	for _, name := range crons {
		if h.systemd() && h.hasUnit(name+".service") {
			return "systemctl enable --now " + name
		}
	}
	for _, command := range []string{"usr/sbin/cron", "usr/sbin/crond", "usr/bin/apt-get install cron",
		"usr/bin/dnf install cronie", "usr/bin/yum install cronie", "usr/bin/zypper install cron"} {
		program, _, _ := strings.Cut(command, " ")
		if _, err := os.Stat(h.path(program)); err == nil {
			return filepath.Join(h.root, command)
		}
	}
	return "start cron, or install it"
}

// does reports whether a command line runs the job with this home's response: what that of
// another home does is of no use here.
func (h schedule) does(line string, job Job) bool {
	words := strings.FieldsFunc(line,
		func(r rune) bool { return strings.ContainsRune(" \t\n\"'`();&|<>", r) })
	ours := slices.ContainsFunc(words, func(word string) bool {
		if !strings.Contains(filepath.Base(word), h.subject.Name) {
			return false
		}
		return filepath.IsAbs(word) && sameFile(word, h.file(h.subject)) ||
			slices.ContainsFunc(words, func(cd string) bool {
				return filepath.IsAbs(cd) && sameFile(filepath.Join(cd, word), h.file(h.subject))
			})
	})
	return ours && (job.Command == "" || slices.Contains(words, job.Command))
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

func (h schedule) crontabs() []string {
	paths := []string{h.path("etc/crontab"), h.path("etc/anacrontab")}
	for _, pattern := range []string{
		"etc/cron.d/*", "etc/cron.hourly/*", "etc/cron.daily/*",
		"var/spool/cron/*", "var/spool/cron/crontabs/*", "var/spool/cron/tabs/*",
	} {
		matches, _ := filepath.Glob(h.path(pattern)) // the pattern is well-formed
		paths = append(paths, matches...)
	}
	return paths
}

// isSystemTable reports whether the lines of a table name the user.
func (h schedule) isSystemTable(path string) bool {
	return path == h.path("etc/crontab") || filepath.Dir(path) == h.path("etc/cron.d")
}

// entries are what a table, or a script in one of cron's folders, has run.
func (h schedule) entries(path, text string) []crontab.Entry {
	var all []crontab.Entry
	add := func(user, command string) { all = append(all, crontab.Entry{User: user, Command: command}) }
	script := strings.HasPrefix(filepath.Dir(path), h.path("etc/cron.")) && !h.isSystemTable(path)
	var lines strings.Builder
	for line := range strings.Lines(text) {
		e, found := crontab.Parse(line, h.isSystemTable(path))
		switch {
		case script && !strings.HasPrefix(strings.TrimSpace(line), "#"):
			lines.WriteString(line)
		case !found:
		case path == h.path("etc/anacrontab"): // days, a delay and a name stand before the command
			add("root", line)
		case h.isSystemTable(path):
			all = append(all, e)
		default: // the table of a user
			e.User = filepath.Base(path)
			all = append(all, e)
		}
	}
	if script {
		add("root", lines.String())
	}
	return all
}

// cronIgnores returns why cron passes a file over, and what mends that (cron(8) of
// Debian; other crons are less strict).
func (h schedule) cronIgnores(path, text string) (reason, mend string) {
	if !strings.HasPrefix(path, h.path("etc")+"/") {
		return "", ""
	}
	const good = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	info, err := os.Stat(path)
	name := filepath.Base(path)
	switch {
	case err != nil:
		return "", ""
	case strings.Contains(filepath.Dir(path), "cron.") && strings.Trim(name, good) != "":
		return "its name has a character other than a letter, digit, _ or - in it",
			"mv " + path + " " + filepath.Join(filepath.Dir(path), strings.ReplaceAll(name, ".", "-"))
	case int(info.Sys().(*syscall.Stat_t).Uid) != h.owner:
		return "it does not belong to root", "chown root " + path
	case info.Mode().Perm()&0o022 != 0:
		return "others than root can write to it", "chmod 0644 " + path
	case !strings.HasSuffix(text, "\n"):
		return "its last line has no end", "echo >> " + path
	}
	return "", ""
}

var unitFolders = []string{
	"etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system",
}

// timer looks for a unit of systemd that runs the job, and whether it is enabled.
func (h schedule) timer(job Job) Finding {
	for _, folder := range unitFolders {
		units, _ := filepath.Glob(filepath.Join(h.path(folder), "*.service")) // the pattern is well-formed
		for _, path := range units {
			name := strings.TrimSuffix(filepath.Base(path), ".service")
			instance := ""
			if strings.HasSuffix(name, "@") {
				instance = h.subject.Name
			}
			text, err := os.ReadFile(path)
			if err != nil || !h.executes(string(text), job, instance) {
				continue
			}
			timer, service := name+instance+".timer", name+instance+".service"
			if h.enabled(timer) || h.enabled(service) {
				return ok("%s runs it", path)
			}
			unit := timer
			if !h.hasUnit(name + ".timer") {
				unit = service
			}
			return warn("systemctl enable --now "+unit, "%s would run it, but is not enabled", path)
		}
	}
	return Finding{}
}

// executes reports whether a unit runs the job. instance stands for what a template is
// made an instance of, "" for no template.
func (h schedule) executes(unit string, job Job, instance string) bool {
	unit = strings.ReplaceAll(unit, "\\\n", " ")
	for line := range strings.Lines(unit) {
		if instance != "" {
			line = strings.NewReplacer("%i", instance, "%I", instance).Replace(line)
		}
		key, command, _ := strings.Cut(line, "=")
		if strings.HasPrefix(key, "Exec") && h.does(strings.TrimLeft(command, "-@+!:"), job) {
			return true
		}
	}
	return false
}

func (h schedule) hasUnit(name string) bool {
	return slices.ContainsFunc(unitFolders, func(folder string) bool {
		_, err := os.Stat(filepath.Join(h.path(folder), name))
		return err == nil
	})
}

func (h schedule) enabled(unit string) bool {
	return slices.ContainsFunc(unitFolders, func(folder string) bool {
		pattern := filepath.Join(h.path(folder), "*.wants", unit)
		links, _ := filepath.Glob(pattern) // it is well-formed
		return len(links) > 0
	})
}
