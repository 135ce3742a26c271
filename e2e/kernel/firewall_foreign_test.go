package kernel

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestFirewallForeignSet: a set of our name that somebody made in another way is never written
// to: with ipset the error names it, with auto all become rules.
func TestFirewallForeignSet(t *testing.T) {
	for made, want := range map[string]string{
		"hash:ip timeout 2":    "it has a timeout, by which blocks end by themselves",
		"hash:ip netmask 24":   "it has a mask, by which it takes in neighbours",
		"hash:ip forceadd":     "it is one with forceadd, by which it drops members when it is full",
		"hash:ip family inet6": "it is of another kind",
		"hash:ip,port":         "it is of another kind",
		"hash:net":             "it is of another kind",
	} {
		t.Run(made, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			tools := chooseVariant(t, "nft")
			var here Host
			ipset := Program(t, "ipset")
			here.Run(t, ipset, append([]string{"create", "ossec_ar4"}, strings.Fields(made)...)...)
			if made == "hash:net" {
				here.Run(t, ipset, "add", "ossec_ar4", "198.51.100.1")
			}
			before := here.Run(t, ipset, "save")
			for _, backend := range []string{firewall.IPSet, firewall.Auto} {
				e := newFirewall(t, tools, func(o *firewall.Options) { o.Backend, o.MaxRules = backend, 1 })
				blockOne(t, newFirewall(t, tools), address(1), 0) // by a rule
				out, err := e.Block(t.Context(), target.Of(address(2)), enforcer.Known{Others: 1})
				if err == nil {
					err = fmt.Errorf("%q", out.Notes)
				}
				if !strings.Contains(err.Error(), "set ossec_ar4: somebody else made it (ipset destroy ossec_ar4 makes room for ours): "+want) || (backend == firewall.Auto) != (len(out.Notes) == 1) {
					t.Errorf("%s: Block: %v, want %q", backend, err, want)
				}
				if err := e.BlockAll(t.Context(), targets([]netip.Addr{address(3), address(4)})); (err != nil) != (backend == firewall.IPSet) {
					t.Errorf("%s: BlockAll: %v", backend, err)
				}
				foreign := netip.MustParseAddr("198.51.100.1")
				must(t, e.Unblock(t.Context(), target.Of(foreign)))
				must(t, e.UnblockAll(t.Context(), targets([]netip.Addr{foreign, address(2)})))
				must(t, e.Flush(t.Context()))
				if blocks, _ := standing(t, e); len(blocks) > 0 {
					t.Errorf("%s: listed %v", backend, blocks)
				}
				if after := here.Run(t, ipset, "save"); after != before {
					t.Errorf("%s: it is changed:\n%s%s", backend, before, after)
				}
			}
		})
	}
}

// TestFirewallAdoptedSet: a set that ipset(8) made in our way, as a saved file brings it back,
// is ours.
func TestFirewallAdoptedSet(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, iptables := way{"", variant, firewall.IPSet, 0}.on(t)
			var here Host
			here.Run(t, Program(t, "ipset"), "create", "ossec_ar4", "hash:ip", "counters")
			if out := blockOne(t, e, address(1), 0); !out.Made {
				t.Error("Block does not report that it made the chain")
			}
			if out := blockOne(t, e, address(2), 1); out.Made {
				t.Error("Block reports that it made the chain again")
			}
			if got := here.Run(t, iptables, "-S", "OSSEC_AR"); strings.Count(got, "--match-set ossec_ar4 src -j DROP") != 1 {
				t.Errorf("rules:\n%s", got)
			}
			mend(t, e)
		})
	}
}

// TestFirewallForeignTable: what somebody made in the place of ours, and that cannot be made
// to work, is named.
func TestFirewallForeignTable(t *testing.T) {
	for made, want := range map[string]string{
		"add chain inet ossec_ar prerouting":                                                    "chain prerouting has not the hook and priority",
		"add chain inet ossec_ar prerouting { type filter hook output priority 5; }":            "chain prerouting has not the hook and priority",
		"add set inet ossec_ar blocked4 { type ipv4_addr; timeout 2s; }":                        "set blocked4 has a timeout, by which blocks end by themselves",
		"add set inet ossec_ar blocked4 { type ipv4_addr; flags interval; }":                    "set blocked4 is of another kind",
		"add set inet ossec_ar blocked4 { type ipv6_addr; }":                                    "set blocked4 is of another kind",
		"add set inet ossec_ar blocked6 { type ipv6_addr; size 1000; flags dynamic, timeout; }": "set blocked6 has a timeout",
	} {
		t.Run(made, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needTables(t)
			e := newFirewall(t, t.TempDir(), func(o *firewall.Options) { o.Backend = firewall.NFTables })
			var here Host
			here.Run(t, Program(t, "nft"), "add table inet ossec_ar; "+made)
			_, err := e.Block(t.Context(), target.Of(address(1)), enforcer.Known{})
			if err == nil || !strings.Contains(err.Error(), "somebody else made it (nft delete table inet ossec_ar makes room for ours): "+want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Block: %v, want %q", err, want)
			}
			found := ""
			for _, f := range e.Inspect(t.Context(), "") {
				found += string(f.Verdict) + " " + f.Found + "\n"
			}
			if !strings.Contains(found, "fault ") || !strings.Contains(found, want) {
				t.Errorf("Inspect: %q, want %q", found, want)
			}
		})
	}
}

