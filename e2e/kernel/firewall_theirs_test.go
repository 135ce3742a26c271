package kernel

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// theirRuleset is an administrator's, with the sets that OSSEC's nftables-drop.sh wants.
const theirRuleset = `flush ruleset
table inet filter {
	set ossec_ar4 { type ipv4_addr; comment "of OSSEC"; elements = { 192.0.2.1 }; }
	set ossec_ar6 { type ipv6_addr; comment "of OSSEC"; }
	chain input {
		type filter hook input priority 0; policy accept;
		iif lo accept
		ip saddr @ossec_ar4 drop
		ip6 saddr @ossec_ar6 counter drop
		ct state vmap { established : accept, related : accept, invalid : drop }
	}
}
`

// loads puts a ruleset in force, as /etc/nftables.conf does at boot and at a reload.
func loads(t *testing.T, ruleset string) {
	t.Helper()
	cmd := exec.Command(Program(t, "nft"), "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	var here Host
	if out, err := here.Try(t, cmd); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// theirWays use the sets of an administrator's where he has them.
func theirWays() []way {
	return []way{{"auto over nft", "nft", firewall.Auto, 32}, {"auto over legacy", "legacy", firewall.Auto, 32},
		{"nftables", "nft", firewall.NFTables, 0}, {"auto without iptables", "", firewall.Auto, 32}}
}

// TestTheirSetsContract: blocks in the sets of an administrator's are as good as any.
func TestTheirSetsContract(t *testing.T) {
	for _, w := range theirWays() {
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, _ := w.on(t)
			loads(t, strings.Replace(theirRuleset, "elements = { 192.0.2.1 };", "", 1))
			enforcertest.Contract(t, e)
		})
	}
}

// TestTheirSets: the addresses go into the sets that OSSEC's nftables-drop.sh uses, where there are such,
// and what is in them already stays.
func TestTheirSets(t *testing.T) {
	for _, w := range theirWays() {
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, iptables := w.on(t)
			loads(t, theirRuleset)
			attacker, victim := Hosts(t)
			isBlocked(t, "before", attacker, victim, false)
			for _, addr := range []netip.Addr{attacker.V4, attacker.V6} {
				if out := blockOne(t, e, addr, 0); out.Made {
					t.Error("a place is made")
				}
			}
			isBlocked(t, "blocked", attacker, victim, true)
			got := shell(t, "nft list set inet filter ossec_ar4; nft list set inet filter ossec_ar6; nft list tables")
			if !strings.Contains(got, attacker.V4.String()) || !strings.Contains(got, attacker.V6.String()) ||
				strings.Contains(got, "inet ossec_ar") {
				t.Errorf("the addresses are not in the sets alone:\n%s", got)
			}
			if iptables != "" {
				if got := shell(t, iptables+" -S"); strings.Contains(got, "OSSEC_AR") {
					t.Errorf("iptables has something:\n%s", got)
				}
			}
			for _, f := range e.Inspect(t.Context(), "") {
				if f.Verdict != enforcer.OK || !strings.Contains(f.Found, " of table inet filter: ") {
					t.Errorf("%+v", f)
				}
			}
			must(t, e.UnblockAll(t.Context(), targets([]netip.Addr{attacker.V4, attacker.V6})))
			isBlocked(t, "unblocked", attacker, victim, false)
			if blocks, _ := standing(t, e); len(blocks) != 1 || !blocks[netip.MustParseAddr("192.0.2.1")].Shared {
				t.Errorf("what was there is not left alone: %v", blocks)
			}
		})
	}
}

// TestTheirException: whom the administrator's rules accept before they drop the set is blocked by the table.
func TestTheirException(t *testing.T) {
	if !Isolated(t) {
		return
	}
	e, _ := theirWays()[0].on(t)
	loads(t, theirRuleset)
	attacker, victim := Hosts(t)
	both := targets([]netip.Addr{attacker.V4, attacker.V6})
	except := "nft insert rule inet filter input ip saddr " + attacker.V4.String() + " accept; " +
		"nft insert rule inet filter input ip6 saddr " + attacker.V6.String() + " accept"
	must(t, e.BlockAll(t.Context(), both))
	shell(t, except)
	isBlocked(t, "accepted before", attacker, victim, false)
	const open = "a rule of table inet filter accepts it before"
	if blocks, _ := standing(t, e); blocks[attacker.V4].Open != open || blocks[attacker.V6].Open != open ||
		blocks[netip.MustParseAddr("192.0.2.1")].Open != "" {
		t.Errorf("listed: %v", blocks)
	}
	must(t, e.BlockAll(t.Context(), both)) // as maintain does
	isBlocked(t, "blocked again", attacker, victim, true)
	must(t, e.UnblockAll(t.Context(), both))
	isBlocked(t, "unblocked", attacker, victim, false)
	blockOne(t, e, attacker.V4, 0)
	blockOne(t, e, attacker.V6, 0)
	isBlocked(t, "blocked by an add", attacker, victim, true)
	if blocks, faults := standing(t, e); blocks[attacker.V4].Open != "" || blocks[attacker.V6].Open != "" || len(faults) > 0 {
		t.Errorf("listed: %v, %v", blocks, faults)
	}
}

