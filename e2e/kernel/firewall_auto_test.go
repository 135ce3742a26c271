package kernel

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallAutoCrosses: rules up to the number, and with the next all in the set, of
// which the rules show as many as before; lifted from both; never a rule more when all is
// asked for again, and as many once more when there is room.
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
			members := func() int {
				if sets := here.Run(t, Program(t, "ipset"), "list"); strings.Contains(sets, "ossec_ar4") {
					return strings.Count(sets, " packets ")
				}
				return 0
			}
			in := func(blocked int) int { // the set
				if blocked > most {
					return blocked
				}
				return 0
			}
			// Rules of others, so that the table has more than ours.
			for i := range 10 {
				here.Run(t, iptables, "-A", "OUTPUT", "-d", fmt.Sprintf("192.0.2.%d", i), "-j", "ACCEPT")
			}
			counts := func(step string, wantRules, wantMembers int) {
				t.Helper()
				if r, m := rules(), members(); r != wantRules || m != wantMembers {
					t.Fatalf("%s: %d rules and %d in the set, want %d and %d", step, r, m, wantRules, wantMembers)
				}
				jump, other := "-A INPUT -j OSSEC_AR\n", "-A INPUT -m set --match-set ossec_ar4 src -j OSSEC_AR\n"
				if wantMembers > 0 {
					jump, other = other, jump
				}
				if got := here.Run(t, iptables, "-S", "INPUT"); strings.Count(got, jump) != 1 || strings.Contains(got, other) {
					t.Fatalf("%s: want one %q and no %q in:\n%s", step, jump, other, got)
				}
			}
			for round := range 2 {
				for i := range 12 {
					blockAddr(t, e, address(i))
					if round == 0 {
						counts(fmt.Sprintf("%d blocked", i+1), min(i+1, most), in(i+1))
					}
				}
				counts("all blocked", most, 12)
			}
			for i := range 12 {
				if err := e.Unblock(t.Context(), address(i)); err != nil {
					t.Fatal(err)
				}
				if got, err := e.List(t.Context()); err != nil || len(got) != 11-i {
					t.Fatalf("%d listed, %v; want %d", len(got), err, 11-i)
				}
			}
			if r, m := rules(), members(); r != 0 || m != 0 {
				t.Fatalf("%d rules and %d in the set, want none", r, m)
			}
			// It stays with the set, and shows as many.
			var many []netip.Addr
			for i := range 12 {
				many = append(many, address(i))
			}
			blockAddr(t, e, many[1])
			counts("one", 1, 1)
			if err := e.BlockAll(t.Context(), many[:3], nil); err != nil {
				t.Fatal(err)
			}
			counts("in bulk, with room", 3, 3)
			if err := e.BlockAll(t.Context(), many, nil); err != nil {
				t.Fatal(err)
			}
			counts("in bulk", most, 12)
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r, m := rules(), members(); r != 0 || m != 0 {
				t.Fatalf("%d rules and %d in the set, want none", r, m)
			}
		})
	}
}

// TestFirewallAutoInspects: with the set, rules do not ask for a jump for all packets, and
// what it says to mend the jump mends it.
func TestFirewallAutoInspects(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			w := way{variant: variant, change: func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, 2 }}
			e, iptables := w.on(t)
			var here Host
			inspect := func(step string, want enforcer.Verdict) (mend string) {
				t.Helper()
				for _, f := range e.Inspect(t.Context(), "") {
					if f.What != "iptables jump" && f.Verdict != enforcer.OK {
						t.Errorf("%s: %+v", step, f)
					}
					if f.What == "iptables jump" {
						if mend = f.Mend; f.Verdict != want {
							t.Errorf("%s: %+v, want %v", step, f, want)
						}
					}
				}
				return mend
			}
			for i := range 3 {
				inspect(fmt.Sprintf("%d blocked", i), enforcer.OK)
				blockAddr(t, e, address(i))
			}
			inspect("3 blocked", enforcer.OK)
			here.Run(t, iptables, "-F", "INPUT")
			shell := func(command string) {
				here.Run(t, "/bin/sh", "-c", "PATH="+filepath.Dir(iptables)+"; "+command)
			}
			shell(inspect("jump removed", enforcer.Fault))
			here.Run(t, iptables, "-I", "INPUT", "-j", "ACCEPT")
			shell(inspect("behind who lets all through", enforcer.Fault))
			inspect("mended", enforcer.OK)
			if blockAddr(t, e, address(0)).Remade {
				t.Error("Block makes something again after that")
			}
		})
	}
}

// address is one of a net for documentation.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) }

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
