package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallCrossesInAStorm: 200 adds at once, and deletes of what is blocked by rules,
// while one of them makes the set. Nobody is left out, nobody stays in, packets tell.
func TestFirewallCrossesInAStorm(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program, tools, attacker, victim := crossingHosts(t, variant, 20)
			const early, late = 15, 215
			addr := func(i int) string { return fmt.Sprintf("198.51.100.%d", 10+i) }
			for i := range early {
				respond(t, program, "add", "-", addr(i), "1.1", "5712")
			}
			var commands []*exec.Cmd
			for i := early; i < late; i++ {
				commands = append(commands, start(t, program, "add", "-", addr(i), "1.1", "5712"))
				if gone := i - early; gone < early && gone%2 == 0 {
					commands = append(commands, start(t, program, "delete", "-", addr(gone), "1.1", "5712"))
				}
			}
			waitForAll(t, commands, nil)
			// All may have seen room for a rule at the same moment; the next does not.
			respond(t, program, "add", "-", addr(late), "1.1", "5712")
			agrees(t, program)
			set := victim.Run(t, Program(t, "ipset"), "save", "ossec_ar4")
			for i := range late {
				want := i >= early || i%2 == 1
				if got := strings.Contains(set, "add ossec_ar4 "+addr(i)+" "); got != want {
					t.Errorf("%s in the set: %v, want %v", addr(i), got, want)
				}
			}
			rules := victim.Run(t, filepath.Join(tools, "iptables"), "-S")
			if strings.Contains(rules, "-A INPUT -j OSSEC_AR") || strings.Count(rules, "-A INPUT -m set --match-set ossec_ar4 src -j OSSEC_AR") != 1 {
				t.Errorf("want one jump for members, and none for others:\n%s", rules)
			}
			for _, i := range []int{0, 1, 13, 14, early, early + 3, early + 6, early + 20, late - 1} {
				got, want := attacker.PingFrom(t, addr(i), victim.V4), i >= early || i%2 == 1
				if got == want {
					t.Errorf("ping from %s is answered: %v, and it is blocked: %v", addr(i), got, want)
				}
			}
		})
	}
}

// TestFirewallCrossesAtOnce: the same without a program, whose restore would mend what is
// left out, and again and again. What is over when Block returns is a member of the set.
func TestFirewallCrossesAtOnce(t *testing.T) {
	const rounds, most, n, atOnce = 10, 4, 40, 8
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			w := way{variant: variant, change: func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, most }}
			e, iptables := w.on(t)
			var here Host
			for round := range rounds {
				var group sync.WaitGroup
				places := make(chan struct{}, atOnce)
				for i := range n {
					places <- struct{}{}
					group.Go(func() {
						defer func() { <-places }()
						if _, err := e.Block(t.Context(), address(i), true); err != nil {
							t.Error(err)
						}
					})
				}
				group.Wait()
				set := here.Run(t, Program(t, "ipset"), "save", "ossec_ar4")
				for i := range n {
					if !strings.Contains(set, "add ossec_ar4 "+address(i).String()+" ") {
						t.Errorf("round %d: %s is not in the set", round, address(i))
					}
				}
				rules := here.Run(t, iptables, "-S")
				if strings.Contains(rules, "-A INPUT -j OSSEC_AR") || strings.Count(rules, "src -j OSSEC_AR") != 1 {
					t.Errorf("round %d: want one jump for members, and none for others:\n%s", round, rules)
				}
				here.Run(t, iptables, "-F")
				here.Run(t, iptables, "-X")
				here.Run(t, Program(t, "ipset"), "destroy")
			}
		})
	}
}

// TestFirewallCrossesMeanwhile: a process is about to add its rule while another makes the
// set and has listed the rules already, or has done all. It carries its address over.
func TestFirewallCrossesMeanwhile(t *testing.T) {
	for name, cross := range map[string]func(t *testing.T, e *firewall.Firewall){
		"the set is made": func(t *testing.T, _ *firewall.Firewall) {
			var here Host
			here.Run(t, Program(t, "ipset"), "create", "ossec_ar4", "hash:ip", "counters")
		},
		"all is done": func(t *testing.T, e *firewall.Firewall) {
			blockAddr(t, e, address(2))
			blockAddr(t, e, address(3))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			w := way{variant: "legacy", change: func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, 2 }}
			e, iptables := w.on(t)
			blockAddr(t, e, address(1))
			held, begun, goOn := holdRestore(t, filepath.Dir(iptables))
			slow, _ := w.on(t, func(o *firewall.Options) { o.ToolDirs = []string{held} })
			done := make(chan error, 1)
			var out enforcer.Outcome
			go func() {
				var err error
				out, err = slow.Block(t.Context(), address(4), true)
				done <- err
			}()
			begun()
			cross(t, e)
			goOn()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if made := name == "the set is made"; out.Remade != made {
				t.Errorf("tells that it made jumps: %v, want %v", out.Remade, made)
			}
			var here Host
			if set := here.Run(t, Program(t, "ipset"), "save", "ossec_ar4"); !strings.Contains(set, "203.0.113.4 ") || !strings.Contains(set, "203.0.113.1 ") {
				t.Errorf("not all are in the set:\n%s", set)
			}
			rules := here.Run(t, iptables, "-S")
			if strings.Contains(rules, "-A INPUT -j OSSEC_AR") || strings.Count(rules, "src -j OSSEC_AR") != 1 {
				t.Errorf("want one jump for members, and none for others:\n%s", rules)
			}
		})
	}
}

