package stats

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// Every address has a key of its own, from which it comes back.
func TestKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[key]netip.Addr{}
	check := func(addr netip.Addr) {
		k := keyOf(addr)
		if got := k.addr(); got != addr {
			t.Fatalf("%v has become %v", addr, got)
		}
		if other, ok := seen[k]; ok && other != addr {
			t.Fatalf("%v and %v have one key", addr, other)
		}
		seen[k] = addr
	}
	for range 100_000 {
		var b [16]byte
		binary.BigEndian.PutUint32(b[:], random.Uint32()>>random.IntN(32))
		four := netip.AddrFrom4([4]byte(b[:4]))
		check(four)
		// The IPv6 address whose bytes spell the IPv4 address.
		var spelt [16]byte
		four.AppendTo(spelt[:0])
		check(netip.AddrFrom16(spelt))
		binary.LittleEndian.PutUint64(b[8:], random.Uint64())
		check(netip.AddrFrom16(b))
	}
	check(netip.MustParseAddr("::1"))
	if k := keyOf(netip.Addr{}); k != (key{}) {
		t.Errorf("no address has the key %v", k)
	}
}
