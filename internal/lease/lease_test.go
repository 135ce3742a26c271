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
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var (
	v4  = target.MustParse("203.0.113.7")
	v6  = target.MustParse("2001:db8::7")
	day = time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC)
)

func at(minute int) time.Time { return day.Add(time.Duration(minute) * time.Minute) }

// taken is a lease of program on addr, taken at a minute.
func taken(addr target.Target, program string, minute int) lease.Lease {
	return lease.Lease{Target: addr, Program: program, RuleID: "5712", AlertID: fmt.Sprint(minute), User: "root", Since: at(minute), Renewed: at(minute)}
}

func put(s *lease.Store, leases ...lease.Lease) error {
	return s.Update(func(tx *lease.Tx) error {
		for _, l := range leases {
			if err := tx.Put(l); err != nil {
				return err
			}
		}
		return nil
	})
}

func end(s *lease.Store, leases ...lease.Lease) error {
	return s.Update(func(tx *lease.Tx) error {
		for _, l := range leases {
			if err := tx.Delete(l.Target, l.Program); err != nil {
				return err
			}
		}
		return nil
	})
}

func mustPut(t *testing.T, s *lease.Store, leases ...lease.Lease) {
	t.Helper()
	if err := put(s, leases...); err != nil {
		t.Fatal(err)
	}
}

func mustEnd(t *testing.T, s *lease.Store, leases ...lease.Lease) {
	t.Helper()
	if err := end(s, leases...); err != nil {
		t.Fatal(err)
	}
}

// another is a store of the same file, as another process has it.
func another(s *lease.Store) *lease.Store {
	return lease.New(filepath.Dir(s.Path()), strings.TrimSuffix(filepath.Base(s.Path()), ".db"))
}

// want compares what the file holds, read as another process would.
func want(t *testing.T, s *lease.Store, leases ...lease.Lease) {
	t.Helper()
	got, err := another(s).All()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "leases", leases, got)
	for _, err := range s.Faults() {
		t.Errorf("fault: %v", err)
	}
}

func wantOn(t *testing.T, s *lease.Store, addr target.Target, leases ...lease.Lease) {
	t.Helper()
	got, err := another(s).On(addr)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "on "+addr.String(), leases, got)
}

