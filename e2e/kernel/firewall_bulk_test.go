package kernel

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallBulk: 100,000 in a few seconds, both ways; of rules, which each packet has
// to go through and iptables to look through, fewer.
func TestFirewallBulk(t *testing.T) {
	all := ways()
	for _, variant := range variants {
		all = append(all, way{"iptables over " + variant, variant, func(o *firewall.Options) { o.Backend = firewall.IPTables }})
	}
	for _, w := range all {
		n := 100_000
		switch {
		case strings.HasPrefix(w.name, "auto with "):
			continue
		case strings.HasPrefix(w.name, "iptables"), testing.Short():
			n = 4000
		}
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, _ := w.on(t)
			addrs := make([]netip.Addr, n)
			for i := range addrs {
				if addrs[i] = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}); i%2 == 1 {
					addrs[i] = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
				}
			}
			steps := []struct {
				name string
				do   func() error
			}{
				{"BlockAll", func() error { return e.BlockAll(t.Context(), addrs, nil) }},
				{"BlockAll again", func() error { return e.BlockAll(t.Context(), addrs, nil) }},
				{"UnblockAll of half", func() error { return e.UnblockAll(t.Context(), addrs[:n/2], nil) }},
				{"UnblockAll", func() error { return e.UnblockAll(t.Context(), addrs, nil) }},
			}
			for i, want := range []int{n, n, n / 2, 0} {
				start := time.Now()
				if err := steps[i].do(); err != nil {
					t.Fatalf("%s: %v", steps[i].name, err)
				}
				took := time.Since(start)
				t.Logf("%s of %d: %s", steps[i].name, n, took)
				if took > patience {
					t.Errorf("%s took %s", steps[i].name, took)
				}
				if blocks, err := e.List(t.Context()); err != nil || len(blocks) != want {
					t.Fatalf("after %s %d are listed, %v; want %d", steps[i].name, len(blocks), err, want)
				}
			}
		})
	}
}

// TestFirewallSetsStorm: 200 processes at once, with nothing there before.
func TestFirewallSetsStorm(t *testing.T) {
	for _, settings := range []string{"backend = \"ipset\"", "backend = \"nftables\"", "backend = \"auto\"\nmax_rules = 20"} {
		for _, variant := range variants {
			t.Run(variant+"/"+strings.ReplaceAll(settings, "\n", " "), func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				needSets(t)
				needTables(t)
				bindTools(t, chooseVariant(t, variant))
				bin := buildPrograms(t)
				configure(t, bin, "[firewall]\n"+settings+"\n")
				program := filepath.Join(bin, "firewall-drop.sh")
				var here Host
				storm(t, program, "add", 200)
				if got := strings.Count(here.Run(t, program, "list"), "  blocked "); got != 200 {
					t.Errorf("%d addresses in force, want 200", got)
				}
				storm(t, program, "delete", 200)
				if list := here.Run(t, program, "list"); strings.Contains(list, "198.18.") {
					t.Errorf("left over after all deletes:\n%s", list)
				}
			})
		}
	}
}
