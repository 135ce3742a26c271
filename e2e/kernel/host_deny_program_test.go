package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const hostsDeny = "/etc/hosts.deny"

// ownEtc gives the test an /etc of its own with empty access files, so that the real
// program edits the real place. content is that of hosts.deny, "" for no such file.
func ownEtc(t *testing.T, content string) {
	t.Helper()
	if err := unix.Mount("etc", "/etc", "tmpfs", 0, "mode=755"); err != nil {
		t.Fatalf("mounting /etc: %v", err)
	}
	files := map[string]string{"/etc/hosts.allow": "", hostsDeny: content}
	for path, content := range files {
		if path == hostsDeny && content == "" {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var verdict = regexp.MustCompile(`access: +(granted|denied)`)

// wantAccess asks libwrap whether addr may talk to sshd.
func wantAccess(t *testing.T, step, addr, want string) {
	t.Helper()
	cmd := exec.Command(Program(t, "tcpdmatch"), "-d", "sshd", addr) // -d: the files of the working directory
	cmd.Dir = "/etc"
	out, err := cmd.CombinedOutput()
	match := verdict.FindSubmatch(out)
	if err != nil || match == nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	if got := string(match[1]); got != want {
		t.Errorf("%s: %s is %s, want %s", step, addr, got, want)
	}
}

func wantHostsDeny(t *testing.T, step, want string) {
	t.Helper()
	got, err := os.ReadFile(hostsDeny)
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
	if string(got) != want {
		t.Errorf("%s: hosts.deny is\n%s\nwant\n%s", step, got, want)
	}
}

// administrators is a hosts.deny before anything is blocked.
const administrators = "# the administrator's\nsshd: 192.0.2.1\nALL: 192.0.2.2 : banners /etc/banners\n"

// TestHostDenyProgramObeyed: the real program, on /etc/hosts.deny, and TCP wrappers'
// own answer before, while and after an address is blocked.
func TestHostDenyProgramObeyed(t *testing.T) {
	for name, content := range map[string]string{"no file": "", "the administrator's": administrators} {
		t.Run(name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := filepath.Join(buildPrograms(t), "host-deny")
			Program(t, "tcpdmatch")
			ownEtc(t, content)
			for _, addr := range []struct{ blocked, neighbour string }{{"203.0.113.7", "203.0.113.70"}, {"2001:db8::7", "2001:db8::70"}} {
				if content != "" {
					wantAccess(t, "before", addr.blocked, "granted")
				}
				respond(t, program, "add", "-", addr.blocked, "1304756247.60385", "5712")
				wantAccess(t, "after add", addr.blocked, "denied")
				wantAccess(t, "after add", addr.neighbour, "granted")
				respond(t, program, "delete", "-", addr.blocked, "1304756247.60385", "5712")
				wantAccess(t, "after delete", addr.blocked, "granted")
			}
			wantHostsDeny(t, "in the end", content)
		})
	}
}

// TestHostDenyProgramBindMount: a hosts.deny that is a mount of its own, as in a
// container, can't be replaced and is edited where it is.
func TestHostDenyProgramBindMount(t *testing.T) {
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "host-deny")
	Program(t, "tcpdmatch")
	outside := filepath.Join(t.TempDir(), "hosts.deny")
	if err := os.WriteFile(outside, []byte(administrators), 0o644); err != nil {
		t.Fatal(err)
	}
	ownEtc(t, "x")
	if err := unix.Mount(outside, hostsDeny, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	respond(t, program, "add", "-", "203.0.113.7", "1304756247.60385", "5712")
	wantAccess(t, "after add", "203.0.113.7", "denied")
	wantAccess(t, "after add", "203.0.113.70", "granted")
	if got, err := os.ReadFile(outside); err != nil || string(got) != administrators+"ALL:203.0.113.7\n" {
		t.Errorf("outside it reads %q, %v", got, err)
	}
	respond(t, program, "delete", "-", "203.0.113.7", "1304756247.60385", "5712")
	wantAccess(t, "after delete", "203.0.113.7", "granted")
	if got, err := os.ReadFile(hostsDeny); err != nil || !bytes.HasPrefix(got, []byte(administrators)) {
		t.Errorf("hosts.deny is now %q, %v", got, err)
	}
}

// TestHostDenyProgramStorm: 200 adds at once and then 200 deletes at once.
func TestHostDenyProgramStorm(t *testing.T) {
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "host-deny")
	ownEtc(t, administrators)
	stop := readAllTheTime(t)
	storm(t, program, "add", 200)
	content, err := os.ReadFile(hostsDeny)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if line := fmt.Sprintf("\nALL:198.18.%d.%d\n", i/250, i%250); bytes.Count(content, []byte(line)) != 1 {
			t.Errorf("%q stands %d times", line, bytes.Count(content, []byte(line)))
		}
	}
	storm(t, program, "delete", 200)
	stop()
	wantHostsDeny(t, "after all deletes", administrators)
	wantNothingLeft(t)
}