// holdRestore returns a folder of programs like the one given, whose iptables-restore says
// when it begins and does not go on before it may.
func holdRestore(t *testing.T, tools string) (dir string, begun, goOn func()) {
	t.Helper()
	dir = t.TempDir()
	wait := func(name string, mode int) func() {
		path := filepath.Join(dir, name)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		return func() {
			t.Helper()
			pipe, err := os.OpenFile(path, mode, 0) // when the other end is opened
			if err != nil {
				t.Fatal(err)
			}
			_ = pipe.Close()
		}
	}
	begun, goOn = wait("begun", os.O_RDONLY), wait("gate", os.O_WRONLY)
	script := fmt.Sprintf("#!/bin/sh\n: >%[1]s/begun\n: <%[1]s/gate\nexec %[2]s/iptables-restore \"$@\"\n", dir, tools)
	err := errors.Join(os.Symlink(filepath.Join(tools, "iptables"), filepath.Join(dir, "iptables")),
		os.WriteFile(filepath.Join(dir, "iptables-restore"), []byte(script), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return dir, begun, goOn
}

// PingFrom gives the host an address, and tells whether its ping from there is answered.
func (h *Host) PingFrom(t *testing.T, from string, to netip.Addr) bool {
	t.Helper()
	own, err := netlink.ParseAddr(from + "/32")
	if err != nil {
		t.Fatal(err)
	}
	var link netlink.Link
	h.Do(t, func() (err error) {
		if link, err = netlink.LinkByName("eth0"); err != nil {
			return err
		}
		return errors.Join(netlink.AddrAdd(link, own), netlink.RouteReplace(&netlink.Route{
			LinkIndex: link.Attrs().Index, Dst: netlink.NewIPNet(to.AsSlice()), Src: own.IP,
		}))
	})
	return h.Ping(t, to, 300*time.Millisecond) == nil
}

// formerLayout is what versions before made of five addresses with max_rules = 2: rules
// for two, and the set for the rest behind the same jump.
const formerLayout = `ipset create %[2]s hash:ip family %[3]s counters
%[1]s -N OSSEC_AR
%[1]s -A OSSEC_AR -m set --match-set %[2]s src -j DROP
%[1]s -A OSSEC_AR -s %[4]s1 -j DROP
%[1]s -A OSSEC_AR -s %[4]s2 -j DROP
%[1]s -A INPUT -j OSSEC_AR
ipset add %[2]s %[4]s3
ipset add %[2]s %[4]s4
ipset add %[2]s %[4]s5`

// TestFirewallCarriesOver: the next block, or blocking anything in bulk, which is what
// restore does, takes over what an earlier version made.
func TestFirewallCarriesOver(t *testing.T) {
	for _, variant := range variants {
		for _, family := range [][]string{{"iptables", "ossec_ar4", "inet", "203.0.113."}, {"ip6tables", "ossec_ar6", "inet6", "2001:db8::"}} {
			for _, bulk := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/bulk %v", variant, family[0], bulk), func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					w := way{variant: variant, change: func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, 2 }}
					e, iptables := w.on(t)
					carriesOver(t, e, filepath.Join(filepath.Dir(iptables), family[0]), family[1], family[2], family[3], bulk)
				})
			}
		}
	}
}

func carriesOver(t *testing.T, e *firewall.Firewall, iptables, set, family, net string, bulk bool) {
	t.Helper()
	var here Host
	for line := range strings.SplitSeq(fmt.Sprintf(formerLayout, iptables, set, family, net), "\n") {
		words := strings.Fields(line)
		if words[0] == "ipset" {
			words[0] = Program(t, "ipset")
		}
		here.Run(t, words[0], words[1:]...)
	}
	if got, err := e.List(t.Context()); err != nil || len(got) != 5 {
		t.Fatalf("%d listed, %v; want 5", len(got), err)
	}
	addr := netip.MustParseAddr(net + "4")
	if !bulk {
		blockAddr(t, e, addr)
	} else if err := e.BlockAll(t.Context(), []netip.Addr{addr}, nil); err != nil {
		t.Fatal(err)
	}
	if members := here.Run(t, Program(t, "ipset"), "save", set); strings.Count(members, "\nadd ") != 5 {
		t.Errorf("want 5 members:\n%s", members)
	}
	rules := here.Run(t, iptables, "-S")
	for rule, want := range map[string]int{
		"-A INPUT -j OSSEC_AR\n": 0, "-A INPUT -m set --match-set " + set + " src -j OSSEC_AR\n": 1,
		"-A OSSEC_AR -m set --match-set " + set + " src ! --update-counters -j DROP\n": 1,
		"-A OSSEC_AR -m set --match-set " + set + " src -j DROP\n":                     0, "-A OSSEC_AR -s ": 2,
	} {
		if got := strings.Count(rules, rule); got != want {
			t.Errorf("%q stands %d times, want %d:\n%s", rule, got, want, rules)
		}
	}
	if got, err := e.List(t.Context()); err != nil || len(got) != 5 {
		t.Errorf("%d listed, %v; want 5", len(got), err)
	}
	blockAddr(t, e, netip.MustParseAddr(net+"6"))
	if got := here.Run(t, iptables, "-S"); got != rules {
		t.Errorf("one more block changes the rules:\n%s\n%s", rules, got)
	}
}

