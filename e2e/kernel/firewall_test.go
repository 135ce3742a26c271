package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// variants are the two kinds of iptables that systems have.
var variants = []string{"nft", "legacy"}

// chooseVariant makes iptables and its family mean one variant in this namespace, as
// `update-alternatives` does on a host.
func chooseVariant(t *testing.T, variant string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"iptables", "iptables-restore", "ip6tables", "ip6tables-restore"} {
		base, restore, _ := strings.Cut(name, "-")
		real := Program(t, base+"-"+variant)
		if restore != "" {
			real += "-" + restore
		}
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newFirewall(t *testing.T, dir string, change ...func(*firewall.Options)) *firewall.Firewall {
	t.Helper()
	opts := firewall.Options{Backend: firewall.IPTables, Target: "DROP", Forward: "auto", Timeout: patience, ToolDirs: []string{dir}, LockPath: filepath.Join(dir, "lock")}
	for _, c := range change {
		c(&opts)
	}
	e, err := firewall.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

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
	backend string
	rules   int
}

func ways() []way {
	all := []way{{"nftables", "nft", firewall.NFTables, 0}, {"auto without iptables", "", firewall.Auto, 32}}
	for _, variant := range variants {
		all = append(all,
			way{"iptables " + variant, variant, firewall.IPTables, 0},
			way{"ipset over " + variant, variant, firewall.IPSet, 0},
			way{"auto over " + variant, variant, firewall.Auto, 32},
			way{"auto with 2 rules over " + variant, variant, firewall.Auto, 2},
			way{"auto with no rule over " + variant, variant, firewall.Auto, 0},
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
	set := func(o *firewall.Options) { o.Backend, o.MaxRules = w.backend, w.rules }
	return newFirewall(t, dir, append([]func(*firewall.Options){set}, change...)...), iptables
}

// address is one of a net for documentation.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}) }

// targets are those of addresses.
func targets(addrs []netip.Addr) []target.Target {
	all := make([]target.Target, len(addrs))
	for i, addr := range addrs {
		all[i] = target.Of(addr)
	}
	return all
}

// manyAddresses are so many of both families.
func manyAddresses(n int) []netip.Addr {
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		if addrs[i] = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}); i%2 == 1 {
			addrs[i] = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
		}
	}
	return addrs
}

// blockOne blocks an address while others are leased.
func blockOne(t *testing.T, e enforcer.Enforcer, addr netip.Addr, others int) enforcer.Outcome {
	t.Helper()
	out, err := e.Block(t.Context(), target.Of(addr), enforcer.Known{Others: others})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Notes) > 0 {
		t.Errorf("Block(%s) notes %q", addr, out.Notes)
	}
	return out
}

// standing returns what stands, by address.
func standing(t *testing.T, e enforcer.Enforcer) (map[netip.Addr]enforcer.Block, []string) {
	t.Helper()
	l, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[netip.Addr]enforcer.Block{}
	for _, b := range l.Blocks {
		blocks[b.Target.Addr()] = b
	}
	return blocks, l.Faults
}

// mend mends and wants nothing to be wrong afterwards.
func mend(t *testing.T, e enforcer.Enforcer) (changes string) {
	t.Helper()
	made, err := e.Mend(t.Context())
	if err != nil {
		t.Fatalf("Mend: %v", err)
	}
	blocks, faults := standing(t, e)
	if len(faults) > 0 {
		t.Errorf("after Mend: faults %q", faults)
	}
	for addr, b := range blocks {
		if b.Open != "" {
			t.Errorf("after Mend: %s is open: %s", addr, b.Open)
		}
	}
	return strings.Join(made, "\n")
}

const silence = 300 * time.Millisecond // long enough for an answer over a veth pair

// isBlocked sends a ping, which must not get through, or must.
func isBlocked(t *testing.T, step string, attacker, victim *Host, want bool) {
	t.Helper()
	for _, to := range []netip.Addr{victim.V4, victim.V6} {
		err := attacker.Ping(t, to, silence)
		for end := time.Now().Add(2 * patience); err != nil && !want && time.Now().Before(end); {
			err = attacker.Ping(t, to, time.Second) // a neighbour that was silent is asked for anew
		}
		if (err != nil) != want {
			t.Errorf("%s: ping to %s: %v, want it blocked: %v", step, to, err, want)
		}
	}
}

func TestFirewallContract(t *testing.T) {
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

// TestFirewallPackets: real packets, over both families, with ten others leased before so that
// auto may use the set. The counters count; Inspect finds nothing wrong.
func TestFirewallPackets(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, _ := w.on(t)
			attacker, victim := Hosts(t)
			for i := range 10 {
				blockOne(t, e, address(i), i)
				blockOne(t, e, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 2, 15: byte(i)}), i)
			}
			isBlocked(t, "before", attacker, victim, false)
			for _, addr := range []netip.Addr{attacker.V4, attacker.V6} {
				if out := blockOne(t, e, addr, 10); out.Made {
					t.Error("the place is made again")
				}
			}
			isBlocked(t, "blocked", attacker, victim, true)
			blocks, faults := standing(t, e)
			for _, addr := range []netip.Addr{attacker.V4, attacker.V6} {
				if b := blocks[addr]; !b.Counted || b.Packets == 0 || b.Bytes == 0 || b.Open != "" {
					t.Errorf("listed as %+v, want counted packets", b)
				}
			}
			if len(blocks) != 22 || len(faults) > 0 {
				t.Errorf("%d are listed, faults %q", len(blocks), faults)
			}
			for _, f := range e.Inspect(t.Context(), "") {
				if f.Verdict != enforcer.OK {
					t.Errorf("%+v", f)
				}
			}
			for _, addr := range []netip.Addr{attacker.V4, attacker.V6} {
				if err := e.Unblock(t.Context(), target.Of(addr)); err != nil {
					t.Fatal(err)
				}
			}
			isBlocked(t, "unblocked", attacker, victim, false)
		})
	}
}
