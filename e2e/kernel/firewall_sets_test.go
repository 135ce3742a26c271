package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// needSets ends a test where the kernel or iptables has no ipset.
func needSets(t *testing.T) {
	t.Helper()
	ipset := Program(t, "ipset")
	for _, command := range []string{
		ipset + " create ar_probe hash:ip counters", Program(t, "iptables-nft") + " -A INPUT -m set --match-set ar_probe src",
		Program(t, "iptables-nft") + " -F INPUT", ipset + " destroy ar_probe",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			needKernel(t, fmt.Sprintf("no ipset here: %s: %v: %s", command, err, out))
		}
	}
}

// needTables ends a test where the kernel has no nf_tables of the family inet.
func needTables(t *testing.T) {
	t.Helper()
	nft := Program(t, "nft")
	if out, err := exec.Command(nft, "add table inet ar_probe; delete table inet ar_probe").CombinedOutput(); err != nil {
		needKernel(t, fmt.Sprintf("no nf_tables here: %v: %s", err, out))
	}
}

// way is one way to block, as a host may be set up.
type way struct {
	name    string
	variant string // of iptables; "" for none installed
	change  func(*firewall.Options)
}

func ways() []way {
	backend := func(name string, rules int) func(*firewall.Options) {
		return func(o *firewall.Options) { o.Backend, o.MaxRules = name, rules }
	}
	all := []way{{"nftables", "nft", backend(firewall.NFTables, 0)}, {"auto without iptables", "", backend(firewall.Auto, 512)}}
	for _, variant := range variants {
		all = append(all,
			way{"ipset over " + variant, variant, backend(firewall.IPSet, 0)},
			way{"auto over " + variant, variant, backend(firewall.Auto, 512)},
			way{"auto with 2 rules over " + variant, variant, backend(firewall.Auto, 2)},
			way{"auto with no rule over " + variant, variant, backend(firewall.Auto, 0)},
		)
	}
	return all
}

// on returns an enforcer for that way in the namespaces of the test.
func (w way) on(t *testing.T, change ...func(*firewall.Options)) (e *firewall.Firewall, iptables string) {
	t.Helper()
	needSets(t)
	needTables(t)
	dir := t.TempDir()
	if w.variant != "" {
		dir = chooseVariant(t, w.variant)
		iptables = filepath.Join(dir, "iptables")
	}
	return newFirewall(t, dir, append([]func(*firewall.Options){w.change}, change...)...), iptables
}

func TestFirewallSetsContract(t *testing.T) {
	for _, w := range ways() {
		for _, target := range []string{"DROP", "REJECT"} {
			t.Run(w.name+"/"+target, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				e, _ := w.on(t, func(o *firewall.Options) { o.Target = target })
				enforcertest.Contract(t, e)
			})
		}
	}
}

func blockAddr(t *testing.T, e enforcer.Enforcer, addr netip.Addr) enforcer.Outcome {
	t.Helper()
	out, err := e.Block(t.Context(), addr, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Notes) > 0 {
		t.Errorf("Block(%s) notes %q", addr, out.Notes)
	}
	return out
}

// TestFirewallSetsStopPackets: real packets, over both families, with ten others blocked
// before so that auto has gone over to the set. The counters count.
func TestFirewallSetsStopPackets(t *testing.T) {
	const blocked = 300 * time.Millisecond
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, _ := w.on(t)
			attacker, victim := Hosts(t)
			for i := range 10 {
				blockAddr(t, e, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
				blockAddr(t, e, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 2, 15: byte(i)}))
			}
			for _, pair := range []struct{ from, to netip.Addr }{{attacker.V4, victim.V4}, {attacker.V6, victim.V6}} {
				if err := attacker.Ping(t, pair.to, patience); err != nil {
					t.Fatalf("before: %v", err)
				}
				blockAddr(t, e, pair.from)
				if err := attacker.Ping(t, pair.to, blocked); err == nil {
					t.Errorf("ping from %s gets through", pair.from)
				}
				if got := dropped(t, e, pair.from); got == 0 {
					t.Errorf("no packet of %s was counted", pair.from)
				}
				if err := e.Unblock(t.Context(), pair.from); err != nil {
					t.Fatal(err)
				}
				if err := attacker.Ping(t, pair.to, patience); err != nil {
					t.Errorf("after: %v", err)
				}
			}
		})
	}
}