// TestFirewallCountsOnce: each packet that is dropped counts once, as the rules of our chain,
// which count by themselves, tell too.
func TestFirewallCountsOnce(t *testing.T) {
	for _, w := range ways() {
		if w.variant == "" || w.name == "nftables" {
			continue // no jump
		}
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, iptables := w.on(t)
			attacker, victim := Hosts(t)
			for i := range 3 {
				blockAddr(t, e, address(i))
			}
			for _, tt := range []struct {
				from, to netip.Addr
				iptables string
			}{{attacker.V4, victim.V4, iptables}, {attacker.V6, victim.V6, filepath.Join(filepath.Dir(iptables), "ip6tables")}} {
				blockAddr(t, e, tt.from)
				// With two rules IPv6 goes over to the set here: begin to count after that.
				blockAddr(t, e, netip.MustParseAddr("2001:db8::1"))
				blockAddr(t, e, netip.MustParseAddr("2001:db8::2"))
				victim.Run(t, tt.iptables, "-Z", "OSSEC_AR")
				before := dropped(t, e, tt.from)
				for range 3 {
					if err := attacker.Ping(t, tt.to, 50*time.Millisecond); err == nil {
						t.Fatalf("ping from %s gets through", tt.from)
					}
				}
				if got, want := dropped(t, e, tt.from)-before, ended(t, tt.iptables); got != want || want == 0 {
					t.Errorf("%d packets of %s counted, want %d", got, tt.from, want)
				}
			}
		})
	}
}

// ended returns how many packets our chain has dropped.
func ended(t *testing.T, iptables string) uint64 {
	t.Helper()
	var here Host
	var sum uint64
	for line := range strings.Lines(here.Run(t, iptables, "-L", "OSSEC_AR", "-n", "-v", "-x")) {
		if words := strings.Fields(line); len(words) > 3 && words[2] == "DROP" {
			n, err := strconv.ParseUint(words[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// crossingHosts makes an attacker and a host with firewall-drop that keeps as many rules. It
// returns the program and the folder of the iptables.
func crossingHosts(t *testing.T, variant string, maxRules int) (program, tools string, attacker, victim *Host) {
	t.Helper()
	needSets(t)
	tools = chooseVariant(t, variant)
	bin := buildPrograms(t)
	bindTools(t, tools)
	configure(t, bin, fmt.Sprintf("[firewall]\nmax_rules = %d\n", maxRules))
	attacker, victim = Hosts(t)
	return filepath.Join(bin, "firewall-drop.sh"), tools, attacker, victim
}

// TestFirewallMembersTakenAway: somebody takes members out of the set. Their rules are not
// taken for blocks, so that a restore puts them back.
func TestFirewallMembersTakenAway(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program, tools, attacker, victim := crossingHosts(t, variant, 5)
			respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
			for i := range 9 {
				respond(t, program, "add", "-", address(i).String(), "1.1", "5712")
			}
			agrees(t, program)
			victim.Run(t, Program(t, "ipset"), "flush", "ossec_ar4")
			if err := attacker.Ping(t, victim.V4, patience); err != nil {
				t.Fatalf("no damage done: %v", err)
			}
			out, err := victim.Try(t, exec.Command(program, "reconcile"))
			if err == nil || strings.Count(out, " is leased but not blocked\n") != 10 {
				t.Errorf("reconcile: %v, want 10 that are missing:\n%s", err, out)
			}
			if got := victim.Run(t, program, "restore"); got != "Blocked 10 addresses again\n" {
				t.Errorf("restore: %q", got)
			}
			agrees(t, program)
			if err := attacker.Ping(t, victim.V4, 300*time.Millisecond); err == nil {
				t.Error("ping gets through after restore")
			}
			if rules := victim.Run(t, filepath.Join(tools, "iptables"), "-S", "OSSEC_AR"); strings.Count(rules, " -s ") != 5 {
				t.Errorf("want 5 rules:\n%s", rules)
			}
		})
	}
}
