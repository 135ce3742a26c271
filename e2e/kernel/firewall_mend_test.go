package kernel

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// damage is something that lets the packets of who is blocked by.
type damage struct {
	name, commands string
	fault          string // that List and Inspect name; "" where nothing of ours is left
	gone           bool   // the addresses are gone, too, so that Mend alone cannot block them
}

// ofRules are damages to the place of rules and of the set.
var ofRules = []damage{
	{"jump deleted", "iptables -D INPUT -j OSSEC_AR; ip6tables -D INPUT -j OSSEC_AR", "INPUT does not jump to OSSEC_AR", false},
	{"INPUT flushed", "iptables -F INPUT; ip6tables -F INPUT", "INPUT does not jump to OSSEC_AR", false},
	{"accept before", "iptables -I INPUT -p icmp -j ACCEPT; ip6tables -I INPUT -p ipv6-icmp -j ACCEPT", "the jump in INPUT stands behind rule 1, which accepts", false},
	{"chain that accepts before", "iptables -N THEIRS; iptables -A THEIRS -j LOG; iptables -A THEIRS -p icmp -j ACCEPT; iptables -I INPUT -j THEIRS; iptables -I INPUT -i lo -j ACCEPT;" +
		"ip6tables -N THEIRS; ip6tables -A THEIRS -p ipv6-icmp -j ACCEPT; ip6tables -I INPUT -j THEIRS; ip6tables -I INPUT -i lo -j ACCEPT", "the jump in INPUT stands behind rule 2, which accepts", false},
	{"goto before", "iptables -N THEIRS; iptables -I INPUT -g THEIRS; ip6tables -N THEIRS; ip6tables -I INPUT -g THEIRS", "the jump in INPUT stands behind rule 1, which accepts", false},
	{"jump twice, both behind", "iptables -A INPUT -j OSSEC_AR; iptables -I INPUT -j ACCEPT; ip6tables -A INPUT -j OSSEC_AR; ip6tables -I INPUT -j ACCEPT", "the jump in INPUT stands behind rule 1, which accepts", false},
	{"all flushed", "iptables -F; ip6tables -F", "", true},
	{"all deleted", "iptables -F; iptables -X; ip6tables -F; ip6tables -X", "", true},
	{"chain flushed", "iptables -F OSSEC_AR; ip6tables -F OSSEC_AR", "", true},
}

var ofSet = []damage{
	{"set rule deleted", "iptables -D OSSEC_AR -m set --match-set ossec_ar4 src -j DROP; ip6tables -D OSSEC_AR -m set --match-set ossec_ar6 src -j DROP", "OSSEC_AR does not drop set ossec_ar4", false},
	{"chain flushed under the set", "iptables -F OSSEC_AR; ip6tables -F OSSEC_AR", "OSSEC_AR does not drop set ossec_ar4", false},
	{"set flushed", "ipset flush ossec_ar4; ipset flush ossec_ar6", "", true},
	{"set destroyed", "iptables -F; ip6tables -F; ipset destroy", "", true},
}

var ofTable = []damage{
	{"chain flushed", "nft flush chain inet ossec_ar prerouting", "chain prerouting of table inet ossec_ar does not drop set blocked4", false},
	{"chain deleted", "nft delete chain inet ossec_ar prerouting", "chain prerouting of table inet ossec_ar does not drop set blocked4", false},
	{"accept before", "nft insert rule inet ossec_ar prerouting accept", "chain prerouting of table inet ossec_ar does not drop set blocked4", false},
	{"dormant", "nft add table inet ossec_ar { flags dormant; }", "table inet ossec_ar is dormant", false},
	{"rules flushed", "nft flush table inet ossec_ar", "chain prerouting of table inet ossec_ar does not drop set blocked4", false},
	{"table deleted", "nft delete table inet ossec_ar", "", true},
	{"ruleset flushed", "nft flush ruleset", "", true},
}

