package state_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// The test binary started with this in its environment is a process that locks: "hold
// KIND PATH" until standard input ends, or "count KIND PATH COUNTER", which adds one to
// the number in a file under the lock.
const roleVariable = "FILELOCK_TEST_ROLE"

const (
	patience = time.Minute            // bounds what is expected to happen
	refusal  = 100 * time.Millisecond // bounds what is not
)

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

func play(role []string) error {
	if role[0] == "count" { // let go with all others
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
	}
	lock, err := take(role[1], role[2], patience)
	if err != nil {
		return err
	}
	defer lock.Release()
	if role[0] == "count" {
		return addOne(role[3])
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// take takes a lock of a kind: exclusive, shared, all, or the number of a slot.
func take(kind, path string, wait time.Duration) (*state.Lock, error) {
	if kind == "exclusive" {
		return state.Exclusive(path, wait)
	}
	dir, err := state.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	switch kind {
	case "shared":
		return dir.Shared(filepath.Base(path), wait)
	case "all":
		return dir.LockAll(filepath.Base(path), wait)
	}
	slot, err := strconv.ParseUint(kind, 10, 32)
	if err != nil {
		return nil, err
	}
	return dir.LockSlot(filepath.Base(path), uint32(slot), wait)
}

func addOne(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(content))
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
}

func player(role ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "), "GORACE=atexit_sleep_ms=10")
	cmd.Stderr = os.Stderr
	return cmd
}

// holder is a process that holds a lock.
type holder struct {
	cmd  *exec.Cmd
	open io.Closer // closing it makes the process release and end
}

// hold returns when the process holds the lock.
func hold(t *testing.T, kind, path string) holder {
	t.Helper()
	cmd := player("hold", kind, path)
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
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return holder{cmd, in}
}

func TestExclusion(t *testing.T) {
	for _, test := range []struct {
		held, asked string
		free        bool
	}{
		{"exclusive", "exclusive", false}, {"exclusive", "shared", false},
		{"shared", "exclusive", false}, {"shared", "shared", true},
		{"7", "7", false}, {"7", "8", true}, {"7", "all", false},
		{"all", "7", false}, {"all", "all", false}, {"all", "0", false}, {"all", "2147483647", false},
		{"2147483648", "0", false}, // 2^31 places, no more
	} {
		t.Run(test.held+" and "+test.asked, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			other := hold(t, test.held, path)
			lock, err := take(test.asked, path, refusal)
			if test.free {
				if err != nil {
					t.Errorf("beside one another: %v", err)
				}
				lock.Release()
				return
			}
			if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), path) || lock != nil {
				t.Errorf("got %v, %v, want ErrTimeout for %s", lock, err, path)
			}
			lock.Release() // of nothing

			// It is free as soon as the holder lets go, while this one waits.
			got := make(chan error, 1)
			go func() {
				lock, err := take(test.asked, path, patience)
				lock.Release()
				got <- err
			}()
			_ = other.open.Close()
			if err := <-got; err != nil {
				t.Errorf("after the release: %v", err)
			}
		})
	}
}

// TestKilledHolder: who is killed holds nothing any more.
func TestKilledHolder(t *testing.T) {
	for _, kind := range []string{"exclusive", "shared", "7", "all"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			other := hold(t, kind, path)
			asked := kind
			if kind == "shared" {
				asked = "exclusive"
			}
			got := make(chan error, 1)
			go func() {
				lock, err := take(asked, path, patience)
				lock.Release()
				got <- err
			}()
			if err := other.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := <-got; err != nil {
				t.Errorf("after kill -9: %v", err)
			}
		})
	}
}

// TestWithinOneProcess: goroutines exclude one another as processes do.
func TestWithinOneProcess(t *testing.T) {
	for _, kind := range []string{"exclusive", "7", "all"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			var inside, entered atomic.Int32 // the race detector does not know the kernel's locks
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					lock, err := take(kind, path, patience)
					if err != nil {
						t.Error(err)
						return
					}
					defer lock.Release()
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d at once", n)
					}
					entered.Add(1)
					runtime.Gosched()
					inside.Add(-1)
				})
			}
			all.Wait()
			if n := entered.Load(); n != 50 {
				t.Errorf("%d got in, want 50", n)
			}
		})
	}
}

