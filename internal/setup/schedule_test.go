package setup

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/crontab"
)

// TestCronFile: crontab(5) as for files in /etc/cron.d, and sh takes every command.
func TestCronFile(t *testing.T) {
	const name = "ossec-ar"
	data, err := os.ReadFile("../../contrib/cron/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(data), "\n") || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(name) {
		t.Error("cron passes over a file without a last newline, or of such a name")
	}
	var jobs []string
	for line := range strings.Lines(string(data)) {
		entry, found := crontab.Parse(line, true)
		if !found {
			continue
		}
		if err := crontab.Check(entry.When); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if entry.User != "root" || strings.Contains(entry.Command, "%") {
			t.Errorf("%s: another user than root, or a %% that cron takes for a newline", line)
		}
		if out, err := exec.Command("sh", "-n", "-c", entry.Command).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", line, out)
		}
		command := entry.Command[strings.LastIndex(entry.Command, "/bin/")+len("/bin/"):]
		jobs = append(jobs, entry.When+" "+strings.ReplaceAll(command, " >/dev/null", ""))
	}
	want := []string{"* * * * * ossec-ar maintain", "59 23 * * * response-stats.sh"}
	if !slices.Equal(jobs, want) {
		t.Errorf("jobs: %q, want %q", jobs, want)
	}
}

// tool returns where a program is, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path := filepath.Join(dir, name); isThere(path) {
			return path
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// fillIn copies files of contrib to a folder, with the paths of another home and its group.
func fillIn(t *testing.T, pattern, dir, home, group string) []string {
	t.Helper()
	files, _ := filepath.Glob("../../contrib/" + pattern)
	var out []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("/var/ossec", home, "su root ossec", "su root "+group).Replace(string(data))
		path := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out = append(out, path)
	}
	return out
}

func TestUnits(t *testing.T) {
	verify := tool(t, "systemd-analyze")
	dir := t.TempDir()
	for _, name := range []string{"bin/ossec-ar", "active-response/bin/response-stats.sh"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	units := fillIn(t, "systemd/*", dir, dir, "root")
	if len(units) != 5 {
		t.Fatalf("found only %q", units)
	}
	for _, unit := range units {
		if !strings.HasSuffix(unit, ".service") {
			continue
		}
		out, err := exec.Command(verify, "security", "--offline=yes", "--no-pager", "--threshold=40",
			unit).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "unrecognized option") { // of before systemd 250
			t.Errorf("%s may do more than it should: %v\n%s", filepath.Base(unit), err, out)
		}
	}
	cmd := exec.Command(verify, append([]string{"verify", "--man=no"}, units...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "ossec-ar") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestLogrotate: the old log keeps its inode under another name, and the new one has mode
// and owner of the old.
func TestLogrotate(t *testing.T) {
	logrotate := tool(t, "logrotate")
	dir := t.TempDir()
	group := "root"
	if os.Geteuid() != 0 {
		t.Skip("it becomes root and a group: run the test as root")
	}
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o770); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"active-responses.log", "notifications.log"} { // the others are missing
		path := filepath.Join(dir, "logs", name)
		if err := os.WriteFile(path, []byte("line\n"), 0o660); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o660); err != nil {
			t.Fatal(err)
		}
	}
	conf := fillIn(t, "logrotate/ossec-ar", dir, dir, group)
	if out, err := exec.Command(logrotate, "-d", conf[0]).CombinedOutput(); err != nil ||
		strings.Contains(string(out), "error:") {
		t.Fatalf("logrotate -d: %v\n%s", err, out)
	}
	log := filepath.Join(dir, "logs/active-responses.log")
	before, inode := stat(t, log), inodeOf(t, log)
	if out, err := exec.Command(logrotate, "-f", "-s", filepath.Join(dir, "state"),
		conf[0]).CombinedOutput(); err != nil {
		t.Fatalf("logrotate: %v\n%s", err, out)
	}
	if inodeOf(t, log) == inode || stat(t, log) != before {
		t.Errorf("the new log: %+v, the old was %+v, or it was cut off instead", stat(t, log), before)
	}
	if inodeOf(t, log+".1") != inode {
		t.Error("the old log was copied")
	}
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