func compare(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(target.Target{}, netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
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
	a, b := taken(v4, "firewall-drop", 1), taken(v4, "firewall-drop.sh", 2)
	neighbour := taken(target.MustParse("203.0.113.70"), "firewall-drop", 3)
	mustPut(t, s, b)
	mustPut(t, s, neighbour)
	mustPut(t, s, a)
	wantOn(t, s, v4, a, b)
	want(t, s, a, b, neighbour)
	mustEnd(t, s, a)
	wantOn(t, s, v4, b)
	mustEnd(t, s, a) // again
	want(t, s, b, neighbour)
	b.State, b.Reason = lease.Lifting, "iptables: exit status 4"
	mustPut(t, s, b)
	want(t, s, b, neighbour)
	mustEnd(t, s, b)
	wantOn(t, s, v4)
	want(t, s, neighbour)
}

// TestAllOfALease: every field is kept.
func TestAllOfALease(t *testing.T) {
	l := lease.Lease{
		Target: v6, Program: "block-ip", RuleID: "5763", AlertID: "1669818000.12345", User: "Jürgen", Reason: "scans again and again",
		Since: at(1), Renewed: at(2), Until: at(3), State: lease.Waiting, Announced: true,
		Daemon: &lease.Daemon{Name: "ossec-execd", PID: 7, Start: 1 << 60, Boot: "b"},
	}
	for _, durable := range []bool{false, true} {
		s := newStore(t)
		s.Durable = durable
		mustPut(t, s, l)
		want(t, s, l)
		l.State = lease.Held
		mustPut(t, s, l)
		want(t, s, l)
		wantOn(t, s, v6, l)
	}
}

func TestStates(t *testing.T) {
	for state, want := range map[lease.State]string{lease.Held: "held", lease.Waiting: "waiting", lease.Lifting: "lifting", 9: "state 9"} {
		if got := state.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestWithinUpdate: what an Update does is seen within it at once and by others at its end,
// or not at all when it returns an error.
func TestWithinUpdate(t *testing.T) {
	s := newStore(t)
	old := taken(v4, "a", 1)
	mustPut(t, s, old)
	a, b, c := taken(v4, "a", 2), taken(v4, "b", 3), taken(v6, "a", 4)
	boom := errors.New("boom")
	change := func(result error) error {
		return s.Update(func(tx *lease.Tx) error {
			counts := func(n4, n6 int) {
				t.Helper()
				if got4, got6 := tx.Count(false), tx.Count(true); got4 != n4 || got6 != n6 {
					t.Errorf("count is %d and %d, want %d and %d", got4, got6, n4, n6)
				}
			}
			counts(1, 0)
			for _, l := range []lease.Lease{c, b, a} {
				if err := tx.Put(l); err != nil {
					return err
				}
			}
			counts(2, 1)
			got, err := tx.On(v4)
			compare(t, "on", []lease.Lease{a, b}, got)
			var seen []lease.Lease
			err = errors.Join(err, tx.All(func(l lease.Lease) error {
				seen = append(seen, l)
				if l.Program == "a" && l.Target == v4 {
					return errors.Join(tx.Delete(v4, "a"), tx.Delete(v4, "b"))
				}
				return nil
			}))
			compare(t, "all", []lease.Lease{a, c}, seen) // b was gone before its turn
			counts(0, 1)
			return errors.Join(err, tx.Put(b), result)
		})
	}
	if err := change(boom); !errors.Is(err, boom) {
		t.Errorf("got %v, want boom", err)
	}
	want(t, s, old)
	if err := change(nil); err != nil {
		t.Fatal(err)
	}
	want(t, s, b, c)
	if err := s.Each(func(lease.Lease) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Each: %v, want boom", err)
	}
}

// TestResponses: leases of one response are not those of another.
func TestResponses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "active-response")
	firewall, hosts := lease.New(dir, "firewall-drop"), lease.New(dir, "host-deny")
	a := taken(v4, "x", 1)
	mustPut(t, firewall, a)
	mustEnd(t, hosts, a)
	want(t, hosts)
	want(t, firewall, a)
}

// TestNoFile: there are no leases, looking makes nothing, and nothing can be changed by it.
func TestNoFile(t *testing.T) {
	s := newStore(t)
	for range 2 {
		want(t, s)
		wantOn(t, s, v4)
		err := s.View(func(tx *lease.Tx) error {
			if n := tx.Count(false) + tx.Count(true); n != 0 {
				t.Errorf("count is %d", n)
			}
			for _, err := range []error{tx.Put(taken(v4, "a", 1)), tx.Delete(v4, "a")} {
				if err == nil || !strings.Contains(err.Error(), "only read") {
					t.Errorf("a change in a View: %v", err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Dir(s.Path())); err == nil {
			t.Error("looking made the state folder")
		}
	}
	if err := s.Update(func(*lease.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(s.Path()); len(left) > 0 {
		t.Errorf("changing nothing made %q", left)
	}
}

func TestFileModes(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, taken(v4, "a", 1))
	lock, err := s.LockTarget(v4)
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
	compare(t, "files", []string{"firewall-drop.db", "firewall-drop.db.index", "firewall-drop.db.lock", "firewall-drop.target.lock"}, names)
}

// TestOverlong: texts are cut off at a character, one does not crowd out the next, and what
// cannot be a lease is refused.
func TestOverlong(t *testing.T) {
	s := newStore(t)
	l := taken(v4, strings.Repeat("p", 100), 1)
	l.User, l.RuleID, l.AlertID = strings.Repeat("ü", 500), strings.Repeat("1", 500), strings.Repeat("2", 500)
	l.Reason = "x" + strings.Repeat("€", 500)
	l.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	mustPut(t, s, l)
	l.User, l.RuleID, l.AlertID, l.Reason = l.User[:64], l.RuleID[:24], l.AlertID[:40], l.Reason[:160]
	l.Until = time.Date(2262, 4, 11, 23, 47, 16, 854775807, time.UTC)
	want(t, s, l)
	for name, bad := range map[string]lease.Lease{
		"longer than 100 bytes": taken(v4, strings.Repeat("p", 101), 1),
		"\"nobody\" is not":     taken(target.Target{}, "a", 1),
		"::ffff:":               taken(target.MustParse("::ffff:203.0.113.7"), "a", 1),
	} {
		if err := put(s, bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	want(t, s, l)
}

// TestAccounts: accounts are held as addresses are, beside them.
func TestAccounts(t *testing.T) {
	s := newStore(t)
	www, mail := taken(target.Account("www-data"), "disable-account", 1), taken(target.Account("Jürgen"), "disable-account", 2)
	www.User, mail.User = "www-data", "Jürgen"
	name32 := taken(target.Account(strings.Repeat("x", 32)), "disable-account", 3)
	name32.User = name32.Target.Account()
	mustPut(t, s, www, mail, taken(v4, "disable-account", 4), name32)
	for _, l := range []lease.Lease{www, mail, name32} {
		wantOn(t, s, l.Target, l)
	}
	mustEnd(t, s, www)
	wantOn(t, s, www.Target)
	wantOn(t, s, mail.Target, mail)
}

// TestNetworks: of a network it is known how many leases keep it blocked, whatever becomes of them
// and of the index.
func TestNetworks(t *testing.T) {
	s := newStore(t)
	network := target.MustParse("2001:db8::/64")
	in := func(i int) lease.Lease {
		l := taken(target.Of(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})), "a", 1)
		l.Net = network.Prefix()
		return l
	}
	wantHolders := func(step string, block target.Target, want int) {
		t.Helper()
		for _, s := range []*lease.Store{s, another(s)} {
			err := s.View(func(tx *lease.Tx) error {
				got, err := tx.Holders(block)
				if got != want {
					t.Errorf("%s: %d hold %s, want %d", step, got, block, want)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	wantHolders("at the start", network, 0)
	var all []lease.Lease
	for i := range 1000 {
		all = append(all, in(i))
	}
	mustPut(t, s, all...)
	mustPut(t, s, all[:10]...)
	wantOn(t, s, all[7].Target, all[7])
	wantHolders("many, some of them twice", network, 1000)
	wantHolders("an address of it", all[7].Target, 0)
	wantHolders("a wider one", target.MustParse("2001:db8::/48"), 0)
	alone := all[7]
	alone.Net = netip.Prefix{}
	all[8].State = lease.Lifting
	mustPut(t, s, alone, all[8])
	wantHolders("one lifts, one holds its address alone", network, 998)
	wantHolders("that address", alone.Target, 1)
	if err := os.Remove(s.Path() + ".index"); err != nil {
		t.Fatal(err)
	}
	wantHolders("the index is made anew", network, 998)
	mustEnd(t, s, all...)
	wantHolders("the end", network, 0)
	foreign := in(1)
	foreign.Net = netip.MustParsePrefix("2001:db8:1::/64")
	if err := put(s, foreign); err == nil {
		t.Error("a network that the address is not in can be leased for it")
	}
}
