package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk puts a file system of 64 KiB in the place of a folder. fill makes it full, and
// what it returns makes room again.
func smallDisk(t *testing.T, folder string) (fill func() (makeRoom func())) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(folder, 0o755), unix.Mount("small", folder, "tmpfs", 0, "size=64k,mode=755")); err != nil {
		needKernel(t, fmt.Sprintf("mounting a tmpfs: %v", err))
	}
	t.Cleanup(func() { _ = unix.Unmount(folder, unix.MNT_DETACH) }) // it goes with the namespace otherwise
	filler := filepath.Join(folder, "filler")
	return func() func() {
		err := os.WriteFile(filler, make([]byte, 1<<20), 0o600)
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("the disk is not full: %v", err)
		}
		return func() { must(t, os.Remove(filler)) }
	}
}

// TestFullDisk: where the home can take nothing any more, the block is made and lifted all
// the same, and the fault is reported.
func TestFullDisk(t *testing.T) {
	eachBlocker(t, func(t *testing.T, program string) {
		home := homeOf(program)
		for _, folder := range []string{"var", "logs"} {
			smallDisk(t, filepath.Join(home, folder))()
		}
		var here Host
		out, err := here.Try(t, exec.Command(program, "add", "-", "203.0.113.7", "1.1", "5712"))
		if err != nil || !strings.Contains(out, "no space left on device") {
			t.Errorf("add: %v, %q; want that it blocks and tells the fault", err, out)
		}
		_, _ = here.Try(t, exec.Command(filepath.Join(home, "bin/ossec-ar"), "maintain")) // it reports the disk
		if got := states(t, program); got["203.0.113.7"] != "not asked for" {
			t.Errorf("not blocked: %q", got)
		}
		if out, err := here.Try(t, exec.Command(program, "delete", "-", "203.0.113.7", "1.1", "5712")); err != nil {
			t.Errorf("delete: %v, %q", err, out)
		}
		wantNone(t, "with a full disk", program)
	})
}

// TestFullDiskHostsDeny: where hosts.deny cannot grow, that is reported, the exit status is 1,
// the file stays as it is to the byte, and the block waits until there is room.
func TestFullDiskHostsDeny(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		t.Run(fmt.Sprintf("edited in place %v", inPlace), func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := filepath.Join(buildPrograms(t), "host-deny")
			fill := smallDisk(t, "/etc")
			before := administrators + strings.Repeat("# more of it\n", 1200)
			before = before[:len(before)-len(before)%os.Getpagesize()-1] + "\n" // so that one byte more needs a page more
			must(t, errors.Join(os.WriteFile("/etc/hosts.allow", nil, 0o644), os.WriteFile(hostsDeny, []byte(before), 0o644)))
			if inPlace { // it is a mount of its own, so that it cannot be replaced
				must(t, unix.Mount(hostsDeny, hostsDeny, "", unix.MS_BIND, ""))
			}
			makeRoom := fill()
			var here Host
			out, err := here.Try(t, exec.Command(program, "add", "-", "203.0.113.7", "1.1", "5712"))
			if err == nil || !strings.Contains(out, "adding entry for 203.0.113.7 to /etc/hosts.deny: ") || !strings.Contains(out, "no space left on device") {
				t.Errorf("add: %v, %q", err, out)
			}
			wantHostsDeny(t, "with a full disk", before)
			if got := states(t, program)["203.0.113.7"]; !strings.HasPrefix(got, "waiting: adding entry for ") {
				t.Errorf("with a full disk its state is %q", got)
			}
			makeRoom()
			heals(t, program)
			wantHostsDeny(t, "with room", before+"ALL:203.0.113.7\n")
			makeRoom = fill()
			// What needs no more room is done where it stands: the entry becomes a comment.
			respond(t, program, "delete", "-", "203.0.113.7", "1.1", "5712")
			wantHostsDeny(t, "lifted on a full disk", before+"#ossec-ar      \n")
			respond(t, program, "add", "-", "203.0.113.8", "1.1", "5712")
			wantHostsDeny(t, "blocked on a full disk", before+"ALL:203.0.113.8\n")
			makeRoom()
			respond(t, program, "delete", "-", "203.0.113.8", "1.1", "5712")
			if inPlace {
				before += "#ossec-ar      \n"
			}
			wantHostsDeny(t, "in the end", before)
			entries, err := os.ReadDir("/etc")
			if err != nil || len(entries) != 3 { // the lock, too
				t.Errorf("left over in /etc: %v, %v", entries, err)
			}
		})
	}
}

// TestLogLineOnAFullDisk: what a full disk lets through of a line is not left there for the
// next line to be joined to.
func TestLogLineOnAFullDisk(t *testing.T) {
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "route-null")
	home := homeOf(program)
	fill := smallDisk(t, filepath.Join(home, "logs"))
	log := filepath.Join(home, "logs/active-responses.log")
	before := strings.Repeat("x", os.Getpagesize()-51) + "\n" // 50 bytes of the page are left
	must(t, os.WriteFile(log, []byte(before), 0o660))
	makeRoom := fill()
	var here Host
	out, err := here.Try(t, exec.Command(program, "add", "-", "203.0.113.7", "1.1", "5712"))
	if err != nil || !strings.Contains(out, "writing log: ") || !strings.Contains(out, "no space left on device") {
		t.Errorf("add: %v, %q", err, out)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != before {
		t.Errorf("with a full disk the log ends in %q, %v", strings.TrimLeft(string(text), "x"), err)
	}
	makeRoom()
	respond(t, program, "add", "-", "203.0.113.9", "1.1", "5712")
	text, err := os.ReadFile(log)
	if added := strings.TrimPrefix(string(text), before); err != nil || strings.Count(added, "\n") != 1 || !strings.Contains(added, " add - 203.0.113.9 ") {
		t.Errorf("with room %q was added, %v", added, err)
	}
}

