package lease_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

var (
	v4  = netip.MustParseAddr("203.0.113.7")
	v6  = netip.MustParseAddr("2001:db8::7")
	day = time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC)
)

func at(minute int) time.Time { return day.Add(time.Duration(minute) * time.Minute) }

// taken is a lease of program on addr, taken at a minute.
func taken(addr netip.Addr, program string, minute int) lease.Lease {
	return lease.Lease{Addr: addr, Program: program, RuleID: "5712", AlertID: fmt.Sprint(minute), User: "root", Since: at(minute), Renewed: at(minute)}
}

func acquire(t *testing.T, s *lease.Store, l lease.Lease) lease.Held {
	t.Helper()
	held, settle := s.Acquire(l, "kernel")
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	return held
}

func release(t *testing.T, s *lease.Store, addr netip.Addr, program string) lease.Held {
	t.Helper()
	held, err := s.Release(addr, program)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// want compares what the file holds, read by another Store as another process would.
func want(t *testing.T, s *lease.Store, leases ...lease.Lease) {
	t.Helper()
	all, err := lease.New(filepath.Dir(s.Path()), strings.TrimSuffix(filepath.Base(s.Path()), ".db")).All()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "leases", leases, all)
	for _, err := range s.Faults() {
		t.Errorf("fault: %v", err)
	}
}

func compare(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func newStore(t *testing.T) *lease.Store {
	t.Helper()
	return lease.New(filepath.Join(t.TempDir(), "var/active-response"), "firewall-drop")
}

// TestTwoPrograms is what leases are for: the address is free when the last one is gone.
func TestTwoPrograms(t *testing.T) {
	s := newStore(t)
	a, b := taken(v4, "firewall-drop.sh", 1), taken(v4, "web-attack-block", 2)
	compare(t, "first", lease.Held{}, acquire(t, s, a))
	compare(t, "second", lease.Held{Others: []lease.Lease{a}}, acquire(t, s, b))
	neighbour := taken(netip.MustParseAddr("203.0.113.70"), "firewall-drop.sh", 3)
	compare(t, "neighbour", lease.Held{Elsewhere: true, Witness: v4}, acquire(t, s, neighbour))
	want(t, s, a, b, neighbour)

	// The first gives it back: it is gone, the address is still held.
	compare(t, "first release", lease.Held{Mine: &a, Others: []lease.Lease{b}}, release(t, s, v4, a.Program))
	want(t, s, b, neighbour)
	compare(t, "first release again", lease.Held{Others: []lease.Lease{b}}, release(t, s, v4, a.Program))

	// The last one gives it back: it is kept as being lifted until it is lifted.
	lifting := b
	lifting.Lifting = true
	compare(t, "last release", lease.Held{Mine: &b}, release(t, s, v4, b.Program))
	want(t, s, lifting, neighbour)
	compare(t, "others do not count it", lease.Held{Lifting: []lease.Lease{lifting}}, release(t, s, v4, a.Program))
	if err := s.Lifted(v4); err != nil {
		t.Fatal(err)
	}
	want(t, s, neighbour)
	if err := s.Lifted(v4); err != nil {
		t.Errorf("lifted twice: %v", err)
	}
	compare(t, "release of nothing", lease.Held{}, release(t, s, v4, a.Program))
	want(t, s, neighbour)
}

// TestReleaseSeen: a lease is given back only if it is still the one that was read.
func TestReleaseSeen(t *testing.T) {
	s := newStore(t)
	seen, renewed := taken(v4, "a", 1), taken(v4, "a", 2)
	renewed.Since = seen.Since
	refused := func(what string, l lease.Lease) {
		t.Helper()
		if _, err := s.ReleaseSeen(l); !errors.Is(err, lease.ErrRenewed) {
			t.Errorf("%s: %v, want ErrRenewed", what, err)
		}
	}
	refused("none", seen)
	acquire(t, s, renewed)
	refused("renewed", seen)
	want(t, s, renewed)
	if held, err := s.ReleaseSeen(renewed); err != nil {
		t.Error(err)
	} else {
		compare(t, "the same", lease.Held{Mine: &renewed}, held)
	}
	refused("being lifted", renewed)
	lifting := renewed
	lifting.Lifting = true
	want(t, s, lifting)
	if held, err := s.ReleaseSeen(lifting); err != nil {
		t.Error(err)
	} else {
		compare(t, "tried again", lease.Held{Mine: &lifting}, held)
	}
}

func TestRenew(t *testing.T) {
	s := newStore(t)
	first, second := taken(v6, "a", 1), taken(v6, "a", 5)
	acquire(t, s, first)
	compare(t, "renewing", lease.Held{Mine: &first}, acquire(t, s, second))
	second.Since = first.Since
	want(t, s, second)

	// One that was being lifted begins anew.
	release(t, s, v6, "a")
	second.Lifting = true
	third := taken(v6, "a", 9)
	compare(t, "after a failed delete", lease.Held{Mine: &second}, acquire(t, s, third))
	want(t, s, third)

	// Another program's lease that was being lifted stays to be lifted.
	release(t, s, v6, "a")
	third.Lifting = true
	other := taken(v6, "b", 10)
	compare(t, "beside a failed delete", lease.Held{Lifting: []lease.Lease{third}}, acquire(t, s, other))
	if err := s.Lifted(v6); err != nil {
		t.Fatal(err)
	}
	want(t, s, other)
}

func TestWithdraw(t *testing.T) {
	s := newStore(t)
	other := taken(v4, "b", 1)
	acquire(t, s, other)

	// Nothing was held before: nothing is held after.
	held := acquire(t, s, taken(v4, "a", 2))
	if err := s.Withdraw(v4, "a", held); err != nil {
		t.Fatal(err)
	}
	want(t, s, other)

	// A renewal that failed leaves the lease as it was, one that was being lifted too.
	before := taken(v4, "a", 3)
	acquire(t, s, before)
	for _, lifting := range []bool{false, true} {
		if lifting {
			if err := s.Drop(v4); err != nil {
				t.Fatal(err)
			}
			acquire(t, s, before)
			release(t, s, v4, "a")
			before.Lifting = true
		}
		held = acquire(t, s, taken(v4, "a", 4))
		if err := s.Withdraw(v4, "a", held); err != nil {
			t.Fatal(err)
		}
		if lifting {
			want(t, s, before)
		} else {
			want(t, s, before, other)
		}
	}
}

func TestDropAndClear(t *testing.T) {
	s := newStore(t)
	a, b, c := taken(v4, "a", 1), taken(v4, "b", 2), taken(v6, "a", 3)
	for _, l := range []lease.Lease{c, b, a} {
		acquire(t, s, l)
	}
	want(t, s, a, b, c) // by address, then program
	if err := s.Drop(v4); err != nil {
		t.Fatal(err)
	}
	want(t, s, c)
	if err := s.Drop(v4); err != nil {
		t.Errorf("dropping nothing: %v", err)
	}
	acquire(t, s, a)
	if err := mark(s, v4, "kernel"); err != nil {
		t.Fatal(err)
	}
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	want(t, s)
	if held := acquire(t, s, a); !held.Fresh() {
		t.Errorf("after Clear %+v is not fresh: the mark is gone", held)
	}
}

// TestResponses: leases of one response are not those of another.
func TestResponses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "active-response")
	firewall, hosts := lease.New(dir, "firewall-drop"), lease.New(dir, "host-deny")
	a := taken(v4, "x", 1)
	acquire(t, firewall, a)
	compare(t, "another response", lease.Held{}, acquire(t, hosts, a))
	release(t, hosts, v4, "x")
	want(t, firewall, a)
}

