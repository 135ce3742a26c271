package kernel

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// harm is what somebody does to the host's part of blocks, so that packets come by.
type harm struct {
	name     string
	commands string // for the family of ADDRESS, which has a block: IPTABLES, and 4 or 6 as NUMBER
	gone     bool   // the blocks themselves are gone, not only what leads to them
}

const saved = "/run/saved"

// The harms. "an old rule set" is what netfilter-persistent and its like do: they bring back
// what they saved, which lacks later blocks and has earlier ones.
var (
	ofJump = []harm{
		{"INPUT flushed", "IPTABLES -w -F INPUT", false},
		{"jump deleted", "IPTABLES -w -D INPUT -j OSSEC_AR", false},
		{"accept before the jump", "IPTABLES -w -I INPUT -j ACCEPT", false},
		{"chain that accepts before the jump", "IPTABLES -w -N THEIRS; IPTABLES -w -A THEIRS -j ACCEPT; IPTABLES -w -I INPUT -j THEIRS", false},
		{"saved rules without ours brought back", "echo '*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT' | IPTABLES-restore -w", true},
	}
	ofRulesGone = []harm{
		{"all flushed", "IPTABLES -w -F", true},
		{"all deleted", "IPTABLES -w -F; IPTABLES -w -X", true},
		{"our chain flushed", "IPTABLES -w -F OSSEC_AR", true},
		{"one rule deleted", "IPTABLES -w -D OSSEC_AR 1", true},
		{"accept in our chain", "IPTABLES -w -I OSSEC_AR -j ACCEPT", false},
	}
	ofSetGone = []harm{
		{"ruleset flushed", "nft flush ruleset", false},
		{"accept in our chain", "IPTABLES -w -I OSSEC_AR -j ACCEPT", false},
		{"all flushed", "IPTABLES -w -F", false},
		{"our chain flushed", "IPTABLES -w -F OSSEC_AR", false},
		{"all deleted", "IPTABLES -w -F; IPTABLES -w -X", false},
		{"set flushed", "ipset flush ossec_arNUMBER", true},
		{"set destroyed", "IPTABLES -w -F; ipset destroy ossec_arNUMBER", true},
		{"one member deleted", "ipset del ossec_arNUMBER ADDRESS", true},
		{"sets of another time brought back", "ipset -exist restore <" + saved + "; ipset flush ossec_arNUMBER", true},
	}
	ofTableGone = []harm{
		{"ruleset flushed", "nft flush ruleset", true},
		{"table deleted", "nft delete table inet ossec_ar", true},
		{"rules flushed", "nft flush table inet ossec_ar", false},
		{"chain flushed", "nft flush chain inet ossec_ar prerouting", false},
		{"set flushed", "nft flush set inet ossec_ar blockedNUMBER", true},
		{"accept in our chain", "nft insert rule inet ossec_ar prerouting accept", false},
		{"dormant", "nft add table inet ossec_ar '{ flags dormant; }'", false},
	}
	ofRoutes = []harm{
		{"our routes flushed", "ip -NUMBER route flush proto 214", true},
		{"route deleted", "ip -NUMBER route del blackhole ADDRESS", true},
		{"another route in front", "if [ NUMBER = 4 ]; then ip route prepend ADDRESS dev eth0; else " +
			"ip -6 route del ADDRESS; ip -6 route add ADDRESS dev eth0 metric 2; fi", true},
	}
	ofHostsDeny = []harm{
		{"file removed", "rm /etc/hosts.deny", true},
		{"file emptied", ": >/etc/hosts.deny", true},
		{"another file in its place", "printf 'sshd: 192.0.2.9\\n' >/etc/hosts.deny.new; mv /etc/hosts.deny.new /etc/hosts.deny", true},
		{"entry taken out", "sed -i '/^ALL:/d' /etc/hosts.deny", true},
		{"entry commented out", "sed -i 's/^ALL:/#&/' /etc/hosts.deny", true},
		{"entry changed", "sed -i 's/^ALL:.*$/sshd:192.0.2.9/' /etc/hosts.deny", true},
	}
)

// harmed are the blockers that harm is done to.
func harmed() []blocker {
	return append(blockers(), blocker{"auto with the set", "firewall-drop", "", "[firewall]\nmax_rules = 0\n"})
}

