package lease_test

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

func TestComplete(t *testing.T) {
	s := newStore(t)
	fresh := func(what string, addr netip.Addr, kernel string, want bool) {
		t.Helper()
		held, settle := s.Acquire(taken(addr, "a", 1), kernel)
		if err := settle(); err != nil {
			t.Fatal(err)
		}
		if got := held.Fresh(); got != want {
			t.Errorf("%s: fresh is %v, want %v (%+v)", what, got, want, held)
		}
		if err := s.Drop(addr); err != nil {
			t.Fatal(err)
		}
	}
	fresh("at first", v4, "boot1", false)
	if err := mark(s, v4, "boot1"); err != nil {
		t.Fatal(err)
	}
	fresh("marked", v4, "boot1", true)
	fresh("the other family", v6, "boot1", false)
	fresh("another kernel", v4, "boot2", false)
	fresh("a kernel that cannot be told", v4, "", false)
	if err := mark(s, v4, ""); err != nil {
		t.Fatal(err)
	}
	fresh("marked for a kernel that cannot be told", v4, "", false)
	if err := errors.Join(mark(s, v4, "boot2"), mark(s, v6, "boot2")); err != nil {
		t.Fatal(err)
	}
	fresh("marked anew", v4, "boot2", true)
	fresh("both families", v6, "boot2", true)

	for _, test := range []struct {
		name string
		held lease.Held
	}{
		{"mine", lease.Held{Complete: true, Mine: &lease.Lease{}}},
		{"others", lease.Held{Complete: true, Others: []lease.Lease{{}}}},
		{"being lifted", lease.Held{Complete: true, Lifting: []lease.Lease{{}}}},
		{"not complete", lease.Held{}},
	} {
		if test.held.Fresh() {
			t.Errorf("%s: fresh", test.name)
		}
	}
}

func TestMarkCompleteTellsWhetherItWasThere(t *testing.T) {
	s := lease.New(filepath.Join(t.TempDir(), "state"), "firewall-drop")
	for i, want := range []bool{false, true} {
		if got, err := s.MarkComplete(v4, "boot1"); got != want || err != nil {
			t.Errorf("call %d: %v, %v; want %v", i+1, got, err, want)
		}
	}
}

// TestElsewhere: whether other addresses of the family are leased is known when a lease is
// taken, wherever in the order of the addresses they stand.
func TestElsewhere(t *testing.T) {
	for _, test := range []struct {
		addr   string
		others string
		want   bool
	}{
		{"203.0.113.7", "", false},
		{"203.0.113.7", "203.0.113.7", false},
		{"203.0.113.7", "::1 2001:db8::7", false},
		{"203.0.113.7", "0.0.0.1", true},
		{"203.0.113.7", "203.0.113.7 255.255.255.254 ::1", true},
		{"2001:db8::7", "", false},
		{"2001:db8::7", "2001:db8::7 0.0.0.0 203.0.113.7 255.255.255.255", false},
		{"2001:db8::7", "203.0.113.7 2001:db8::8", true},
		{"2001:db8::7", "::1 203.0.113.7", true},
		{"::1", "::2 203.0.113.7", true},
		{"::1", "203.0.113.7 ::1:0:0:0", true},
	} {
		t.Run(test.addr+" beside "+test.others, func(t *testing.T) {
			s := newStore(t)
			for i, other := range strings.Fields(test.others) {
				acquire(t, s, taken(netip.MustParseAddr(other), "b", i))
			}
			held, settle := s.Acquire(taken(netip.MustParseAddr(test.addr), "a", 1), "kernel")
			if err := settle(); err != nil {
				t.Fatal(err)
			}
			if held.Elsewhere != test.want {
				t.Errorf("got %v, want %v", held.Elsewhere, test.want)
			}
		})
	}
}
