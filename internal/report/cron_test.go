package report

import (
	"os"
	"strings"
	"testing"

	"github.com/robfig/cron/v3"
)

// The lines of contrib's cron file are what cron(8) reads in /etc/cron.d: five fields of
// time, a user, a command.
func TestCronFile(t *testing.T) {
	data, err := os.ReadFile("../../contrib/cron/ossec-ar-stats")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if !strings.HasSuffix(text, "\n") {
		t.Error("cron ignores a last line without an end")
	}
	active := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		job, commented := strings.CutPrefix(line, "#")
		if !strings.Contains(job, "active-response/bin/") {
			continue
		}
		fields := strings.Fields(job)
		if len(fields) < 7 || fields[5] != "root" || fields[6] != "/var/ossec/active-response/bin/response-stats.sh" {
			t.Errorf("%q: not five fields, a user and the command", line)
			continue
		}
		if _, err := cron.ParseStandard(strings.Join(fields[:5], " ")); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if strings.Contains(job, "%") {
			t.Errorf("%q: cron takes a %% for a line break", line)
		}
		if !commented {
			active++
			if job != "59 23 * * * root /var/ossec/active-response/bin/response-stats.sh" {
				t.Errorf("the active line is %q", job)
			}
		}
		checkFlags(t, fields[7:])
	}
	if active != 1 {
		t.Errorf("%d active lines", active)
	}
}

// checkFlags checks that the program knows the arguments.
func checkFlags(t *testing.T, args []string) {
	t.Helper()
	h := newHost(t).sample()
	for i, arg := range args {
		if strings.HasPrefix(arg, "/") {
			args[i] = h.home + "/out"
		}
		if arg == "--mail" { // there is no server here
			return
		}
	}
	h.must(args...)
}