// dropped returns how many packets of a blocked address were dropped.
func dropped(t *testing.T, e enforcer.Enforcer, addr netip.Addr) uint64 {
	t.Helper()
	blocks, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Addr == addr && b.Counted {
			return b.Packets
		}
	}
	t.Errorf("%s is not listed with a count", addr)
	return 0
}

// TestFirewallSetsMadeAgain: whatever somebody does to the rules and sets, the next Block
// puts them right, tells so, and packets are stopped again.
func TestFirewallSetsMadeAgain(t *testing.T) {
	rules := []string{"iptables -F", "iptables -F; iptables -X", "iptables -F OSSEC_AR", "iptables -F INPUT", "iptables -F; ipset destroy ossec_ar4"}
	rules = append(rules, "iptables -D INPUT -m set --match-set ossec_ar4 src -j OSSEC_AR", "iptables -D OSSEC_AR 1")
	damages := map[string][]string{
		"ipset": rules, "auto": rules,
		"nftables": {"nft delete table inet ossec_ar", "nft flush table inet ossec_ar", "nft flush chain inet ossec_ar input", "nft delete chain inet ossec_ar input", "nft flush ruleset"},
	}
	for _, w := range ways() {
		kind, _, _ := strings.Cut(w.name, " ")
		if w.variant == "" {
			kind = "nftables"
		}
		if w.name == "auto over nft" || w.name == "auto over legacy" {
			continue // with few addresses it is the iptables backend
		}
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, iptables := w.on(t)
			attacker, victim := Hosts(t)
			for _, damage := range damages[kind] {
				// The attacker comes third, so that auto puts it into the set.
				for _, addr := range []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2"), attacker.V4} {
					blockAddr(t, e, addr)
				}
				if blockAddr(t, e, attacker.V4).Remade {
					t.Fatalf("a second Block has to make something again")
				}
				for step := range strings.SplitSeq(damage, "; ") {
					words := strings.Fields(step)
					program := iptables
					if words[0] != "iptables" {
						program = Program(t, words[0])
					}
					victim.Run(t, program, words[1:]...)
				}
				madeAgain(t, e, damage, attacker, victim)
			}
		})
	}
}