// TestTheirSetsNotInForce: sets that do not stop every packet are not used, and check says so.
func TestTheirSetsNotInForce(t *testing.T) {
	drop := "ip saddr @ossec_ar4 drop"
	for name, change := range map[string][3]string{
		"no rule":      {drop, "", "chain input does not drop it ahead of all that accepts"},
		"behind a map": {"iif lo accept", "ct state vmap { established : accept }", "chain input does not drop it"},
		"behind established": {"iif lo accept", "ct state established,related accept",
			"chain input does not drop it ahead of all that accepts"},
		"for some packets": {drop, "tcp dport 22 ip saddr @ossec_ar4 drop", "chain input does not drop it"},
		"by another hook":  {"hook input", "hook output", "chain input does not drop it"},
		"a timeout": {"type ipv4_addr;", "type ipv4_addr; timeout 1h;",
			"has a timeout, by which blocks end"},
		"intervals":   {"type ipv4_addr;", "type ipv4_addr; flags interval;", "is of another kind"},
		"by networks": {drop, "ip saddr & 255.255.255.0 @ossec_ar4 drop", "chain input does not drop it"},
		"a limit": {"type ipv4_addr;", "type ipv4_addr; flags dynamic; limit rate over 10/second;",
			"has a limit, by which"},
		"dormant": {"chain input", "flags dormant; chain input", "the table is dormant"},
	} {
		t.Run(name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, _ := way{"", "nft", firewall.Auto, 32}.on(t)
			loads(t, strings.Replace(theirRuleset, change[0], change[1], 1))
			attacker, victim := Hosts(t)
			blockOne(t, e, attacker.V4, 0)
			answers(t, "blocked", attacker, victim.V4, false)
			if got := shell(t, "nft list set inet filter ossec_ar4"); strings.Contains(got, attacker.V4.String()) {
				t.Errorf("it is in the set:\n%s", got)
			}
			found := ""
			for _, f := range e.Inspect(t.Context(), "") {
				found += string(f.Verdict) + " " + f.Found + " -> " + f.Mend + "\n"
			}
			if !strings.Contains(found, "warn set ossec_ar4 of table inet filter is not used: "+change[2]) ||
				!strings.Contains(found, "-> put `ip saddr @ossec_ar4 drop` ahead of what accepts") {
				t.Errorf("Inspect:\n%s", found)
			}
			must(t, e.Flush(t.Context()))
			answers(t, "flushed", attacker, victim.V4, true)
		})
	}
}

// TestTheirSetsProgram: an administrator makes the sets, reloads his rules, takes his rule away; all is in
// force again after each maintain, and what is his stays.
func TestTheirSetsProgram(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needSets(t)
	needTables(t)
	bin := buildPrograms(t)
	bindTools(t, chooseVariant(t, "nft"))
	program, drop := filepath.Join(bin, "firewall-drop"), filepath.Join(bin, "nftables-drop.sh")
	must(t, os.Symlink("firewall-drop", drop))
	attacker, victim := Hosts(t)
	respond(t, drop, "add", "-", attacker.V4.String(), "1.1", "5712")
	respond(t, drop, "add", "-", attacker.V6.String(), "1.2", "5712")
	isBlocked(t, "by ours", attacker, victim, true)
	his := func(step string, want bool) {
		t.Helper()
		isBlocked(t, step, attacker, victim, true)
		got := shell(t, "nft list set inet filter ossec_ar4; nft list set inet filter ossec_ar6")
		if strings.Contains(got, attacker.V4.String()) != want ||
			strings.Contains(got, attacker.V6.String()) != want || !strings.Contains(got, "192.0.2.1") {
			t.Errorf("%s: the addresses are in his sets, want %v; or his own is gone:\n%s", step, want, got)
		}
		if got := shell(t, "iptables -S; ip6tables -S"); strings.Contains(got, "-A OSSEC_AR -s") == want {
			t.Errorf("%s: rules of ours:\n%s", step, got)
		}
	}
	loads(t, strings.TrimPrefix(theirRuleset, "flush ruleset\n"))
	maintain(t, program)
	his("he made sets", true)
	agrees(t, program)
	loads(t, theirRuleset)
	maintain(t, program)
	his("he loads his rules anew", true)
	agrees(t, program)
	respond(t, drop, "delete", "-", attacker.V4.String(), "1.1", "5712")
	answers(t, "deleted", attacker, victim.V4, true)
	respond(t, drop, "add", "-", attacker.V4.String(), "1.3", "5712")
	his("blocked again", true)

	shell(t, "nft flush chain inet filter input")
	maintain(t, program)
	isBlocked(t, "he took his rules away", attacker, victim, true)
	respond(t, drop, "delete", "-", attacker.V4.String(), "1.3", "5712")
	if got := shell(t, "nft list set inet filter ossec_ar4"); strings.Contains(got, attacker.V4.String()) {
		t.Errorf("what was freed is left in the set:\n%s", got)
	}
	loads(t, theirRuleset)
	maintain(t, program)
	person(t, program, "flush")
	isBlocked(t, "flushed", attacker, victim, false)
	if got := shell(t, "nft list set inet filter ossec_ar4"); !strings.Contains(got, "192.0.2.1") {
		t.Errorf("his own is flushed:\n%s", got)
	}
}

// TestTheirSetsForward: on a host that forwards packets, sets are used that drop these, too.
func TestTheirSetsForward(t *testing.T) {
	if !Isolated(t) {
		return
	}
	e, _ := way{"", "nft", firewall.Auto, 32}.on(t)
	attacker, victim := Hosts(t)
	container := behind(t, attacker, victim)
	for _, forwards := range []bool{false, true} {
		ruleset := theirRuleset
		if forwards {
			ruleset += "add chain inet filter forward { type filter hook forward priority 0; }\n" +
				"add rule inet filter forward ip saddr @ossec_ar4 drop\n"
		}
		loads(t, ruleset)
		blockOne(t, e, attacker.V4, 0)
		answers(t, "forwarded", attacker, container.V4, false)
		got := shell(t, "nft list set inet filter ossec_ar4")
		if strings.Contains(got, attacker.V4.String()) != forwards {
			t.Errorf("it is in the set, want %v:\n%s", forwards, got)
		}
		must(t, e.Flush(t.Context()))
	}
}
