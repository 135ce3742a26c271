package kernel

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/target"
)

// leaseFault is what can happen to the file that remembers the leases, or to its folder.
type leaseFault struct {
	name   string
	damage func(t *testing.T, file string) (undo func())
	told   string // what the response says; "" for nothing
}

func leaseFaults() []leaseFault {
	overwrite := func(content func(size int) []byte) func(*testing.T, string) func() {
		return func(t *testing.T, file string) func() {
			info, err := os.Stat(file)
			if err == nil {
				err = os.WriteFile(file, content(int(info.Size())), 0o600)
			}
			return must(t, err)
		}
	}
	return []leaseFault{
		{"missing", func(t *testing.T, file string) func() { return must(t, os.Remove(file)) }, ""},
		{"truncated", func(t *testing.T, file string) func() {
			info, err := os.Stat(file)
			must(t, err)
			return must(t, os.Truncate(file, min(1000, info.Size()/2)))
		}, "damaged"},
		{"0 bytes", func(t *testing.T, file string) func() { return must(t, os.Truncate(file, 0)) }, "damaged"},
		{"zeroed", overwrite(func(size int) []byte { return make([]byte, size) }), "damaged"},
		{"garbage", overwrite(func(size int) []byte {
			b := make([]byte, size)
			_, _ = rand.Read(b) // never fails
			return b
		}), "damaged"},
		{"a folder", func(t *testing.T, file string) func() {
			return must(t, errors.Join(os.Remove(file), os.Mkdir(file, 0o700)))
		}, "damaged"},
		{"wrong owner", func(t *testing.T, file string) func() { return giveAway(t, file) }, "is not used"},
		{"folder of another owner", func(t *testing.T, file string) func() {
			return giveAway(t, filepath.Dir(file))
		}, "is not used"},
		{"read-only", readOnly, "read-only file system"},
		{"locked", lockedAll, "still locked by another process"},
	}
}

// giveAway makes a file somebody else's, until the result is called.
func giveAway(t *testing.T, path string) (back func()) {
	t.Helper()
	needRoot(t, "the file is given to another user")
	must(t, os.Chown(path, 12345, 12345))
	return func() { must(t, os.Chown(path, 0, 0)) }
}

func must(t *testing.T, err error) func() {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return func() {}
}

// readOnly makes the folder of the file one that nobody can write in.
func readOnly(t *testing.T, file string) func() {
	dir := filepath.Dir(file)
	must(t, errors.Join(unix.Mount(dir, dir, "", unix.MS_BIND, ""),
		unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")))
	return func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }
}

// lockedAll lets this process hold every file of the leases, by both kinds of lock.
func lockedAll(t *testing.T, file string) func() {
	response, _, _ := strings.Cut(filepath.Base(file), ".")
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(file), response+".*"))
	must(t, err)
	var held []*os.File
	for _, path := range paths {
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		all := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		must(t, errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_EX), unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &all)))
		held = append(held, f)
	}
	return func() {
		for _, f := range held {
			must(t, f.Close())
		}
	}
}

// leaseFile finds the file of the leases among those in the state folder.
func leaseFile(t *testing.T, program string) string {
	t.Helper()
	response := strings.TrimSuffix(filepath.Base(program), ".sh")
	found, err := filepath.Glob(filepath.Join(filepath.Dir(program), "../../var/active-response", response+".*"))
	must(t, err)
	largest, size := "", int64(0)
	for _, path := range found {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() > size && !strings.Contains(path, ".damaged-") {
			largest, size = path, info.Size()
		}
	}
	if largest == "" {
		t.Fatalf("no lease file among %q", found)
	}
	return largest
}