// madeAgain checks what a Block does after damage, and flushes.
func madeAgain(t *testing.T, e enforcer.Enforcer, damage string, attacker, victim *Host) {
	t.Helper()
	if err := attacker.Ping(t, victim.V4, patience); err != nil {
		t.Fatalf("%s did no damage: %v", damage, err)
	}
	if !blockAddr(t, e, attacker.V4).Remade {
		t.Errorf("after %s, Block does not tell that it made anything again", damage)
	}
	if err := attacker.Ping(t, victim.V4, 100*time.Millisecond); err == nil {
		t.Errorf("after %s and a Block, ping gets through", damage)
	}
	if blockAddr(t, e, attacker.V4).Remade {
		t.Errorf("after %s, Block does not find in order what it made", damage)
	}
	if err := e.Unblock(t.Context(), attacker.V4); err != nil {
		t.Fatal(err)
	}
	if err := attacker.Ping(t, victim.V4, patience); err != nil {
		t.Fatalf("after Unblock: %v", err)
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestFirewallSwitchesBackend: from each way to each other, with an address that is
// lifted while the new one is in use, some that are moved by BlockAll, and in the end
// nothing of the old one left.
func TestFirewallSwitchesBackend(t *testing.T) {
	for _, variant := range variants {
		backends := []string{firewall.IPTables, firewall.IPSet, firewall.NFTables, firewall.Auto}
		for _, from := range backends {
			for _, to := range backends {
				if from == to {
					continue
				}
				t.Run(variant+"/"+from+" to "+to, func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					switchBackend(t, variant, from, to)
				})
			}
		}
	}
}

func switchBackend(t *testing.T, variant, from, to string) {
	var here Host
	at := func(backend string) (*firewall.Firewall, string) {
		w := way{variant: variant, change: func(o *firewall.Options) { o.Backend, o.MaxRules = backend, 3 }}
		return w.on(t)
	}
	var all []netip.Addr
	for i := range 10 {
		all = append(all, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}))
	}
	state := func(iptables string) string {
		text := here.Run(t, iptables, "-S") + here.Run(t, strings.Replace(iptables, "/iptables", "/ip6tables", 1), "-S")
		return text + here.Run(t, Program(t, "ipset"), "list", "-t") + here.Run(t, Program(t, "nft"), "list tables inet")
	}
	listed := func(e enforcer.Enforcer, want int) {
		t.Helper()
		if got, err := e.List(t.Context()); err != nil || len(got) != want {
			t.Fatalf("%d listed, %v; want %d", len(got), err, want)
		}
		missing := func(addr netip.Addr) bool { return e.(enforcer.Prober).Missing(t.Context(), addr) }
		if want == len(all) && slices.ContainsFunc(all, missing) {
			t.Fatal("it misses an address that is blocked")
		}
	}
	old, iptables := at(from)
	next, _ := at(to)
	for _, addr := range all {
		blockAddr(t, old, addr)
	}
	listed(next, len(all))
	for _, addr := range all[:4] {
		if err := next.Unblock(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
	}
	listed(next, len(all)-4)
	blockAddr(t, next, all[0])
	blockAddr(t, next, all[10])
	listed(next, len(all)-3)
	if err := next.BlockAll(t.Context(), all, nil); err != nil {
		t.Fatal(err)
	}
	listed(next, len(all))
	listed(old, len(all))
	moved := state(iptables)
	if err := next.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	listed(next, 0)
	// What a host has that never knew another backend.
	forbidden := map[string][]string{
		firewall.IPTables: {"ossec_ar"}, firewall.IPSet: {" -s ", "-A INPUT -j", "table inet ossec_ar"},
		firewall.NFTables: {"OSSEC_AR", "ossec_ar4", "ossec_ar6"}, firewall.Auto: {"table inet ossec_ar", "-A INPUT -j"},
	}
	for _, text := range forbidden[to] {
		if strings.Contains(moved, text) {
			t.Errorf("%q is left after all was moved:\n%s", text, moved)
		}
	}
}

// TestFirewallSetFull: the error says so, what is there already is no error, and a
// larger number takes effect at once.
func TestFirewallSetFull(t *testing.T) {
	for _, w := range ways() {
		if strings.HasPrefix(w.name, "auto over") || w.name == "auto with 2 rules over nft" {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			var addrs []netip.Addr
			for i := range 400 {
				addrs = append(addrs, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}))
			}
			e, _ := w.on(t, func(o *firewall.Options) { o.MaxAddresses = 100 })
			if err := e.BlockAll(t.Context(), addrs[:100], nil); err != nil {
				t.Fatal(err)
			}
			if err := e.BlockAll(t.Context(), addrs, nil); !errors.Is(err, firewall.ErrFull) || !strings.Contains(err.Error(), "firewall.max_addresses is 100") {
				t.Errorf("BlockAll of too many: %v", err)
			}
			if _, err := e.Block(t.Context(), addrs[399], true); !errors.Is(err, firewall.ErrFull) {
				t.Errorf("Block of one too many: %v", err)
			}
			if _, err := e.Block(t.Context(), addrs[0], false); err != nil {
				t.Errorf("Block of one that is blocked: %v", err)
			}
			larger, _ := w.on(t, func(o *firewall.Options) { o.MaxAddresses = 1000 })
			blockAddr(t, larger, addrs[399])
			if err := larger.BlockAll(t.Context(), addrs, nil); err != nil {
				t.Error(err)
			}
			if blocks, err := larger.List(t.Context()); err != nil || len(blocks) != len(addrs) {
				t.Errorf("%d listed, %v; want %d", len(blocks), err, len(addrs))
			}
		})
	}
}