// TestFirewallMended: each damage is named by List and Inspect, and mended by Mend, or by
// BlockAll where the addresses are gone. A Block of another address makes the place again.
func TestFirewallMended(t *testing.T) {
	for _, w := range ways() {
		damages, others := ofRules, 0
		switch {
		case w.backend == firewall.NFTables:
			damages = ofTable
		case w.backend == firewall.IPSet:
			damages = append(ofRules[:len(ofRules)-3:len(ofRules)-3], ofSet...)
			others = 10
		case w.backend == firewall.Auto: // it is one of the others
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			for _, d := range damages {
				t.Run(d.name, func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					e, iptables := w.on(t)
					attacker, victim := Hosts(t)
					both := []netip.Addr{attacker.V4, attacker.V6}
					for _, addr := range both {
						out := blockOne(t, e, addr, others)
						if want := addr.Is4() || w.backend != firewall.NFTables; out.Made != want {
							t.Errorf("Block of %s reports that it made the place: %v, want %v", addr, out.Made, want)
						}
					}
					isBlocked(t, "at first", attacker, victim, true)
					harm := func() {
						shell := "PATH=" + filepath.Dir(iptables) + ":/usr/sbin:/sbin:/usr/bin:/bin; " + d.commands
						if strings.HasPrefix(d.commands, "nft ") {
							shell = "nft '" + strings.TrimPrefix(d.commands, "nft ") + "'"
						}
						victim.Run(t, "/bin/sh", "-ec", shell)
					}
					harm()
					isBlocked(t, "damaged", attacker, victim, false)
					seesOpen(t, e, both, d)
					mend(t, e)
					if d.gone {
						if err := e.BlockAll(t.Context(), targets(both)); err != nil {
							t.Fatal(err)
						}
						mend(t, e)
					}
					isBlocked(t, "mended", attacker, victim, true)
					if made := strings.Contains(d.fault, " does not "); made || d.gone {
						harm()
						out := blockOne(t, e, address(1), others)
						if made = made || strings.Contains(d.name, "deleted") || strings.Contains(d.name, "destroyed"); made && !out.Made {
							t.Error("a Block after that does not report that it made the place")
						}
					}
				})
			}
		})
	}
}

// seesOpen wants List to say of the blocks that stand that they are open, and why.
func seesOpen(t *testing.T, e *firewall.Firewall, addrs []netip.Addr, d damage) {
	t.Helper()
	blocks, faults := standing(t, e)
	if d.gone {
		if len(blocks) > 0 {
			t.Errorf("%d are listed, want none", len(blocks))
		}
		return
	}
	for _, addr := range addrs {
		want := d.fault
		if addr.Is6() {
			want = strings.NewReplacer("ossec_ar4", "ossec_ar6", "blocked4", "blocked6").Replace(want)
		}
		if b, stands := blocks[addr]; !stands || b.Open != want {
			t.Errorf("%s is listed: %v, open %q, want %q", addr, stands, b.Open, want)
		}
	}
	if len(faults) != 2 || faults[0] != d.fault || !strings.HasPrefix(faults[1], "IPv6: ") {
		t.Errorf("faults %q, want %q and its like", faults, d.fault)
	}
	var found string
	for _, f := range e.Inspect(t.Context(), "") {
		if f.Verdict == enforcer.Fault {
			found += f.Found + "\n"
		}
	}
	if !strings.Contains(found, d.fault) {
		t.Errorf("Inspect finds %q, want %q", found, d.fault)
	}
}