// TestLogFaults: whatever stands where the log should, the block is made and lifted, what
// is wrong is reported, and nothing is written to where a link leads.
func TestLogFaults(t *testing.T) {
	for _, b := range blockers() {
		if b.name != "iptables-nft" && b.program == "firewall-drop" {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := b.set(t)
			logFaults(t, program, filepath.Join(filepath.Dir(program), "../../logs/active-responses.log"), func(addr, told string) {
				var here Host
				for _, action := range []string{"add", "delete"} {
					out, err := here.Try(t, exec.Command(program, action, "-", addr, "1.1", "5712"))
					if err != nil || told == "" && out != "" || !strings.Contains(out, told) {
						t.Errorf("%s: %v, %q; want %q", action, err, out, told)
					}
					if want := map[string]int{"add": 1, "delete": 0}[action]; inForce(t, program) != want {
						t.Errorf("after %s %d are in force, want %d", action, inForce(t, program), want)
					}
				}
			})
		})
	}
}

// logFaults does all that can happen to a log and lets the program respond each time. told
// is what it should say, "" for nothing.
func logFaults(t *testing.T, program, log string, respond func(addr, told string)) {
	t.Helper()
	logs := filepath.Dir(log)
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("keep me\n"), 0o600))
	const notPlain = "opening log: " // and why
	for i, fault := range []struct {
		name string
		do   func() error
		told string
	}{
		{"folder missing", func() error { return os.RemoveAll(logs) }, ""},
		{"log missing", func() error { return os.Remove(log) }, ""},
		{"a folder", func() error { return os.Mkdir(log, 0o755) }, notPlain},
		{"a link to elsewhere", func() error { return os.Symlink(victim, log) }, notPlain},
		{"a link to nothing", func() error { return os.Symlink(victim+"2", log) }, notPlain},
		{"a second name of something else", func() error { return os.Link(victim, log) }, notPlain},
		{"a pipe", func() error { return unix.Mkfifo(log, 0o600) }, notPlain},
		{"a file in the folder's place", func() error { return errors.Join(os.RemoveAll(logs), os.WriteFile(logs, nil, 0o600)) }, "log"},
	} {
		if fault.told == notPlain {
			must(t, os.RemoveAll(log))
		}
		must(t, fault.do())
		respond(fmt.Sprintf("203.0.113.%d", i), fault.told)
		if fault.told == "" {
			if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), fmt.Sprintf(" add - 203.0.113.%d ", i)) {
				t.Errorf("%s: the log is %q, %v", fault.name, text, err)
			}
		}
		if text, err := os.ReadFile(victim); err != nil || string(text) != "keep me\n" {
			t.Errorf("%s: what the link leads to is now %q, %v", fault.name, text, err)
		}
		if _, err := os.Lstat(victim + "2"); err == nil {
			t.Errorf("%s: something was made where the link leads", fault.name)
		}
	}
}

var addLine = regexp.MustCompile(`^[A-Z].* add - 198\.18\.0\.\d+ 1\.1 5712 - Blocked IP: 198\.18\.0\.\d+ \(Rule: 5712\)\n$`)

// TestLogTakenAwayInAStorm: the log is moved away again and again while responses write to
// it, and no line is lost or broken; or it is removed, and what is left is whole.
func TestLogTakenAwayInAStorm(t *testing.T) {
	for _, removed := range []bool{false, true} {
		t.Run(fmt.Sprintf("removed %v", removed), func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			const rounds, each = 5, 30
			bin := buildPrograms(t)
			log := filepath.Join(bin, "../../logs/active-responses.log")
			program := filepath.Join(bin, "firewall-drop.sh")
			gone := 0
			takeAway := func() {
				aside := fmt.Sprintf("%s.%d", log, gone)
				if err := os.Rename(log, aside); err != nil {
					return // there is none at the moment
				}
				gone++
				if removed {
					must(t, os.Remove(aside))
				}
			}
			for round := range rounds {
				var commands []*exec.Cmd
				for i := range each {
					commands = append(commands, start(t, program, "add", "-", fmt.Sprintf("198.18.0.%d", round*each+i), "1.1", "5712"))
					takeAway()
				}
				waitForAll(t, commands, func(int) { takeAway() })
			}
			files, err := filepath.Glob(log + "*")
			must(t, err)
			lines := 0
			for _, file := range files {
				data, err := os.ReadFile(file)
				must(t, err)
				for line := range strings.Lines(string(data)) {
					if !addLine.MatchString(line) {
						t.Errorf("broken line %q", line)
					}
					lines++
				}
			}
			if gone < rounds || !removed && lines != rounds*each {
				t.Errorf("%d lines in %d files, want %d; taken away %d times", lines, len(files), rounds*each, gone)
			}
			agrees(t, program)
			if got := inForce(t, program); got != rounds*each {
				t.Errorf("%d addresses in force, want %d", got, rounds*each)
			}
		})
	}
}
