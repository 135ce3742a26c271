package hold_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var now = time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC)

func addr(i int) target.Target {
	return target.Of(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
}

func newHolder(t *testing.T, inFile bool) (*hold.Holder, *enforcertest.Fake) {
	t.Helper()
	return open(t, enforcertest.NewFake(), filepath.Join(t.TempDir(), "ossec"), inFile)
}

func open(t *testing.T, fake *enforcertest.Fake, home string, inFile bool) (*hold.Holder, *enforcertest.Fake) {
	t.Helper()
	kind := fake.Kind("firewall-drop")
	kind.InFile = inFile
	h, err := hold.Open(kind, hold.Options{
		Home: ossec.Home(home), Settings: config.Default(), Now: func() time.Time { return now }, Proc: "/proc",
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, fake
}

func take(t *testing.T, h *hold.Holder, program string, addrs ...target.Target) {
	t.Helper()
	for _, a := range addrs {
		taken, err := h.Take(t.Context(), lease.Lease{Target: a, Program: program, Since: now, Renewed: now})
		if err := errors.Join(err, taken.LeaseErr); err != nil {
			t.Fatal(err)
		}
	}
}

func nobody(target.Target) (string, bool) { return "", false }

func wantBlocked(t *testing.T, step string, fake *enforcertest.Fake, addrs ...target.Target) {
	t.Helper()
	if d := cmp.Diff(fmt.Sprint(addrs), fmt.Sprint(fake.Blocked())); d != "" {
		t.Errorf("%s: blocked (-want +got):\n%s", step, d)
	}
}

// TestRepair: whatever somebody did to the host, it is as the leases want it afterwards, and a
// second repair finds nothing.
func TestRepair(t *testing.T) {
	for _, test := range []struct {
		name string
		harm func(*enforcertest.Fake)
		want string
	}{
		{"nothing", func(*enforcertest.Fake) {}, "[] [] []"},
		{"a flush", func(f *enforcertest.Fake) { f.Lose() }, "[] [198.18.0.1 198.18.0.2] []"},
		{"one lost", func(f *enforcertest.Fake) { f.Lose(addr(1)) }, "[] [198.18.0.1] []"},
		{"the place lost", func(f *enforcertest.Fake) { f.LosePlace() }, "[] [198.18.0.1 198.18.0.2] []"},
		{"an old block came back", func(f *enforcertest.Fake) { f.Put(addr(3)) }, "[] [] [198.18.0.3]"},
		{"both", func(f *enforcertest.Fake) { f.Lose(addr(1)); f.Put(addr(3)) }, "[] [198.18.0.1] [198.18.0.3]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := newHolder(t, false)
			take(t, h, "firewall-drop.sh", addr(1), addr(2))
			test.harm(fake)
			r, err := h.Repair(t.Context(), nobody)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(r.Place, r.Blocked, r.Lifted); got != test.want {
				t.Errorf("changed %s, want %s", got, test.want)
			}
			wantBlocked(t, "after repair", fake, addr(1), addr(2))
			if r, err := h.Repair(t.Context(), nobody); err != nil || !r.Found.None() {
				t.Errorf("a second repair: %+v, %v", r, err)
			}
		})
	}
}

// TestRepairBypass: blocks that packets pass by are in force again.
func TestRepairBypass(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1))
	fake.Bypass()
	d, err := h.Compare(t.Context(), nobody)
	if err != nil || len(d.Place) == 0 || len(d.Missing) != 1 {
		t.Fatalf("compared: %+v, %v", d, err)
	}
	r, err := h.Repair(t.Context(), nobody)
	if err != nil || len(r.Place) == 0 {
		t.Fatalf("repaired: %+v, %v", r, err)
	}
	if d, err := h.Compare(t.Context(), nobody); err != nil || !d.None() {
		t.Errorf("afterwards: %+v, %v", d, err)
	}
}

func TestRepairWhitelisted(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1), addr(2))
	r, err := h.Repair(t.Context(), func(a target.Target) (string, bool) { return "an entry", a == addr(1) })
	if err != nil || len(r.Never) != 1 || r.Never[0].By != "an entry" {
		t.Fatalf("repaired: %+v, %v", r, err)
	}
	wantBlocked(t, "afterwards", fake, addr(2))
	if on, err := h.Leases.On(addr(1)); err != nil || len(on) != 0 {
		t.Errorf("leases on it: %v, %v", on, err)
	}
}

