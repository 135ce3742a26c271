package kernel

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallGrowsAtOnce: right after max_addresses was raised, many add at the same moment,
// others delete and add in the other family; one of them makes the larger set, and in the end
// just those are in it that should be.
func TestFirewallGrowsAtOnce(t *testing.T) {
	for _, backend := range []string{firewall.NFTables, firewall.IPSet} {
		t.Run(backend, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			needTables(t)
			const full, added, gone = 20_000, 20, 20
			tools := chooseVariant(t, "nft")
			of := func(most int) *firewall.Firewall {
				return newFirewall(t, tools, func(o *firewall.Options) { o.Backend, o.MaxAddresses = backend, most })
			}
			var before []netip.Addr
			for i := range full {
				before = append(before, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
			}
			if err := of(full).BlockAll(t.Context(), before, nil); err != nil {
				t.Fatal(err)
			}
			e := of(10 * full)
			want := map[netip.Addr]bool{}
			for _, addr := range before[gone:] {
				want[addr] = true
			}
			var all sync.WaitGroup
			for i := range added {
				v6 := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
				want[address(i)], want[v6] = true, true
				for _, addr := range []netip.Addr{address(i), v6} {
					all.Go(func() {
						if _, err := e.Block(t.Context(), addr, true); err != nil {
							t.Error(err)
						}
					})
				}
			}
			for _, addr := range before[:gone] {
				all.Go(func() {
					if err := e.Unblock(t.Context(), addr); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			blocks, err := e.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range blocks {
				if !want[b.Addr] {
					t.Errorf("%s is blocked still", b.Addr)
				}
				delete(want, b.Addr)
			}
			for addr := range want {
				t.Errorf("%s is not blocked", addr)
			}
		})
	}
}

// TestFirewallGrowsOneFamily: the set of the other family keeps its members, and what
// somebody else has in the table stays.
func TestFirewallGrowsOneFamily(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needTables(t)
	of := func(most int, forward string) *firewall.Firewall {
		return newFirewall(t, t.TempDir(), func(o *firewall.Options) { o.Backend, o.MaxAddresses, o.Forward = firewall.NFTables, most, forward })
	}
	small, large := of(2, "auto"), of(10, "never")
	v6 := netip.MustParseAddr("2001:db8::1")
	for _, addr := range []netip.Addr{address(1), address(2), v6} {
		blockAddr(t, small, addr)
	}
	var here Host
	nft := Program(t, "nft")
	here.Run(t, nft, "add chain inet ossec_ar theirs")
	for _, addr := range []netip.Addr{address(3), address(4)} {
		blockAddr(t, large, addr)
	}
	got := here.Run(t, nft, "list", "table", "inet", "ossec_ar")
	for text, want := range map[string]int{"chain theirs": 1, "203.0.113.": 4, "2001:db8::1 ": 1, "ip saddr @blocked4 drop": 1, "ip6 saddr @blocked6 drop": 1, "size 10\n": 1, "size 2\n": 1} {
		if n := strings.Count(got, text); n != want {
			t.Errorf("%q stands %d times, want %d:\n%s", text, n, want, got)
		}
	}
}
