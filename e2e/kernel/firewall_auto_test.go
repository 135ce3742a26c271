package kernel

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallAutoCrosses: rules up to the number, the set for what comes after, lifted
// from both; and never a rule more when all is asked for again.
func TestFirewallAutoCrosses(t *testing.T) {
	const most = 5
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			w := way{variant: variant, change: func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, most }}
			e, iptables := w.on(t)
			var here Host
			rules := func() int { return strings.Count(here.Run(t, iptables, "-S", "OSSEC_AR"), " -s ") }
			members := func() int { return strings.Count(here.Run(t, Program(t, "ipset"), "list", "ossec_ar4"), " packets ") }
			// Rules of others, so that the table has more than ours.
			for i := range 10 {
				here.Run(t, iptables, "-A", "OUTPUT", "-d", fmt.Sprintf("192.0.2.%d", i), "-j", "ACCEPT")
			}
			for range 2 {
				for i := range 12 {
					if _, err := e.Block(t.Context(), netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), false); err != nil {
						t.Fatal(err)
					}
				}
				if r, m := rules(), members(); r != most || m != 12-most {
					t.Fatalf("%d rules and %d in the set, want %d and %d", r, m, most, 12-most)
				}
			}
			for i := range 12 {
				if err := e.Unblock(t.Context(), netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})); err != nil {
					t.Fatal(err)
				}
				if got, err := e.List(t.Context()); err != nil || len(got) != 11-i {
					t.Fatalf("%d listed, %v; want %d", len(got), err, 11-i)
				}
			}
			blockAddr(t, e, netip.MustParseAddr("203.0.113.1"))
			if r, m := rules(), members(); r != 1 || m != 0 {
				t.Errorf("%d rules and %d in the set, want it to begin with rules again", r, m)
			}
		})
	}
}

// TestFirewallAutoWithoutSets: where iptables cannot match a set, all become rules, and
// the administrator hears why.
func TestFirewallAutoWithoutSets(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			libraries, err := filepath.Glob("/usr/lib/*/xtables/libxt_set.so")
			if err != nil || len(libraries) != 1 {
				needKernel(t, fmt.Sprintf("libxt_set.so is not where it is looked for: %q, %v", libraries, err))
			}
			w := way{variant: variant, change: func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, 2 }}
			e, iptables := w.on(t)
			var here Host
			here.Run(t, Program(t, "mount"), "--bind", "/dev/null", libraries[0])
			var all []netip.Addr
			for i := range 5 {
				addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
				all = append(all, addr)
				out, err := e.Block(t.Context(), addr, true)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(out.Notes, "\n"); strings.Contains(got, "set ossec_ar4 cannot be used") != (i >= 2) {
					t.Errorf("notes of number %d: %q", i+1, got)
				}
			}
			if err := e.BlockAll(t.Context(), append(all, netip.MustParseAddr("203.0.113.9")), nil); err != nil {
				t.Error(err)
			}
			if rules := here.Run(t, iptables, "-S", "OSSEC_AR"); strings.Count(rules, " -s ") != 6 {
				t.Errorf("want 6 rules:\n%s", rules)
			}
			if sets := here.Run(t, Program(t, "ipset"), "list", "-n"); sets != "" {
				t.Errorf("sets are left that nothing uses: %s", sets)
			}
		})
	}
}