// TestTimeoutLeavesNothing: a wait that was given up takes no lock later on, or gives it
// back at once.
func TestTimeoutLeavesNothing(t *testing.T) {
	for _, kind := range []string{"exclusive", "7"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			other := hold(t, kind, path)
			for range 5 {
				if _, err := take(kind, path, time.Millisecond); !errors.Is(err, state.ErrLocked) {
					t.Fatalf("got %v, want ErrTimeout", err)
				}
			}
			_ = other.open.Close()
			lock, err := take(kind, path, patience)
			if err != nil {
				t.Fatal(err)
			}
			lock.Release()
		})
	}
}

// TestProcessesAtOnce: 100 processes, let go at the same moment, one after the other.
func TestProcessesAtOnce(t *testing.T) {
	for _, kind := range []string{"exclusive", "7"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			counter := filepath.Join(dir, "counter")
			if err := os.WriteFile(counter, []byte("0"), 0o600); err != nil {
				t.Fatal(err)
			}
			gate, open, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmds := make([]*exec.Cmd, 100)
			for i := range cmds {
				cmds[i] = player("count", kind, filepath.Join(dir, "lock"), counter)
				cmds[i].Stdin = gate
				if err := cmds[i].Start(); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(open.Close(), gate.Close()); err != nil {
				t.Fatal(err)
			}
			for _, cmd := range cmds {
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
			}
			if got, _ := os.ReadFile(counter); string(got) != "100" {
				t.Errorf("counted to %s, want 100", got)
			}
		})
	}
}

func TestLockFile(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("keep me\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"exclusive", "shared", "7", "all"} {
		path := filepath.Join(dir, kind)
		before := syscall.Umask(0)
		lock, err := take(kind, path, refusal)
		syscall.Umask(before)
		if err != nil {
			t.Fatal(err)
		}
		lock.Release()
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: the lock file is %v (%v), want a plain file of mode 600", kind, info.Mode(), err)
		}

		for what, target := range map[string]string{"a file": victim, "nothing": filepath.Join(dir, "none")} {
			link := filepath.Join(dir, "link")
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			lock, err := take(kind, link, refusal)
			if !errors.Is(err, syscall.ELOOP) || !strings.Contains(err.Error(), link) {
				t.Errorf("%s, a link to %s: %v, %v, want ELOOP", kind, what, lock, err)
			}
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := take(kind, dir, refusal); !errors.Is(err, syscall.EISDIR) {
			t.Errorf("%s, a folder: %v, want EISDIR", kind, err)
		}
		if _, err := take(kind, filepath.Join(dir, "no/lock"), refusal); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, no folder: %v, want ErrNotExist", kind, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "none")); err == nil {
		t.Error("what a link names was made")
	}
	if got, _ := os.ReadFile(victim); string(got) != "keep me\n" {
		t.Errorf("the file that a link names is now %q", got)
	}
}

// TestLineThatMoves: who waits gives up when the holder does not change, and not while others come
// and go before.
func TestLineThatMoves(t *testing.T) {
	const wait, turns = time.Second, 4
	path := filepath.Join(t.TempDir(), "lock")
	first := hold(t, "exclusive", path)
	got := make(chan error)
	began := time.Now()
	go func() {
		lock, err := take("exclusive", path, wait)
		lock.Release()
		got <- err
	}()
	// What one that takes a turn does, but that the lock does not go to the one that waits.
	for range turns {
		select {
		case err := <-got:
			t.Fatalf("gave up after %s: %v", time.Since(began), err)
		case <-time.After(wait / 2):
		}
		if err := os.WriteFile(path, fmt.Append(nil, time.Now().UnixNano()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := <-got
	if took := time.Since(began); !errors.Is(err, state.ErrLocked) || took < turns*wait/2 {
		t.Errorf("gave up after %s: %v", took, err)
	}
	_ = first.open.Close()
	if _, err = take("exclusive", path, patience); err != nil {
		t.Errorf("in the end: %v", err)
	}

	// Other slots move, but this one is held for ever.
	path += ".slots"
	hold(t, "7", path)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				lock, _ := take("8", path, patience)
				lock.Release()
			}
		}
	}()
	if _, err := take("7", path, 20*time.Millisecond); !errors.Is(err, state.ErrLocked) {
		t.Errorf("a slot that does not get free while others do: %v", err)
	}
}