// harms are those that can be done to a blocker.
func (b blocker) harms() []harm {
	switch b.name {
	case "iptables-nft":
		return slices.Concat(ofJump, ofRulesGone, []harm{{"ruleset flushed", "nft flush ruleset", true}})
	case "iptables-legacy":
		return slices.Concat(ofJump, ofRulesGone)
	case "ipset":
		return slices.Concat(ofJump[:4], ofSetGone)
	case "auto with the set":
		return ofSetGone
	case "auto":
		return slices.Concat(ofJump, ofRulesGone)
	case "nftables":
		return ofTableGone
	case "route-null":
		return ofRoutes
	}
	return ofHostsDeny
}

// do does the harm to the family of addr.
func (h harm) do(addr netip.Addr) *exec.Cmd {
	iptables, number := "iptables", "4"
	if addr.Is6() {
		iptables, number = "ip6tables", "6"
	}
	commands := strings.NewReplacer("IPTABLES", iptables, "NUMBER", number, "ADDRESS", addr.String()).Replace(h.commands)
	return exec.Command("/bin/sh", "-ec", path+commands)
}

// TestHealedInAMinute: whatever somebody did, one run of maintain, the job of each minute,
// puts all that is leased in force again, for real packets, and says so; list and repair
// reported it before.
func TestHealedInAMinute(t *testing.T) {
	for _, b := range harmed() {
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			if b.program == "host-deny" {
				Program(t, "tcpdmatch")
			}
			program := b.set(t)
			attacker, victim := Hosts(t)
			for _, way := range []struct{ from, to netip.Addr }{{attacker.V4, victim.V4}, {attacker.V6, victim.V6}} {
				for _, h := range b.harms() {
					isHealed(t, b, program, h, way.from, func(step string, want bool) {
						if b.program == "host-deny" {
							wantAccess(t, h.name+": "+step, way.from.String(), map[bool]string{true: "denied", false: "granted"}[want])
							return
						}
						answers(t, h.name+": "+step, attacker, way.to, !want)
					})
				}
			}
		})
	}
}

// answers sends a ping, and checks whether an answer comes as wanted.
func answers(t *testing.T, step string, from *Host, to netip.Addr, want bool) {
	t.Helper()
	wait := 100 * time.Millisecond // long enough for an answer over a veth pair
	if want {
		wait = patience
	}
	if err := from.Ping(t, to, wait); (err == nil) != want {
		t.Errorf("ping to %s: %v, want an answer: %v (%s)", to, err, want, step)
	}
}

func isHealed(t *testing.T, b blocker, program string, h harm, from netip.Addr, blocks func(step string, want bool)) {
	t.Helper()
	respond(t, program, "add", "-", from.String(), "1.1", "5712")
	blocks("blocked", true)
	agrees(t, program)
	if strings.Contains(h.commands, saved) {
		shell(t, "ipset save >"+saved)
	}
	before := states(t, program)
	if out, err := h.do(from).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", h.name, err, out)
	}
	blocks("damaged", false)
	if got := states(t, program)[from.String()]; !strings.HasPrefix(got, "not in force: ") {
		t.Errorf("%s: its state is %q", h.name, got)
	}
	var here Host
	if out, err := here.Try(t, tool(program, "repair", "--dry-run")); err == nil || !strings.Contains(out, from.String()+" should be blocked and is not in force\n") {
		t.Errorf("%s: repair --dry-run: %v, %q", h.name, err, out)
	}
	logged := heals(t, program)
	if b.program != "host-deny" && !h.gone {
		if !strings.Contains(logged, " warn - ") || !strings.Contains(logged, "mended: ") {
			t.Errorf("%s: maintain logs %q", h.name, logged)
		}
	} else if !strings.Contains(logged, "Blocked IP: "+from.String()+" (again: it was not in force)\n") {
		t.Errorf("%s: maintain logs %q", h.name, logged)
	}
	blocks("healed", true)
	if got := states(t, program); !maps.Equal(got, before) {
		t.Errorf("%s: blocked are %v, and were %v", h.name, got, before)
	}
	respond(t, program, "delete", "-", from.String(), "1.1", "5712")
	blocks("deleted", false)
	// The next harm finds the host as this one did; not all of it is there.
	_ = harm{commands: "IPTABLES -w -F INPUT || true; IPTABLES -w -X THEIRS || true; ip -NUMBER route del ADDRESS dev eth0"}.do(from).Run()
	maintain(t, program)
}

