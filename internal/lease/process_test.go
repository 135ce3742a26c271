package lease_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// The test binary started with this in its environment is a process of its own; see play.
const roleVariable = "LEASE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := strings.Fields(os.Getenv(roleVariable)); len(role) > 0 {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play is what a process does:
//
//	wait           until standard input ends
//	lock PATH      holds the lock, says so, and waits
//	take DIR N     waits, and takes one lease
//	forever DIR N  takes and gives back leases, and prints each that stands
func play(role []string) error {
	wait := func() error { _, err := io.Copy(io.Discard, os.Stdin); return err }
	switch role[0] {
	case "wait":
		return wait()
	case "lock":
		lock, err := state.Exclusive(role[1], time.Minute)
		if err != nil {
			return err
		}
		defer lock.Release()
		fmt.Println("held")
		return wait()
	}
	n, err := strconv.Atoi(role[2])
	if err != nil {
		return err
	}
	s := lease.New(role[1], "firewall-drop")
	s.Wait = time.Minute
	if role[0] == "take" {
		if err := wait(); err != nil {
			return err
		}
		err := put(s, taken(numbered(n, 0), "a", 1))
		return errors.Join(append(s.Faults(), err)...)
	}
	for i := 0; ; i++ {
		addr := numbered(n, i)
		l := taken(addr, "a", 1)
		if err := put(s, l); err != nil {
			return err
		}
		if len(s.Faults()) > 0 {
			return errors.Join(s.Faults()...)
		}
		if i%3 > 0 { // one in three is given back
			fmt.Println(addr)
			continue
		}
		l.State = lease.Lifting
		if err := put(s, l); err != nil {
			return err
		}
		if err := end(s, l); err != nil {
			return err
		}
	}
}

// numbered is address i of process n.
func numbered(n, i int) target.Target {
	return target.Of(netip.AddrFrom4([4]byte{10, byte(n), byte(i >> 8), byte(i)}))
}

func player(ctx context.Context, role ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "), "GORACE=atexit_sleep_ms=10")
	return cmd
}

// TestProcessesAtOnce: 200 processes, let go at the same moment, with no file there.
func TestProcessesAtOnce(t *testing.T) {
	s := newStore(t)
	gate, open, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const count = 200
	cmds, stderr := make([]*exec.Cmd, count), make([]bytes.Buffer, count)
	for i := range cmds {
		cmds[i] = player(t.Context(), "take", filepath.Dir(s.Path()), fmt.Sprint(i))
		cmds[i].Stdin, cmds[i].Stderr = gate, &stderr[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(open.Close(), gate.Close()); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, &stderr[i])
		}
	}
	var leases []lease.Lease
	for i := range count {
		leases = append(leases, taken(numbered(i, 0), "a", 1))
	}
	want(t, s, leases...)
}

// TestKilledAtAnyPoint: processes that take and give back leases without end are killed
// at random moments, many of them while the file does not exist yet. Whatever lease one
// of them was told to stand is there afterwards.
func TestKilledAtAnyPoint(t *testing.T) {
	for round := range 6 {
		s := newStore(t)
		dir := filepath.Dir(s.Path())
		var mu sync.Mutex
		told := map[target.Target]bool{}
		for wave := range 2 {
			var processes sync.WaitGroup
			for n := range 8 {
				processes.Go(func() {
					life := time.Duration(rand.Int64N(int64(300 * time.Millisecond)))
					ctx, cancel := context.WithTimeout(t.Context(), life)
					defer cancel()
					cmd := player(ctx, "forever", dir, fmt.Sprint(wave*8+n))
					var stderr bytes.Buffer
					cmd.Stderr = &stderr
					out, err := cmd.Output()
					if err == nil || stderr.Len() > 0 {
						t.Errorf("a process ended by itself: %v: %s", err, &stderr)
					}
					mu.Lock()
					defer mu.Unlock()
					for line := range strings.Lines(string(out)) {
						if text, whole := strings.CutSuffix(line, "\n"); whole {
							told[target.MustParse(text)] = true
						}
					}
				})
			}
			processes.Wait()
			leases, err := another(s).All()
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			standing := map[target.Target]bool{}
			for _, l := range leases {
				standing[l.Target] = true
			}
			for addr := range told {
				if !standing[addr] {
					t.Errorf("round %d: the lease on %s is lost", round, addr)
				}
			}
		}
		if aside, _ := filepath.Glob(s.Path() + ".damaged-*"); len(aside) > 0 {
			t.Errorf("round %d: moved aside: %q", round, aside)
		}
		mustPut(t, s, taken(v6, "a", 1))
		t.Logf("round %d: %d leases told", round, len(told))
	}
}

