package hold_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/hostsdeny"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestManyWaitToLift: of many who wait for their turn to edit one file, the first takes the lines of all
// out, but not that of an address which somebody wants again, or which nobody lifts.
func TestManyWaitToLift(t *testing.T) {
	const n = 20
	dir := t.TempDir()
	settings := config.Default()
	settings.HostDeny.File = filepath.Join(dir, "hosts.deny")
	holder := func() *hold.Holder { // as each process has its own
		h, err := hold.Open(hostsdeny.Kind, hold.Options{
			Home: ossec.Home(filepath.Join(dir, "ossec")), Settings: settings, Now: time.Now, Proc: "/proc",
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := holder()
	for i := range n + 2 {
		take(t, h, "host-deny", addr(i))
	}
	waits := func(i int) bool {
		on, err := h.Leases.On(addr(i))
		return err == nil && len(on) == 1 && on[0].State == lease.Lifting
	}
	// One was being lifted by a process that was killed, and is wanted again by another program.
	again := addr(n)
	killed := lease.Lease{Target: again, Program: "host-deny", Since: now, Renewed: now, State: lease.Lifting}
	if err := h.Leases.Update(func(tx *lease.Tx) error { return tx.Put(killed) }); err != nil {
		t.Fatal(err)
	}
	take(t, h, "another", again)

	lock, err := state.Exclusive(linefile.LockBeside(settings.HostDeny.File), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if r, err := holder().Release(t.Context(), addr(i), "host-deny"); err != nil || r.LeaseErr != nil {
				t.Error(err, r.LeaseErr)
			}
		})
	}
	for i := range n {
		for deadline := time.Now().Add(time.Minute); !waits(i); {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not being lifted", addr(i))
			}
		}
	}
	replaced := countNames(t, dir, "hosts.deny")
	lock.Release()
	all.Wait()
	if got := replaced(); got != 1 {
		t.Errorf("the file was written %d times, want once", got)
	}
	content, err := os.ReadFile(settings.HostDeny.File)
	want := "ALL:" + again.String() + "\nALL:" + addr(n+1).String() + "\n"
	if err != nil || string(content) != want {
		t.Errorf("%v\n got %q\nwant %q", err, content, want)
	}
}

// jointFake notes whether it was to lift what others are lifting.
type jointFake struct {
	*enforcertest.Fake
	asks bool
}

func (j *jointFake) UnblockJoint(ctx context.Context, t target.Target, _ func() []target.Target) error {
	j.asks = true
	return j.Unblock(ctx, t)
}

// TestLeasesLockedAskedOnce: leases that somebody has locked for too long are not waited for again while
// nobody else can edit the file that the block is in.
func TestLeasesLockedAskedOnce(t *testing.T) {
	h, fake := newHolder(t, true)
	joint := &jointFake{Fake: fake}
	h.Enforcer = joint
	for _, locked := range []bool{false, true} {
		take(t, h, "host-deny", addr(1))
		if locked {
			h.Leases.Wait = time.Millisecond
			lock, err := state.Exclusive(h.Leases.Path()+".lock", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Release()
		}
		joint.asks = false
		r, err := h.Release(t.Context(), addr(1), "host-deny")
		if err != nil || (r.LeaseErr != nil) != locked || joint.asks == locked {
			t.Errorf("locked %v: %v, %v, asks who else is lifting: %v", locked, err, r.LeaseErr, joint.asks)
		}
		wantBlocked(t, "released", fake, []target.Target{}...)
	}
}

// countNames returns how often, since it was called, a file came to a name in a folder by rename(2).
func countNames(t *testing.T, dir, name string) func() int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	return func() (n int) {
		defer func() { _ = unix.Close(fd) }()
		buf := make([]byte, 64<<10)
		got, err := unix.Read(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		for b := buf[:got]; len(b) > 0; {
			length := int(b[12]) + int(b[13])<<8 // of the name, padded: inotify(7)
			if string(b[unix.SizeofInotifyEvent:][:len(name)+1]) == name+"\x00" {
				n++
			}
			b = b[unix.SizeofInotifyEvent+length:]
		}
		return n
	}
}