// TestFreedOnesStayFree: rules of a time when an address was blocked, brought back after it
// was freed, as at a boot, are lifted by maintain.
func TestFreedOnesStayFree(t *testing.T) {
	for _, b := range blockers() {
		save, load := "", ""
		switch {
		case b.name == "nftables":
			save, load = "(echo flush ruleset; nft list ruleset) >", "nft -f "
		case b.name == "ipset":
			save, load = "ipset save >", "ipset -exist restore <"
		case b.name == "route-null":
			save, load = "ip route save proto 214 >", "ip route restore <"
		case b.program == "host-deny":
			continue // a line that no lease knows may be the administrator's own
		default:
			save, load = "iptables-"+cmp.Or(b.variant, "nft")+"-save -t filter >", "iptables-restore <"
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := b.set(t)
			attacker, victim := Hosts(t)
			respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
			shell(t, save+saved)
			respond(t, program, "delete", "-", attacker.V4.String(), "1.1", "5712")
			respond(t, program, "add", "-", "203.0.113.1", "1.1", "5712")
			answers(t, "freed", attacker, victim.V4, true)
			shell(t, load+saved)
			answers(t, "brought back", attacker, victim.V4, false)
			if got := states(t, program)[attacker.V4.String()]; got != "not asked for" {
				t.Errorf("its state is %q", got)
			}
			if logged := heals(t, program); !strings.Contains(logged, "Unblocked IP: "+attacker.V4.String()+" (nothing asks for it)\n") {
				t.Errorf("maintain logs %q", logged)
			}
			answers(t, "healed", attacker, victim.V4, true)
			if got := states(t, program); len(got) != 1 || got["203.0.113.1"] != "blocked" {
				t.Errorf("blocked are %v", got)
			}
		})
	}
}

// TestHarmedInAStorm: somebody does harm twice while a hundred responses are at work. All end
// well, and one maintain has all that is leased in force again.
func TestHarmedInAStorm(t *testing.T) {
	const n = 80
	for _, b := range harmed() {
		for _, h := range b.harms() {
			if strings.Contains(h.commands, saved) || strings.Contains(h.commands, "ADDRESS") || strings.Contains(h.commands, "THEIRS") {
				continue // nothing that a storm could meet
			}
			t.Run(b.name+"/"+h.name, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				program := b.set(t)
				net, first := "198.18.0.", netip.MustParseAddr("198.18.0.200")
				if b.name == "iptables-legacy" || b.name == "nftables" { // the other family, too
					net, first = "2001:db8::", netip.MustParseAddr("2001:db8::200")
				}
				respond(t, program, "add", "-", first.String(), "1.1", "5712")
				waitForAll(t, startAdds(t, program, net, n), func(i int) {
					if i == n/3 || i == 2*n/3 {
						_ = h.do(first).Run() // what is gone already cannot go again
					}
				})
				heals(t, program)
				if got := inForce(t, program); got != n+1 {
					t.Errorf("%d are in force, want %d", got, n+1)
				}
				wantOnce(t, b, program, first)
			})
		}
	}
}

// wantOnce wants each block and the jump to stand once.
func wantOnce(t *testing.T, b blocker, program string, of netip.Addr) {
	t.Helper()
	seen := map[string]int{}
	iptables := "iptables"
	if of.Is6() {
		iptables = "ip6tables"
	}
	text := ""
	switch {
	case b.program == "host-deny":
		text = shell(t, "grep '^ALL:' /etc/hosts.deny")
	case b.program == "firewall-drop" && b.name != "nftables":
		text = shell(t, iptables+" -S | grep OSSEC_AR")
	}
	for line := range strings.Lines(text) {
		if seen[line]++; seen[line] > 1 && !strings.Contains(line, "ACCEPT") {
			t.Errorf("it stands twice: %s", line)
		}
	}
}

// TestFirstBlockOfAStorm: the process that makes the place blocks all that is leased, as after
// a reboot, before it ends.
func TestFirstBlockOfAStorm(t *testing.T) {
	for _, b := range blockers() {
		if b.program != "firewall-drop" {
			continue // routes and lines need no place
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := b.set(t)
			for i := range 5 {
				respond(t, program, "add", "-", fmt.Sprintf("203.0.113.%d", i), "1.1", "5712")
			}
			switch b.name {
			case "nftables":
				shell(t, "nft flush ruleset")
			case "ipset":
				shell(t, "iptables -F; iptables -X; ipset destroy ossec_ar4")
			default:
				shell(t, "iptables -F; iptables -X")
			}
			respond(t, program, "add", "-", "203.0.113.5", "1.1", "5712")
			if got := inForce(t, program); got != 6 {
				t.Errorf("%d are in force, want all 6: %v", got, states(t, program))
			}
			agrees(t, program)
			if text := logOf(t, program); strings.Contains(text, " error ") || strings.Contains(text, " warn ") {
				t.Errorf("the log:\n%s", text)
			}
		})
	}
}