// TestFirewallFull: the error says so, what is there already is no error, and Mend makes a set
// as large as it may be by now.
func TestFirewallFull(t *testing.T) {
	for _, backend := range []string{firewall.IPSet, firewall.NFTables, firewall.Auto} {
		t.Run(backend, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			var addrs []netip.Addr
			for i := range 400 {
				addrs = append(addrs, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}))
			}
			w := way{"", "nft", backend, 0}
			e, iptables := w.on(t, func(o *firewall.Options) { o.MaxAddresses = 100 })
			must(t, e.BlockAll(t.Context(), targets(addrs[:100])))
			_, err := e.Block(t.Context(), target.Of(addrs[399]), enforcer.Known{Others: 100})
			for what, err := range map[string]error{"Block": err, "BlockAll": e.BlockAll(t.Context(), targets(addrs))} {
				if err == nil || !strings.Contains(err.Error(), "the set of blocked addresses is full: firewall.max_addresses ") {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, err := e.Block(t.Context(), target.Of(addrs[0]), enforcer.Known{Leased: true, Others: 99}); err != nil {
				t.Errorf("Block of one that is blocked: %v", err)
			}
			if backend == firewall.NFTables {
				return
			}
			larger := newFirewall(t, filepath.Dir(iptables), func(o *firewall.Options) { o.Backend, o.MaxAddresses, o.MaxRules = backend, 1000, 0 })
			if got := mend(t, larger); !strings.Contains(got, "made room for 1000 addresses") {
				t.Errorf("Mend: %q", got)
			}
			blockOne(t, larger, addrs[399], 100)
			must(t, larger.BlockAll(t.Context(), targets(addrs)))
			if blocks, _ := standing(t, larger); len(blocks) != len(addrs) {
				t.Errorf("%d listed, want %d", len(blocks), len(addrs))
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
			e, iptables := way{"", variant, firewall.Auto, 2}.on(t)
			var here Host
			here.Run(t, Program(t, "mount"), "--bind", "/dev/null", libraries[0])
			for i := range 5 {
				out, err := e.Block(t.Context(), target.Of(address(i)), enforcer.Known{Others: i})
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(out.Notes, "\n"); strings.Contains(got, "set ossec_ar4 cannot be used") != (i >= 2) {
					t.Errorf("notes of number %d: %q", i+1, got)
				}
			}
			must(t, e.BlockAll(t.Context(), targets([]netip.Addr{address(0), address(9)})))
			if rules := here.Run(t, iptables, "-S", "OSSEC_AR"); strings.Count(rules, " -s ") != 6 {
				t.Errorf("want 6 rules:\n%s", rules)
			}
			if sets := here.Run(t, Program(t, "ipset"), "list", "-n"); sets != "" {
				t.Errorf("sets are left that nothing uses: %s", sets)
			}
			mend(t, e)
		})
	}
}

// TestFirewallLockIsHeld: iptables gives up waiting for its lock before its time is over, so
// that it can say what it waited for.
func TestFirewallLockIsHeld(t *testing.T) {
	if !Isolated(t) {
		return
	}
	e := newFirewall(t, chooseVariant(t, "legacy"), func(o *firewall.Options) { o.Timeout = 8 * time.Second })
	blockOne(t, e, address(1), 0)
	fd, err := unix.Open("/run/xtables.lock", unix.O_RDONLY|unix.O_CREAT, 0o600)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Flock(fd, unix.LOCK_EX))
	_, err = e.Block(t.Context(), target.Of(address(2)), enforcer.Known{})
	for name, err := range map[string]error{"Block": err, "Unblock": e.Unblock(t.Context(), target.Of(address(1)))} {
		if err == nil || !strings.Contains(err.Error(), "xtables lock") || strings.Contains(err.Error(), "killed") {
			t.Errorf("%s: %v, want what iptables says of its lock", name, err)
		}
	}
}
