package lease_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestWitness: who takes a lease is told another address that is surely blocked by now, if
// there is one.
func TestWitness(t *testing.T) {
	for _, test := range []struct {
		addr, others string
		want         string // all that may be told
	}{
		{"203.0.113.7", "", ""},
		{"203.0.113.7", "203.0.113.7", ""},
		{"203.0.113.7", "2001:db8::7 ::1", ""},
		{"203.0.113.7", "203.0.113.8", "203.0.113.8"},
		{"203.0.113.7", "203.0.113.8 198.51.100.1 2001:db8::7", "203.0.113.8 198.51.100.1"},
		{"2001:db8::7", "203.0.113.8 2001:db8::8", "2001:db8::8"},
		{"203.0.113.7", "203.0.113.8 young", ""},
		{"203.0.113.7", "203.0.113.8 lifting", ""},
	} {
		t.Run(test.addr+" beside "+test.others, func(t *testing.T) {
			s := newStore(t)
			now := taken(netip.MustParseAddr(test.addr), "a", 1)
			for _, other := range strings.Fields(strings.NewReplacer("young", "", "lifting", "").Replace(test.others)) {
				l := taken(netip.MustParseAddr(other), "b", 0)
				if strings.Contains(test.others, "young") {
					l.Renewed = now.Renewed.Add(-time.Second / 2)
				}
				acquire(t, s, l)
				if strings.Contains(test.others, "lifting") {
					release(t, s, l.Addr, "b")
				}
			}
			got := ""
			if held := acquire(t, s, now); held.Witness.IsValid() {
				got = held.Witness.String()
			}
			if test.want == "" && got != "" || test.want != "" && (got == "" || !strings.Contains(" "+test.want+" ", " "+got+" ")) {
				t.Errorf("got %q, want one of %q", got, test.want)
			}
		})
	}
}

// TestWitnessAmongMany: all are witnesses now and then, not the same one each time.
func TestWitnessAmongMany(t *testing.T) {
	s := newStore(t)
	const n = 30
	for i := range n {
		acquire(t, s, taken(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), "a", 0))
	}
	seen := map[netip.Addr]bool{}
	for i := range 200 {
		addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
		held := acquire(t, s, taken(addr, "a", 1))
		if held.Witness.IsValid() {
			seen[held.Witness] = true
		}
		release(t, s, addr, "a")
		if err := s.Lifted(addr); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < n/4 {
		t.Errorf("of %d leases only %d were ever told", n, len(seen))
	}
}