// TestFirewallForwardEntry: the jump for forwarded packets goes where Docker wants it, and
// elsewhere when Docker is gone.
func TestFirewallForwardEntry(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			var here Host
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
				t.Fatal(err)
			}
			e, iptables := way{"", variant, firewall.IPTables, 0}.on(t)
			for i, step := range []struct{ commands, want string }{
				{"-L", "-A FORWARD -j OSSEC_AR"},
				{"-F FORWARD", "-A FORWARD -j OSSEC_AR"},
				{"-N DOCKER-USER", "-A FORWARD -j OSSEC_AR"},
				{"-D FORWARD -j OSSEC_AR; -I FORWARD -j DOCKER-USER; -A DOCKER-USER -j RETURN", "-A DOCKER-USER -j OSSEC_AR"},
				{"-I FORWARD -p tcp -j ACCEPT", "-A FORWARD -j OSSEC_AR"},
				{"-F; -X OSSEC_AR", "-A FORWARD -j OSSEC_AR"},
			} {
				for command := range strings.SplitSeq(step.commands, "; ") {
					here.Run(t, iptables, strings.Fields(command)...)
				}
				mend(t, e)
				blockOne(t, e, address(i), 0)
				mend(t, e)
				rules := here.Run(t, iptables, "-S")
				for _, want := range []string{"-A INPUT -j OSSEC_AR", step.want} {
					if strings.Count(rules, want+"\n") != 1 {
						t.Errorf("after %q %q does not stand once in:\n%s", step.commands, want, rules)
					}
				}
			}
		})
	}
}

// TestFirewallOneFamily: without IPv6 in iptables, or without ip6tables, IPv4 works as ever and
// an IPv6 address is refused with the reason.
func TestFirewallOneFamily(t *testing.T) {
	for name, program := range map[string]string{
		"exits 3":       "#!/bin/sh\necho \"ip6tables: can't initialize ip6tables table: Address family not supported by protocol\" >&2\nexit 3\n",
		"not installed": "",
		"unreadable":    "#!/bin/sh\necho broken >&2\nexit 4\n",
	} {
		for _, backend := range []string{firewall.IPTables, firewall.IPSet, firewall.Auto} {
			t.Run(name+"/"+backend, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				if name == "not installed" && backend == firewall.Auto {
					return // then it is the table
				}
				needSets(t)
				dir := chooseVariant(t, "legacy")
				for _, tool := range []string{"ip6tables", "ip6tables-restore"} {
					must(t, os.Remove(filepath.Join(dir, tool)))
					if program != "" {
						must(t, os.WriteFile(filepath.Join(dir, tool), []byte(program), 0o755))
					}
				}
				e := newFirewall(t, dir, func(o *firewall.Options) { o.Backend, o.MaxRules = backend, 32 })
				blockOne(t, e, address(1), 0)
				must(t, e.BlockAll(t.Context(), targets([]netip.Addr{address(2), address(3)})))
				blocks, faults := standing(t, e)
				if wrong := name == "unreadable"; len(blocks) != 3 || (len(faults) > 0) != wrong {
					t.Errorf("%d are listed, faults %q", len(blocks), faults)
				}
				if _, err := e.Mend(t.Context()); (err != nil) != (name == "unreadable") {
					t.Errorf("Mend: %v", err)
				}
				v6 := netip.MustParseAddr("2001:db8::1")
				if _, err := e.Block(t.Context(), target.Of(v6), enforcer.Known{}); err == nil || !strings.Contains(err.Error(), "ip6tables") {
					t.Errorf("Block of IPv6: %v, want what is wrong with ip6tables", err)
				}
				if err := e.Unblock(t.Context(), target.Of(v6)); (err != nil) != (name == "unreadable") {
					t.Errorf("Unblock of IPv6: %v", err)
				}
				if err := e.Unblock(t.Context(), target.Of(address(1))); err != nil {
					t.Errorf("Unblock: %v", err)
				}
				if err := e.Flush(t.Context()); (err != nil) != (name == "unreadable") {
					t.Errorf("Flush: %v", err)
				}
				if rules, _ := exec.Command(filepath.Join(dir, "iptables"), "-S").CombinedOutput(); strings.Contains(string(rules), "203.0.113") {
					t.Errorf("left over:\n%s", rules)
				}
			})
		}
	}
}