// TestHostDenyProgramKilled: the real program is killed at random moments, again and
// again. The file is whole for every reader at every moment, and no entry stands that no
// lease knows of: nobody would ever take it out.
func TestHostDenyProgramKilled(t *testing.T) {
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "host-deny")
	ownEtc(t, administrators)
	stop := readAllTheTime(t)
	killed := 0
	for round := range 40 {
		var all sync.WaitGroup
		var mu sync.Mutex
		for i := range 6 {
			all.Go(func() {
				action := []string{"add", "delete"}[rand.IntN(2)]
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(12*time.Millisecond))))
				defer cancel()
				cmd := exec.CommandContext(ctx, program, action, "-", fmt.Sprintf("203.0.113.%d", rand.IntN(20)), "1304756247.60385", "5712")
				cmd.Dir, cmd.Env = "/", []string{}
				out, err := cmd.CombinedOutput()
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil && ctx.Err() != nil:
					killed++
				case err != nil || len(out) > 0:
					t.Errorf("round %d, %d: %v: %s", round, i, err, out)
				}
			})
		}
		all.Wait()
		for addr, state := range states(t, program) {
			if state == "not asked for" {
				t.Errorf("round %d: %s stands in the file, and no lease knows it", round, addr)
			}
		}
	}
	stop()
	if killed < 20 {
		t.Errorf("only %d processes were killed", killed)
	}
	t.Logf("%d processes were killed", killed)
	person(t, program, "flush")
	wantHostsDeny(t, "after flush", administrators)
	respond(t, program, "add", "-", "203.0.113.7", "1304756247.60385", "5712")
	wantHostsDeny(t, "a last add", administrators+"ALL:203.0.113.7\n")
	wantNothingLeft(t) // what a killed run leaves is cleared by the next one that edits
}

var entry = regexp.MustCompile(`^ALL:[0-9.]+\n$`)

// readAllTheTime reads the file over and over until the function that it returns is
// called, and checks that it is whole each time.
func readAllTheTime(t *testing.T) (stop func()) {
	t.Helper()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for reads := 0; ; reads++ {
			content, err := os.ReadFile(hostsDeny)
			rest, whole := bytes.CutPrefix(content, []byte(administrators))
			for line := range bytes.Lines(rest) {
				whole = whole && entry.Match(line)
			}
			if err != nil || !whole {
				t.Errorf("read %d: %v, not whole: %q", reads, err, content)
				return
			}
			select {
			case <-done:
				t.Logf("%d reads, all whole", reads)
				return
			default:
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// wantNothingLeft checks that no temporary file is left over; the lock stays.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir("/etc")
	for _, e := range entries {
		if name := e.Name(); name != "hosts.allow" && name != "hosts.deny" && name != ".hosts.deny.ossec-ar.lock" {
			err = errors.Join(err, fmt.Errorf("/etc/%s is left over", name))
		}
	}
	if err != nil {
		t.Error(err)
	}
}