// TestLocked: a process that holds the file for too long costs the wait and no more.
func TestLocked(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, taken(v4, "a", 1))
	cmd := player(t.Context(), "lock", s.Path()+".lock")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	s.Wait = 50 * time.Millisecond
	calls := map[string]func() error{
		"Put":    func() error { return put(s, taken(v4, "b", 1)) },
		"Delete": func() error { return end(s, taken(v4, "a", 1)) },
		"On":     func() error { _, err := s.On(v4); return err },
		"All":    func() error { _, err := s.All(); return err },
	}
	for name, call := range calls {
		start := time.Now()
		err := call()
		if !errors.Is(err, state.ErrLocked) {
			t.Errorf("%s: %v, want ErrLocked", name, err)
		}
		if took := time.Since(start); took < s.Wait || took > time.Minute {
			t.Errorf("%s took %s, want about %s", name, took, s.Wait)
		}
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s.Wait = lease.DefaultWait
	want(t, s, taken(v4, "a", 1)) // nothing of it was done later either
	for _, name := range []string{"Put", "On", "All"} {
		if err := calls[name](); err != nil {
			t.Errorf("%s after the release: %v", name, err)
		}
	}
}

// TestLockTarget: one address is for one at a time, others are free meanwhile, and LockAll
// keeps out everybody.
func TestLockTarget(t *testing.T) {
	s := newStore(t)
	other := lease.New(filepath.Dir(s.Path()), "firewall-drop")
	other.Wait = 50 * time.Millisecond
	lock, err := s.LockTarget(v4)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := other.LockTarget(v4); !errors.Is(err, state.ErrLocked) {
		t.Errorf("the same address: %v, %v, want ErrLocked", l, err)
	}
	if l, err := other.LockAll(); !errors.Is(err, state.ErrLocked) {
		t.Errorf("all: %v, %v, want ErrLocked", l, err)
	}
	l, err := other.LockTarget(v6)
	if err != nil {
		t.Errorf("another address: %v", err)
	}
	l.Release()
	l, err = lease.New(filepath.Dir(s.Path()), "host-deny").LockTarget(v4)
	if err != nil {
		t.Errorf("another response: %v", err)
	}
	l.Release()
	lock.Release()
	if lock, err = s.LockAll(); err != nil {
		t.Fatal(err)
	}
	if l, err := other.LockTarget(v4); !errors.Is(err, state.ErrLocked) {
		t.Errorf("while all are locked: %v, %v, want ErrLocked", l, err)
	}
	lock.Release()
	if l, err = other.LockTarget(v4); err != nil {
		t.Errorf("after the release: %v", err)
	}
	l.Release()
}

// daemon starts a real process of that name that runs until it is killed.
func daemon(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bin", name)
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := player(t.Context(), "wait")
	cmd.Path, cmd.Args = path, []string{path}
	if _, err := cmd.StdinPipe(); err != nil { // stays open as long as the test
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func TestRealDaemon(t *testing.T) {
	for _, name := range []string{"ossec-execd", "wazuh-execd"} {
		cmd := daemon(t, name)
		pid := cmd.Process.Pid
		home := ossec.Home(filepath.Dir(filepath.Dir(cmd.Path)))
		d := lease.FindDaemon(home, "/proc", pid)
		if d == nil || d.Name != name || d.PID != pid || d.Start == 0 || d.Boot == "" {
			t.Fatalf("%s: found %+v", name, d)
		}
		if !d.Alive("/proc") {
			t.Errorf("%s runs and is not alive", name)
		}
		reused := *d
		reused.Start--
		if reused.Alive("/proc") {
			t.Errorf("%s: an earlier process of the same pid is alive", name)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		// It has ended, and nobody has waited for it yet, as under an init that does not.
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		if d.Alive("/proc") {
			t.Errorf("%s is a zombie and alive", name)
		}
		_ = cmd.Wait() // "signal: killed"
		if d.Alive("/proc") {
			t.Errorf("%s is gone and alive", name)
		}
		if again := lease.FindDaemon(home, "/proc", pid); again != nil {
			t.Errorf("%s is gone and found: %+v", name, again)
		}
	}
	if d := lease.FindDaemon(ossec.DefaultHome, "/proc", os.Getpid()); d != nil {
		t.Errorf("this test is no daemon: %+v", d)
	}
	other := daemon(t, "ossec-execd2")
	if d := lease.FindDaemon(ossec.Home(filepath.Dir(filepath.Dir(other.Path))), "/proc", other.Process.Pid); d != nil {
		t.Errorf("a process of another name: %+v", d)
	}
	if d := lease.FindDaemon(ossec.DefaultHome, "/proc", daemon(t, "ossec-execd").Process.Pid); d != nil {
		t.Errorf("a daemon of another home: %+v", d)
	}
}
