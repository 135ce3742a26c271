package kernel

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// faults are what the enforcer's look at itself finds amiss.
func faults(t *testing.T, e *firewall.Firewall) string {
	t.Helper()
	var text strings.Builder
	for _, f := range e.Inspect(t.Context(), "") {
		if f.Verdict != enforcer.OK {
			text.WriteString(string(f.Verdict) + " " + f.What + ": " + f.Found + " -> " + f.Mend + "\n")
		}
	}
	return text.String()
}

// TestFirewallTableWithoutEffect: a table that stands and drops nobody is a fault, and the
// next Block makes it work.
func TestFirewallTableWithoutEffect(t *testing.T) {
	for damage, want := range map[string]string{
		"add table inet ossec_ar { flags dormant; }":                 "fault table inet ossec_ar: it has 2 addresses, but its chains do not drop them: it is dormant -> nft delete table inet ossec_ar",
		"insert rule inet ossec_ar input accept":                     "fault table inet ossec_ar: it has 2 addresses, but its chains do not drop them -> nft delete table inet ossec_ar",
		"insert rule inet ossec_ar input meta nfproto ipv4 return":   "but its chains do not drop them",
		"flush chain inet ossec_ar input":                            "but its chains do not drop them",
		"insert rule inet ossec_ar input ip saddr 192.0.2.7 accept":  "",
		"add rule inet ossec_ar input accept":                        "",
		"insert rule inet ossec_ar input iif lo accept; list tables": "",
	} {
		t.Run(damage, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needTables(t)
			e := newFirewall(t, t.TempDir(), func(o *firewall.Options) { o.Backend = firewall.NFTables })
			attacker, victim := Hosts(t)
			blockAddr(t, e, address(1))
			blockAddr(t, e, attacker.V4)
			victim.Run(t, Program(t, "nft"), damage)
			if got := faults(t, e); !strings.Contains(got, want) || (want == "") != (got == "") {
				t.Errorf("faults: %q, want %q", got, want)
			}
			if out := blockAddr(t, e, address(2)); out.Remade != (want != "") {
				t.Errorf("Block makes it again: %v, want %v", out.Remade, want != "")
			}
			if err := attacker.Ping(t, victim.V4, 300*time.Millisecond); err == nil {
				t.Error("ping gets through")
			}
			if got := faults(t, e); got != "" {
				t.Errorf("after a Block: %s", got)
			}
		})
	}
}

// TestFirewallForeignTable: what somebody made in the place of ours, and that cannot be made
// to work, is named.
func TestFirewallForeignTable(t *testing.T) {
	for made, want := range map[string]string{
		"add chain inet ossec_ar input":                                                         "chain input has not the hook and priority",
		"add chain inet ossec_ar input { type filter hook output priority 5; }":                 "chain input has not the hook and priority",
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
			_, err := e.Block(t.Context(), address(1), true)
			if err == nil || !strings.Contains(err.Error(), "somebody else made part of it (nft delete table inet ossec_ar makes room for ours): "+want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Block: %v, want %q", err, want)
			}
			if got := faults(t, e); !strings.Contains(got, "fault table inet ossec_ar: ") || !strings.Contains(got, want) {
				t.Errorf("faults: %q, want %q", got, want)
			}
		})
	}
}

// TestFirewallForeignSet: a set of our name that somebody made in another way blocks nobody
// of ours: with auto all become rules, with ipset the fault is told; what is lifted is free,
// and what is in it is not taken for blocks.
func TestFirewallForeignSet(t *testing.T) {
	for made, want := range map[string]string{
		"hash:ip timeout 2":    "it has a timeout, by which blocks end by themselves",
		"hash:ip netmask 24":   "it has a mask, by which it takes in neighbours",
		"hash:ip family inet6": "it is of another kind",
		"hash:ip,port":         "it is of another kind",
		"hash:net":             "it is of another kind",
	} {
		for _, variant := range variants {
			t.Run(made+"/"+variant, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				needSets(t)
				tools := chooseVariant(t, variant)
				attacker, victim := Hosts(t)
				victim.Run(t, Program(t, "ipset"), append([]string{"create", "ossec_ar4"}, strings.Fields(made)...)...)
				if made == "hash:net" {
					victim.Run(t, Program(t, "ipset"), "add", "ossec_ar4", "198.51.100.0/24")
				}
				of := func(backend string) *firewall.Firewall {
					return newFirewall(t, tools, func(o *firewall.Options) { o.Backend, o.MaxRules = backend, 512 })
				}
				bySet := of(firewall.IPSet)
				if _, err := bySet.Block(t.Context(), attacker.V4, true); err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "the set is of another kind") {
					t.Errorf("with ipset Block: %v, want %q", err, want)
				}
				if got := faults(t, bySet); !strings.Contains(got, "fault set ossec_ar4: it is somebody else's: "+want+" -> ipset destroy ossec_ar4") {
					t.Errorf("with ipset: %s", got)
				}
				e := of(firewall.Auto)
				out, err := e.Block(t.Context(), attacker.V4, true)
				if err != nil || !strings.Contains(strings.Join(out.Notes, "\n"), "the set ossec_ar4 cannot be used, so all addresses become rules: ") {
					t.Fatalf("with auto Block: %v, %q", err, out.Notes)
				}
				rules := victim.Run(t, filepath.Join(tools, "iptables"), "-S")
				if !strings.Contains(rules, "-A INPUT -j OSSEC_AR") || !strings.Contains(rules, "-A OSSEC_AR -s 198.51.100.1/32 -j DROP") || strings.Contains(rules, "ossec_ar4") {
					t.Errorf("want a rule and its jump:\n%s", rules)
				}
				if got := faults(t, e); !strings.Contains(got, "warn set ossec_ar4: it is somebody else's: "+want) {
					t.Errorf("with auto: %s", got)
				}
				if blocks, err := e.List(t.Context()); err != nil || len(blocks) != 1 {
					t.Errorf("listed: %v, %v; want the attacker", blocks, err)
				}
				if err := e.Unblock(t.Context(), attacker.V4); err != nil {
					t.Errorf("Unblock: %v", err)
				}
				if err := attacker.Ping(t, victim.V4, patience); err != nil {
					t.Errorf("after Unblock: %v", err)
				}
			})
		}
	}
}