// TestRepairInFile: in a file that is the administrator's too, a line that nobody leases stays.
func TestRepairInFile(t *testing.T) {
	h, fake := newHolder(t, true)
	take(t, h, "host-deny.sh", addr(1))
	fake.Put(addr(3))
	if _, err := h.Repair(t.Context(), nobody); err != nil {
		t.Fatal(err)
	}
	wantBlocked(t, "repair", fake, addr(1), addr(3))
	if _, err := h.Flush(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantBlocked(t, "flush", fake, addr(3))
}

// TestRepairOneFails: an address that cannot be blocked does not keep the others from it.
func TestRepairOneFails(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1), addr(2), addr(3))
	fake.Lose()
	fake.FailAddr(addr(2), errors.New("no such address"))
	if _, err := h.Repair(t.Context(), nobody); err == nil {
		t.Error("no error")
	}
	wantBlocked(t, "with one that fails", fake, addr(1), addr(3))
	fake.FailAddr(addr(2), nil)
	if _, err := h.Repair(t.Context(), nobody); err != nil {
		t.Error(err)
	}
	wantBlocked(t, "when it works again", fake, addr(1), addr(2), addr(3))
}

// TestRepairRefused: what the enforcer refuses is an error once, and nobody's lease then.
func TestRepairRefused(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1), addr(2))
	fake.Lose()
	fake.FailAddr(addr(2), &enforcer.Refused{Why: "never"})
	if _, err := h.Repair(t.Context(), nobody); err == nil || !strings.HasPrefix(err.Error(), "198.18.0.2 is not blocked: ") {
		t.Errorf("the first time: %v", err)
	}
	wantBlocked(t, "afterwards", fake, addr(1))
	if _, err := h.Repair(t.Context(), nobody); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if on, err := h.Leases.On(addr(2)); err != nil || len(on) != 0 {
		t.Errorf("leases on it: %v, %v", on, err)
	}
}

// TestRepairWaiting: a block that could not be made is made, and waits no longer.
func TestRepairWaiting(t *testing.T) {
	for name, meanwhile := range map[string]func(*enforcertest.Fake){
		"free": func(*enforcertest.Fake) {}, "it stands by now": func(f *enforcertest.Fake) { f.Put(addr(1)) },
	} {
		t.Run(name, func(t *testing.T) { repairWaiting(t, meanwhile) })
	}
}

func repairWaiting(t *testing.T, meanwhile func(*enforcertest.Fake)) {
	h, fake := newHolder(t, false)
	fake.Fail("Block", errors.New("no memory"))
	if _, err := h.Take(t.Context(), lease.Lease{Target: addr(1), Program: "firewall-drop.sh", Since: now, Renewed: now}); err == nil {
		t.Fatal("no error")
	}
	fake.Fail("Block", nil)
	meanwhile(fake)
	if r, err := h.Repair(t.Context(), nobody); err != nil || len(r.Blocked) != 1 {
		t.Fatalf("repaired: %+v, %v", r, err)
	}
	if on, err := h.Leases.On(addr(1)); err != nil || len(on) != 1 || on[0].State != lease.Held || on[0].Reason != "" {
		t.Errorf("leases: %+v, %v", on, err)
	}
}

// TestRepairTwice: two at once do not fight.
func TestRepairTwice(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1))
	other, _ := open(t, fake, string(h.Home), false)
	var wg sync.WaitGroup
	var second error
	fake.Lose()
	started := make(chan bool)
	wg.Go(func() {
		<-started
		_, second = other.Repair(t.Context(), nobody)
	})
	once := sync.OnceFunc(func() { close(started); wg.Wait() })
	_, err := h.Repair(t.Context(), func(target.Target) (string, bool) { once(); return "", false })
	if err != nil || !errors.Is(second, hold.ErrBusy) {
		t.Errorf("the first: %v; the second: %v", err, second)
	}
	wantBlocked(t, "afterwards", fake, addr(1))
}

func TestMany(t *testing.T) {
	h, fake := newHolder(t, false)
	var addrs []target.Target
	for i := range 20 {
		addrs = append(addrs, addr(i+1))
	}
	done := 0
	like := lease.Lease{Program: "import", Since: now, Renewed: now}
	if err := h.TakeAll(t.Context(), addrs, like, nobody, func(n int) { done = n }); err != nil || done != 20 {
		t.Fatalf("%d done: %v", done, err)
	}
	take(t, h, "firewall-drop.sh", addr(1))
	freed, err := h.ReleaseProgram(t.Context(), "import", nil)
	if err != nil || len(freed) != 19 {
		t.Fatalf("freed %d: %v", len(freed), err)
	}
	wantBlocked(t, "what import took is free", fake, addr(1))
	fake.Put(addr(30))
	freed, err = h.Flush(t.Context(), nil)
	if err != nil || len(freed) != 2 {
		t.Errorf("flushed %v: %v", freed, err)
	}
	if all, err := h.Leases.All(); err != nil || len(all) != 0 {
		t.Errorf("leases left: %v, %v", all, err)
	}
	wantBlocked(t, "flush", fake, []target.Target{}...)
}