// TestLeaseFaults: whatever becomes of the leases, a block is made and lifted, what is
// wrong is reported, and afterwards all is as before. The lock of a minute is one that is held
// for longer than lease.lock_timeout, which bounds every wait for one.
func TestLeaseFaults(t *testing.T) {
	for _, b := range blockers() {
		if b.name != "iptables-nft" && b.program == "firewall-drop" {
			continue // leases know nothing of how a firewall blocks
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			b.config += "[lease]\nlock_timeout = \"100ms\"\n"
			program := b.set(t)
			for i, fault := range leaseFaults() {
				t.Run(fault.name, func(t *testing.T) { suffer(t, program, fault, i) })
			}
		})
	}
}

// TestFreedBesideABusyAddress: though a response holds the lock of an address for too long, what
// is added and deleted is leased and given back, so that maintain changes nothing of it; and
// unban frees it. flush says what hinders it, changes nothing, and works the next time.
func TestFreedBesideABusyAddress(t *testing.T) {
	for _, b := range blockers() {
		if b.program == "firewall-drop" {
			continue // it is the same for all
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			b.config += "[lease]\nlock_timeout = \"100ms\"\n"
			program := b.set(t)
			const addr = "203.0.113.7"
			var here Host
			busily := func(cmd *exec.Cmd, works bool) {
				t.Helper()
				lock, err := leases(program).LockTarget(target.MustParse(addr))
				must(t, err)
				out, err := here.Try(t, cmd)
				if (err == nil) != works || !strings.Contains(out, "still locked by another process") {
					t.Errorf("%q: %v, %q", cmd.Args[1:], err, out)
				}
				lock.Release()
				heals(t, program)
			}
			call := func(action string) *exec.Cmd { return exec.Command(program, action, "-", addr, "1.1", "5712") }
			busily(call("add"), true)
			if got := states(t, program); got[addr] != "blocked" {
				t.Errorf("after add its state is %q", got)
			}
			busily(tool(program, "flush"), false)
			if got := states(t, program); got[addr] != "blocked" {
				t.Errorf("after a flush that failed its state is %q", got)
			}
			busily(call("delete"), true)
			wantNone(t, "delete", program)
			respond(t, program, "add", "-", addr, "1.1", "5712")
			busily(tool(program, "unban", addr), true)
			wantNone(t, "unban", program)
			respond(t, program, "add", "-", addr, "1.1", "5712")
			person(t, program, "flush")
			wantNone(t, "flush", program)
		})
	}
}

func suffer(t *testing.T, program string, fault leaseFault, i int) {
	var here Host
	inForce := func(step, addr string, want bool) {
		t.Helper()
		state := states(t, program)[addr]
		if got := state == "blocked" || state == "not asked for"; got != want {
			t.Errorf("%s: the state of %s is %q, want it in force: %v", step, addr, state, want)
		}
	}
	before, while := fmt.Sprintf("203.0.113.%d", i), fmt.Sprintf("198.51.100.%d", i)
	call := func(action, addr, told string) {
		t.Helper()
		out, err := here.Try(t, exec.Command(program, action, "-", addr, "1.1", "5712"))
		if err != nil || told == "" && out != "" || !strings.Contains(out, told) {
			t.Errorf("%s of %s: %v, %q; want %q", action, addr, err, out, told)
		}
	}
	logged := logOf(t, program)
	call("add", before, "")
	undo := fault.damage(t, leaseFile(t, program))
	call("add", while, fault.told)
	told := fault.told
	if told == "damaged" {
		told = "" // it was moved aside, and that was told
	}
	call("delete", while, told)
	call("delete", before, told)
	undo()
	for _, addr := range []string{before, while} {
		inForce("in the end", addr, false)
	}
	// What could not be written into the leases meanwhile is mended by the same calls again.
	call("add", before, "")
	inForce("afterwards", before, true)
	call("delete", before, "")
	inForce("afterwards", before, false)
	call("delete", while, "")
	agrees(t, program)
	log := strings.TrimPrefix(logOf(t, program), logged)
	if (strings.Contains(log, " warn - ") && strings.Contains(log, fault.told)) != (fault.told != "") {
		t.Errorf("the log has the fault: %v:\n%s", fault.told == "", log)
	}
}
