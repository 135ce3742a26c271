package kernel

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLostHook: somebody takes away what leads packets to our chain, or what drops the set,
// and leaves the addresses. reconcile says so, list does not call them blocked, and both
// reconcile --repair and restore make it again.
func TestLostHook(t *testing.T) {
	const noInput = "INPUT does not lead to OSSEC_AR"
	const inSet = "OSSEC_AR does not drop the set ossec_ar"
	const inTable = "the chains of table inet ossec_ar do not drop it"
	for _, tt := range []struct{ name, config, damage, why string }{
		{"rules, INPUT flushed", `backend = "iptables"`, "IPTABLES -w -F INPUT", noInput},
		{"auto, INPUT flushed", `max_rules = 512`, "IPTABLES -w -F INPUT", noInput},
		{"set, INPUT flushed", `backend = "ipset"`, "IPTABLES -w -F INPUT", noInput},
		{"set, chain flushed", `backend = "ipset"`, "IPTABLES -w -F OSSEC_AR", inSet},
		{"set, all gone", `backend = "ipset"`, "IPTABLES -w -F; IPTABLES -w -X", "there is no chain OSSEC_AR"},
		{"auto with the set, INPUT flushed", `max_rules = 0`, "IPTABLES -w -F INPUT", noInput},
		{"auto with the set, chain flushed", `max_rules = 0`, "IPTABLES -w -F OSSEC_AR", inSet},
		{"nftables, chain flushed", `backend = "nftables"`, "nft flush chain inet ossec_ar input", inTable},
	} {
		for _, variant := range variants {
			if variant == "legacy" && strings.Contains(tt.config, "nftables") {
				continue // there is no iptables in it
			}
			t.Run(tt.name+"/"+variant, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				h := lostHookHost(t, variant, tt.config)
				h.loseAndMend(t, h.attacker.V4, h.victim.V4, strings.ReplaceAll(tt.damage, "IPTABLES", "iptables"), tt.why)
				h.loseAndMend(t, h.attacker.V6, h.victim.V6, strings.ReplaceAll(tt.damage, "IPTABLES", "ip6tables"), tt.why)
			})
		}
	}
}

// lostHook is a host with firewall-drop, and another that is blocked.
type lostHook struct {
	program, tools   string
	attacker, victim *Host
}

func lostHookHost(t *testing.T, variant, config string) lostHook {
	t.Helper()
	needSets(t)
	needTables(t)
	h := lostHook{tools: chooseVariant(t, variant)}
	bin := buildPrograms(t)
	bindTools(t, h.tools)
	configure(t, bin, "[firewall]\n"+config+"\n")
	h.program = filepath.Join(bin, "firewall-drop.sh")
	h.attacker, h.victim = Hosts(t)
	return h
}

// loseAndMend blocks the address, does the damage, looks at what is told, mends it: once by
// reconcile, once by restore.
func (h lostHook) loseAndMend(t *testing.T, from, to netip.Addr, damage, why string) {
	t.Helper()
	const blocked = 100 * time.Millisecond // long enough for an answer over a veth pair
	respond(t, h.program, "add", "-", from.String(), "1.1", "5712")
	for _, mend := range []string{"reconcile --repair", "restore"} {
		if err := h.attacker.Ping(t, to, blocked); err == nil {
			t.Fatalf("ping from %s gets through before the damage", from)
		}
		agrees(t, h.program)
		h.victim.Run(t, "/bin/sh", "-c", "PATH="+h.tools+":/usr/sbin:/sbin:/usr/bin:/bin; "+damage)
		if err := h.attacker.Ping(t, to, patience); err != nil {
			t.Fatalf("no damage done: %v", err)
		}
		out, err := h.victim.Try(t, exec.Command(h.program, "reconcile"))
		if want := from.String() + " is leased but not blocked: " + why; err == nil || !strings.HasPrefix(out, want) {
			t.Errorf("reconcile: %v, %q, want %q", err, out, want)
		}
		if list := h.victim.Run(t, h.program, "list"); !strings.Contains(list, from.String()+"  missing ") {
			t.Errorf("%s is not missing:\n%s", from, list)
		}
		if out := h.victim.Run(t, h.program, strings.Fields(mend)...); !strings.Contains(out, "Blocked 1 addresses again") {
			t.Errorf("%s: %q", mend, out)
		}
		if err := h.attacker.Ping(t, to, blocked); err == nil {
			t.Errorf("ping from %s gets through after %s", from, mend)
		}
		if list := h.victim.Run(t, h.program, "list"); !strings.Contains(list, from.String()+"  blocked ") {
			t.Errorf("%s is not blocked after %s:\n%s", from, mend, list)
		}
	}
	agrees(t, h.program)
	respond(t, h.program, "delete", "-", from.String(), "1.1", "5712")
}

// TestLostHookOfForwarding: the same for packets that the host passes on.
func TestLostHookOfForwarding(t *testing.T) {
	for _, config := range []string{`backend = "iptables"`, `backend = "ipset"`} {
		for name, tt := range map[string]struct{ before, damage, chain string }{
			"FORWARD":     {":", "iptables -w -F FORWARD", "FORWARD"},
			"DOCKER-USER": {"iptables -w -N DOCKER-USER; iptables -w -I FORWARD -j DOCKER-USER", "iptables -w -F DOCKER-USER", "DOCKER-USER"},
		} {
			for _, variant := range variants {
				t.Run(config+"/"+name+"/"+variant, func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					h := lostHookHost(t, variant, config)
					must(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
					sh := func(script string) string {
						return h.victim.Run(t, "/bin/sh", "-c", "PATH="+h.tools+":/usr/sbin:/sbin:/usr/bin:/bin; "+script)
					}
					sh(tt.before)
					respond(t, h.program, "add", "-", "203.0.113.7", "1.1", "5712")
					agrees(t, h.program)
					sh(tt.damage)
					out, err := h.victim.Try(t, exec.Command(h.program, "reconcile"))
					if want := "203.0.113.7 is leased but not blocked: FORWARD does not lead to OSSEC_AR\n"; err == nil || out != want {
						t.Errorf("reconcile: %v, %q, want %q", err, out, want)
					}
					if out := h.victim.Run(t, h.program, "reconcile", "--repair"); !strings.HasSuffix(out, "Blocked 1 addresses again, freed 0\n") {
						t.Errorf("reconcile --repair: %q", out)
					}
					agrees(t, h.program)
					if rules := sh("iptables -S " + tt.chain); strings.Count(rules, "-j OSSEC_AR\n") != 1 {
						t.Errorf("want one jump:\n%s", rules)
					}
				})
			}
		}
	}
}