func TestEnded(t *testing.T) {
	h, _ := newHolder(t, false)
	gone := &lease.Daemon{Name: "ossec-execd", PID: 1 << 30, Start: 1, Boot: "gone"}
	h.OrphanTimeout = time.Hour
	put := func(leases ...lease.Lease) {
		err := h.Leases.Update(func(tx *lease.Tx) (err error) {
			for _, l := range leases {
				err = errors.Join(err, tx.Put(l))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(
		lease.Lease{Target: addr(1), Program: "by hand", Renewed: now.Add(-100 * time.Hour)},
		lease.Lease{Target: addr(2), Program: "for a while", Renewed: now, Until: now.Add(-time.Second)},
		lease.Lease{Target: addr(3), Program: "not over", Renewed: now, Until: now.Add(time.Second)},
		lease.Lease{Target: addr(4), Program: "orphan", Renewed: now.Add(-2 * time.Hour), Daemon: gone},
		lease.Lease{Target: addr(5), Program: "young orphan", Renewed: now.Add(-time.Minute), Daemon: gone},
		lease.Lease{Target: addr(6), Program: "lifting", State: lease.Lifting},
	)
	over, kept, err := h.Ended()
	var got []string
	for _, o := range over {
		got = append(got, o.Program+": "+o.Why)
	}
	want := []string{"for a while: its time is over", "orphan: expired: the daemon that asked for it is gone", "lifting: lifting it had failed"}
	if d := cmp.Diff(want, got); d != "" || err != nil || len(kept) != 0 {
		t.Errorf("over (-want +got):\n%s\nkept %v, %v", d, kept, err)
	}
	h.OrphanTimeout = 0 // and no ar.conf: it may last for ever
	if _, kept, err = h.Ended(); err != nil || len(kept) != 2 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

// TestReleaseSeen: a lease that was renewed since it was read is not released.
func TestReleaseSeen(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1))
	seen, err := h.Leases.On(addr(1))
	if err != nil || len(seen) != 1 {
		t.Fatal(seen, err)
	}
	taken, err := h.Take(t.Context(), lease.Lease{Target: addr(1), Program: "firewall-drop.sh", Renewed: now.Add(time.Second)})
	if err != nil || !taken.Renewed {
		t.Fatalf("%+v, %v", taken, err)
	}
	if _, err := h.ReleaseSeen(t.Context(), seen[0]); !errors.Is(err, hold.ErrRenewed) {
		t.Errorf("released: %v", err)
	}
	wantBlocked(t, "renewed", fake, addr(1))
}

// TestRepairStillOpen: what packets still come by is not said to be blocked.
func TestRepairStillOpen(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1))
	fake.Before = func(_ context.Context, method string, _ ...target.Target) error {
		if method == "List" {
			fake.Bypass() // again and again
		}
		return nil
	}
	if r, err := h.Repair(t.Context(), nobody); err == nil || len(r.Blocked) > 0 {
		t.Errorf("repaired: %+v, %v", r, err)
	}
}

// TestBusyAddress: beside a process that holds the lock of an address for too long, it is
// leased and given back all the same, and the lock is reported.
func TestBusyAddress(t *testing.T) {
	h, fake := newHolder(t, false)
	h.Leases.Wait = time.Millisecond
	lock, err := h.Leases.LockTarget(addr(1))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	taken, err := h.Take(t.Context(), lease.Lease{Target: addr(1), Program: "firewall-drop.sh", Since: now, Renewed: now})
	if err != nil || !errors.Is(taken.LeaseErr, state.ErrLocked) {
		t.Errorf("taken: %+v, %v", taken, err)
	}
	wantBlocked(t, "taken", fake, addr(1))
	if on, err := h.Leases.On(addr(1)); err != nil || len(on) != 1 || on[0].State != lease.Held {
		t.Errorf("leases: %+v, %v", on, err)
	}
	released, err := h.Release(t.Context(), addr(1), "firewall-drop.sh")
	if err != nil || !errors.Is(released.LeaseErr, state.ErrLocked) || released.StillLeased {
		t.Errorf("released: %+v, %v", released, err)
	}
	wantBlocked(t, "released", fake, []target.Target{}...)
	if on, err := h.Leases.On(addr(1)); err != nil || len(on) != 0 {
		t.Errorf("leases: %+v, %v", on, err)
	}
}

// TestRepairReadOnly: where no lease can be written, a block without one stays.
func TestRepairReadOnly(t *testing.T) {
	h, fake := newHolder(t, false)
	take(t, h, "firewall-drop.sh", addr(1))
	fake.Put(addr(2))
	h.Leases.Wait = time.Millisecond
	lock, err := state.Exclusive(h.Leases.Path()+".lock", 0) // nobody can write now
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if _, err := h.Repair(t.Context(), nobody); err == nil {
		t.Error("no error")
	}
	wantBlocked(t, "repaired", fake, addr(1), addr(2))
}
