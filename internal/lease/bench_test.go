package lease_test

import (
	"net/netip"
	"testing"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// hundredThousand returns a store with that many leases.
func hundredThousand(b *testing.B) (*lease.Store, []lease.Lease) {
	b.Helper()
	s := lease.New(b.TempDir()+"/state", "firewall-drop")
	var leases []lease.Lease
	for i := range 100_000 {
		leases = append(leases, taken(target.Of(netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), byte(i >> 16)})), "a", i%60))
	}
	if err := put(s, leases...); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return s, leases
}

// BenchmarkAll goes through 100,000 leases.
func BenchmarkAll(b *testing.B) {
	s, leases := hundredThousand(b)
	for b.Loop() {
		n := 0
		err := s.Each(func(lease.Lease) error { n++; return nil })
		if err != nil || n != len(leases) {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkPut renews one lease among 100,000, as each response does.
func BenchmarkPut(b *testing.B) {
	s, leases := hundredThousand(b)
	for i := 0; b.Loop(); i++ {
		if err := put(s, leases[i*7919%len(leases)]); err != nil {
			b.Fatal(err)
		}
	}
}