func TestHolders(t *testing.T) {
	s := newStore(t)
	held, err := s.Holders(v4, "a")
	compare(t, "no file", lease.Held{}, held)
	all, err2 := s.All()
	compare(t, "no file", []lease.Lease{}, all)
	if err := errors.Join(err, err2); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Dir(s.Path())); err == nil {
		t.Error("looking made the state folder")
	}
	a, b := taken(v4, "a", 1), taken(v4, "b", 2)
	acquire(t, s, a)
	acquire(t, s, b)
	held, err = s.Holders(v4, "a")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "holders", lease.Held{Mine: &a, Others: []lease.Lease{b}}, held)
}

func TestFileModes(t *testing.T) {
	s := newStore(t)
	acquire(t, s, taken(v4, "a", 1))
	lock, err := s.LockAddr(v4)
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
	entries, err := os.ReadDir(filepath.Dir(s.Path()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s is %v (%v), want mode 600", e.Name(), info.Mode(), err)
		}
		names = append(names, e.Name())
	}
	compare(t, "files", []string{"firewall-drop.addr.lock", "firewall-drop.db", "firewall-drop.db.index", "firewall-drop.db.lock"}, names)
}

// TestHostileTexts: what an attacker chose comes back as it was. Of what is overlong the
// beginning is kept, and it crowds out nothing that he did not choose.
func TestHostileTexts(t *testing.T) {
	s := newStore(t)
	l := taken(v4, "x\x00\n\"", 1)
	l.User, l.AlertID, l.RuleID = "a\x00b\n\"\\", strings.Repeat("9", 100), "é<>&"
	acquire(t, s, l)
	want(t, s, l)
	compare(t, "release", lease.Held{Mine: &l}, release(t, s, v4, l.Program))

	l = taken(v4, strings.Repeat("p", 100), 1)
	l.User = strings.Repeat("u", 10_000)
	l.Daemon = &lease.Daemon{Name: "ossec-execd", PID: 4194304, Start: 1 << 40, Boot: "0b5ea1e6-d4a8-4a62-9f9f-6f2b7bb1a1a1"}
	acquire(t, s, l)
	held, err := s.Holders(v4, l.Program)
	if err != nil || held.Mine == nil || len(held.Mine.User) < 8 || !strings.HasPrefix(l.User, held.Mine.User) {
		t.Fatalf("an overlong user: %+v, %v", held.Mine, err)
	}
	held.Mine.User = l.User
	compare(t, "beside an overlong user", &l, held.Mine)

	l.Program += "p"
	if _, settle := s.Acquire(l, "kernel"); settle() == nil || !strings.Contains(settle().Error(), "longer than 100 bytes") {
		t.Errorf("an overlong program: %v", settle())
	}
}

// TestProgramsWithOneBeginning: neither name nor address is a prefix of another's.
func TestProgramsWithOneBeginning(t *testing.T) {
	s := newStore(t)
	a, b := taken(v4, "firewall-drop", 1), taken(v4, "firewall-drop.sh", 2)
	acquire(t, s, a)
	acquire(t, s, b)
	compare(t, "release", lease.Held{Mine: &a, Others: []lease.Lease{b}}, release(t, s, v4, a.Program))
	want(t, s, b)
}

func TestDaemonIsKept(t *testing.T) {
	s := newStore(t)
	l := taken(v4, "a", 1)
	l.Daemon = &lease.Daemon{Name: "ossec-execd", PID: 7, Start: 1 << 60, Boot: "b"}
	acquire(t, s, l)
	want(t, s, l)
}

func mark(s *lease.Store, addr netip.Addr, kernel string) error {
	_, err := s.MarkComplete(addr, kernel)
	return err
}
