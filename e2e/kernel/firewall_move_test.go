package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestFirewallMoves: what another configuration left is listed, lifted, flushed, and moved by
// Mend, and packets are stopped all the while.
func TestFirewallMoves(t *testing.T) {
	backends := []string{firewall.IPTables, firewall.IPSet, firewall.NFTables, firewall.Auto}
	for _, variant := range variants {
		for _, from := range backends {
			for _, to := range backends {
				if from == to {
					continue
				}
				t.Run(variant+"/"+from+" to "+to, func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					old, iptables := way{"", variant, from, 3}.on(t)
					next := newFirewall(t, filepath.Dir(iptables), func(o *firewall.Options) { o.Backend, o.MaxRules = to, 3 })
					attacker, victim := Hosts(t)
					moves(t, old, next, attacker, victim)
					var here Host
					state := here.Run(t, iptables, "-S") + here.Run(t, Program(t, "ipset"), "save") + here.Run(t, Program(t, "nft"), "list tables")
					forbidden := map[string][]string{
						firewall.IPTables: {"ossec_ar4", "inet ossec_ar"}, firewall.IPSet: {"-A OSSEC_AR -s", "inet ossec_ar"},
						firewall.NFTables: {"-A OSSEC_AR -s", "ossec_ar4"}, firewall.Auto: {"inet ossec_ar"},
					}
					for _, text := range forbidden[to] {
						if strings.Contains(state, text) {
							t.Errorf("%q is left after all was moved:\n%s", text, state)
						}
					}
					if err := next.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
					isBlocked(t, "flushed", attacker, victim, false)
				})
			}
		}
	}
}

// moves blocks addresses of both families by old, lifts some by next, and mends by that.
func moves(t *testing.T, old, next *firewall.Firewall, attacker, victim *Host) {
	t.Helper()
	all := append(manyAddresses(20), attacker.V4, attacker.V6)
	must(t, old.BlockAll(t.Context(), targets(all)))
	isBlocked(t, "by the old", attacker, victim, true)
	if blocks, _ := standing(t, next); len(blocks) != len(all) {
		t.Fatalf("%d are listed, want %d", len(blocks), len(all))
	}
	must(t, next.Unblock(t.Context(), target.Of(all[0])))
	must(t, next.UnblockAll(t.Context(), targets(all[1:4])))
	mend(t, next)
	isBlocked(t, "by the new", attacker, victim, true)
	if blocks, faults := standing(t, next); len(blocks) != len(all)-4 || len(faults) > 0 {
		t.Fatalf("%d are listed, want %d; faults %q", len(blocks), len(all)-4, faults)
	}
	if changes := mend(t, next); changes != "" {
		t.Errorf("Mend once more: %s", changes)
	}
}

// TestFirewallTarget: after a change of the target, rules are replaced.
func TestFirewallTarget(t *testing.T) {
	for _, w := range ways() {
		if w.variant == "" {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			old, iptables := w.on(t)
			next := newFirewall(t, filepath.Dir(iptables), func(o *firewall.Options) { o.Backend, o.MaxRules, o.Target = w.backend, w.rules, "REJECT" })
			must(t, old.BlockAll(t.Context(), targets(manyAddresses(20))))
			mend(t, next)
			var here Host
			state := here.Run(t, iptables, "-S") + here.Run(t, Program(t, "nft"), "list ruleset inet")
			if strings.Contains(state, "DROP") && w.backend != firewall.NFTables || strings.Contains(state, "saddr @blocked4 drop") {
				t.Errorf("the old target is left:\n%s", state)
			}
			must(t, next.Flush(t.Context()))
			if blocks, _ := standing(t, old); len(blocks) > 0 {
				t.Errorf("%d are listed after Flush", len(blocks))
			}
		})
	}
}

// strayTools are programs of a host: iptables is of that variant, and both are there by name.
func strayTools(t *testing.T, variant string) (dir string) {
	t.Helper()
	dir = chooseVariant(t, variant)
	for _, variant := range variants {
		for _, family := range []string{"iptables-", "ip6tables-"} {
			for _, name := range []string{family + variant, family + variant + "-restore"} {
				must(t, os.Symlink(Program(t, name), filepath.Join(dir, name)))
			}
		}
	}
	return dir
}

// TestFirewallStrays: what is blocked by an iptables that is not in use any more is listed,
// lifted and moved like all else.
func TestFirewallStrays(t *testing.T) {
	for i, variant := range variants {
		for _, backend := range []string{firewall.IPTables, firewall.IPSet, firewall.Auto, firewall.NFTables} {
			t.Run(fmt.Sprintf("%s to %s/%s", variant, variants[1-i], backend), func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				needSets(t)
				needTables(t)
				attacker, victim := Hosts(t)
				old := newFirewall(t, strayTools(t, variant))
				next := newFirewall(t, strayTools(t, variants[1-i]), func(o *firewall.Options) { o.Backend, o.MaxRules = backend, 3 })
				moves(t, old, next, attacker, victim)
				if blocks, _ := standing(t, old); backend == firewall.IPSet && len(blocks) == 0 {
					t.Error("the set is not seen")
				}
			})
		}
	}
}

// TestFirewallUnblocksStray: delete lifts a rule of the other variant, and only its own.
func TestFirewallUnblocksStray(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needTables(t)
	blockOne(t, newFirewall(t, strayTools(t, "legacy")), address(1), 0)
	e := newFirewall(t, strayTools(t, "nft"))
	for _, addr := range []netip.Addr{address(2), address(1)} {
		must(t, e.Unblock(t.Context(), target.Of(addr)))
	}
	if blocks, _ := standing(t, e); len(blocks) > 0 {
		t.Errorf("listed: %v", blocks)
	}
}
