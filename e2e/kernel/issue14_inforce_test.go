package kernel

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// opening is what lets the packets of who is blocked by.
type opening struct {
	name, harm string
	why        string // the address is open: "not in force: ..."
}

// openings are by settings of [firewall]. What is left of a damage to one of them is that of
// the others.
var openings = map[string][]opening{
	"backend = \"iptables\"": {
		{"service accepted first", "iptables -I INPUT -p tcp -j ACCEPT; ip6tables -I INPUT -p tcp -j ACCEPT", "the jump in INPUT stands behind rule 1, which accepts"},
		{"established accepted first", "iptables -I INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; ip6tables -I INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
			"the jump in INPUT stands behind rule 1, which accepts"},
		{"accepting chain first", "for f in iptables ip6tables; do $f -N THEIRS; $f -A THEIRS -p tcp -j ACCEPT; $f -I INPUT -j LOG; $f -I INPUT 2 -j THEIRS; done",
			"the jump in INPUT stands behind rule 2, which accepts"},
		{"jump gone", "iptables -F INPUT; ip6tables -F INPUT", "INPUT does not jump to OSSEC_AR"},
		{"jump with a comment behind", "for f in iptables ip6tables; do $f -F INPUT; $f -A INPUT -p tcp -j ACCEPT; $f -A INPUT -m comment --comment 'of ours' -j OSSEC_AR; done",
			"the jump in INPUT stands behind rule 1, which accepts"},
		{"accepted in our chain", "for f in iptables ip6tables; do $f -I OSSEC_AR -p tcp -j ACCEPT; done", "rule 1 of OSSEC_AR accepts"},
		{"some accepted in our chain", "for f in 'iptables -I OSSEC_AR -s 198.51.100.1' 'ip6tables -I OSSEC_AR -s 2001:db8:1::/64'; do $f -j ACCEPT; done", "rule 1 of OSSEC_AR accepts"},
		{"returned in our chain", "for f in iptables ip6tables; do $f -I OSSEC_AR -p tcp -j RETURN; done", "rule 1 of OSSEC_AR accepts"},
		{"accepted by a map", "for f in ip ip6; do nft insert rule $f filter INPUT tcp dport vmap { 0-65535 : accept }; done",
			"the jump in INPUT stands behind rule 1, which accepts"},
		{"all flushed", "iptables -F; ip6tables -F", "the block is missing"},
		{"all deleted", "iptables -F; iptables -X; ip6tables -F; ip6tables -X", "the block is missing"},
		{"our chain flushed", "iptables -F OSSEC_AR; ip6tables -F OSSEC_AR", "the block is missing"},
	},
	"backend = \"ipset\"": {
		{"service accepted first", "iptables -I INPUT -p tcp -j ACCEPT; ip6tables -I INPUT -p tcp -j ACCEPT", "the jump in INPUT stands behind rule 1, which accepts"},
		{"set stands, chain flushed", "iptables -F OSSEC_AR; ip6tables -F OSSEC_AR", "OSSEC_AR does not drop set ossec_ar"},
		{"accepted in our chain", "for f in iptables ip6tables; do $f -I OSSEC_AR -p tcp -j ACCEPT; done", "OSSEC_AR does not drop set ossec_ar"},
		{"some accepted in our chain", "for f in 'iptables -I OSSEC_AR -s 198.51.100.1' 'ip6tables -I OSSEC_AR -s 2001:db8:1::/64'; do $f -j ACCEPT; done", "rule 1 of OSSEC_AR accepts"},
		{"jump gone", "iptables -F INPUT; ip6tables -F INPUT", "INPUT does not jump to OSSEC_AR"},
		{"set flushed", "ipset flush", "the block is missing"},
		{"set destroyed", "iptables -F OSSEC_AR; ip6tables -F OSSEC_AR; ipset destroy", "the block is missing"},
	},
	"backend = \"auto\"": {
		{"nft's rule, which iptables cannot read", "for f in ip ip6; do nft insert rule $f filter INPUT ct state established,new accept; done",
			"the jump in INPUT stands behind rule 1, which accepts"},
		{"nft's chain, which no packet comes to", "for f in ip ip6; do nft delete table $f filter; nft add table $f filter; nft add chain $f filter INPUT; " +
			"nft add chain $f filter OSSEC_AR; nft add rule $f filter INPUT jump OSSEC_AR; done; nft add rule ip filter OSSEC_AR ip saddr 198.51.100.1 drop; " +
			"nft add rule ip6 filter OSSEC_AR ip6 saddr 2001:db8:1::1 drop", "chain INPUT is not hooked as iptables hooks it"},
	},
	"backend = \"nftables\"": {
		{"chains flushed", "nft flush chain inet ossec_ar prerouting", "chain prerouting of table inet ossec_ar does not drop set blocked"},
		{"some accepted in our chain", "for s in 'ip saddr 198.51.100.1' 'ip6 saddr 2001:db8:1::1'; do nft insert rule inet ossec_ar prerouting $s accept; done",
			"chain prerouting of table inet ossec_ar does not drop set blocked"},
		{"table flushed", "nft flush table inet ossec_ar", "chain prerouting of table inet ossec_ar does not drop set blocked"},
		{"ruleset flushed", "nft flush ruleset", "the block is missing"},
	},
}

// TestNotInForce: packets of a blocked address pass. list, show and check say so, and after one
// maintain neither a new connection nor one that was held open gets anything through.
func TestNotInForce(t *testing.T) {
	for settings, list := range openings {
		for _, variant := range variants {
			for _, o := range list {
				if variant == "legacy" && strings.Contains(settings+o.harm, "nft") {
					continue
				}
				t.Run(settings+"/"+variant+"/"+o.name, func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					needSets(t)
					needTables(t)
					bin := buildPrograms(t)
					configure(t, bin, "[firewall]\n"+settings+"\n")
					bindTools(t, chooseVariant(t, variant))
					attacker, victim := Hosts(t)
					opensAndCloses(t, filepath.Join(bin, "firewall-drop.sh"), attacker, victim, o)
				})
			}
		}
	}
}

// heldOpen is a connection of an attacker and where it leads to.
type heldOpen struct {
	from   netip.Addr
	server netip.AddrPort
	conn   net.Conn
}

// holdOpen opens one that answers.
func holdOpen(t *testing.T, attacker *Host, from netip.Addr, server netip.AddrPort) heldOpen {
	t.Helper()
	conn, err := attacker.Dial(t, server, patience)
	must(t, err)
	must(t, Answers(conn, "hello", patience))
	return heldOpen{from, server, conn}
}

func opensAndCloses(t *testing.T, program string, attacker, victim *Host, o opening) {
	t.Helper()
	var all []heldOpen
	for from, to := range map[netip.Addr]netip.Addr{attacker.V4: victim.V4, attacker.V6: victim.V6} {
		all = append(all, holdOpen(t, attacker, from, victim.Echo(t, to)))
	}
	for _, h := range all {
		respond(t, program, "add", "-", h.from.String(), "1.0", "5712")
	}
	passes(t, "blocked", attacker, all, false)
	shell(t, o.harm)
	if o.name != "established accepted first" { // a new connection stays blocked then
		passes(t, "opened", attacker, all, true)
	}
	for _, h := range all {
		seenOpen(t, program, h.from, o.why)
	}
	maintain(t, program)
	passes(t, "maintained", attacker, all, false)
	for _, h := range all {
		if got := states(t, program)[h.from.String()]; got != "blocked" {
			t.Errorf("after maintain %s is %q", h.from, got)
		}
	}
	agrees(t, program)
}

// passes wants packets of a new connection to get through, or none of it nor of those that were
// held open.
func passes(t *testing.T, step string, attacker *Host, all []heldOpen, want bool) {
	t.Helper()
	wait := silence
	if want {
		wait = patience
	}
	var waiting sync.WaitGroup // for silence, in all ways at once
	for _, h := range all {
		waiting.Go(func() {
			conn, err := attacker.Dial(t, h.server, wait)
			if err == nil {
				err = Answers(conn, "hello", wait)
			}
			if (err == nil) != want {
				t.Errorf("%s: a new connection from %s: %v, want it to pass: %v", step, h.from, err, want)
			}
		})
		if want {
			continue // what was sent before is still on its way, over and over
		}
		waiting.Go(func() {
			err := h.conn.SetDeadline(time.Now().Add(wait))
			if err == nil {
				_, err = io.WriteString(h.conn, step)
			}
			heard, readErr := io.ReadAll(h.conn) // what was sent before may have come back while it was open
			if err != nil || strings.Contains(string(heard), step) || !errors.Is(readErr, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the old connection from %s: %v, heard %q, %v, want silence", step, h.from, err, heard, readErr)
			}
		})
	}
	waiting.Wait()
}

// seenOpen wants list, show and check to say that an address is not in force, and why.
func seenOpen(t *testing.T, program string, addr netip.Addr, why string) {
	t.Helper()
	var here Host
	if got := states(t, program)[addr.String()]; !strings.HasPrefix(got, "not in force: "+why) {
		t.Errorf("list says %q, want that it is not in force: %s", got, why)
	}
	if out, _ := here.Try(t, tool(program, "show", addr.String())); !strings.Contains(out, "not in force: "+why) {
		t.Errorf("show does not say %q:\n%s", why, out)
	}
	out, err := here.Try(t, tool(program, "check"))
	if err == nil || !strings.Contains(out, "should be blocked and is not in force: ") || !strings.Contains(out, addr.String()) {
		t.Errorf("check: %v, does not name %s:\n%s", err, addr, out)
	}
	if out, err = here.Try(t, tool(program, "repair", "--dry-run")); err == nil || !strings.Contains(out, addr.String()+" should be blocked and is not in force") {
		t.Errorf("repair: %v\n%s", err, out)
	}
}

// TestAddBehindException: somebody lets a network by in our chain. What is blocked after that, and what
// maintain blocks again, is in force at once.
func TestAddBehindException(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			bin := buildPrograms(t)
			bindTools(t, chooseVariant(t, variant))
			attacker, victim := Hosts(t)
			program := filepath.Join(bin, "firewall-drop.sh")
			all := []heldOpen{holdOpen(t, attacker, attacker.V4, victim.Echo(t, victim.V4))}
			network := netip.PrefixFrom(attacker.V4, 24).Masked().String()
			shell(t, "iptables -N OSSEC_AR; iptables -A OSSEC_AR -s "+network+" -j ACCEPT")
			respond(t, program, "add", "-", attacker.V4.String(), "1.0", "5712")
			passes(t, "blocked", attacker, all, false)
			agrees(t, program)
			shell(t, "iptables -I OSSEC_AR -s "+network+" -j ACCEPT")
			respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
			if variant == "nft" { // where the add that asks whether it stands sees what is before it
				passes(t, "blocked again", attacker, all, false)
				agrees(t, program)
			}
			shell(t, "iptables -D OSSEC_AR -s "+attacker.V4.String()+" -j DROP")
			maintain(t, program)
			if got := states(t, program)[attacker.V4.String()]; got != "blocked" {
				t.Errorf("after maintain it is %q", got)
			}
			agrees(t, program)
		})
	}
}

// TestDormant: somebody switched the table off that iptables works in. Only he switches it on, for his own
// rules come into force with it; until then nothing is called blocked.
func TestDormant(t *testing.T) {
	for _, settings := range []string{"backend = \"iptables\"", "backend = \"ipset\""} {
		t.Run(settings, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			needTables(t)
			bin := buildPrograms(t)
			configure(t, bin, "[firewall]\n"+settings+"\n")
			bindTools(t, chooseVariant(t, "nft"))
			attacker, victim := Hosts(t)
			program := filepath.Join(bin, "firewall-drop.sh")
			all := []heldOpen{{from: attacker.V4, server: victim.Echo(t, victim.V4)}}
			respond(t, program, "add", "-", attacker.V4.String(), "1.0", "5712")
			shell(t, "nft add table ip filter '{ flags dormant; }'")
			passes(t, "dormant", attacker, all, true)
			seenOpen(t, program, attacker.V4, "table ip filter is dormant")
			var here Host
			for _, addr := range []string{attacker.V4.String(), "203.0.113.99"} {
				out, err := here.Try(t, exec.Command(program, "add", "-", addr, "1.1", "5712"))
				if err == nil || !strings.Contains(out, "table ip filter is dormant") {
					t.Errorf("add of %s: %v\n%s", addr, err, out)
				}
			}
			shell(t, "nft add table ip filter")
			maintain(t, program)
			if got := states(t, program); got[attacker.V4.String()] != "blocked" || got["203.0.113.99"] != "blocked" {
				t.Errorf("after maintain: %v", got)
			}
			agrees(t, program)
			conn, err := attacker.Dial(t, all[0].server, silence)
			if err == nil {
				t.Errorf("a new connection passes after maintain: %v", conn.RemoteAddr())
			}
		})
	}
}

// TestCheckLiveSeesOpen: check --live evaluates the rules that packets meet, and does not look
// just for its entry.
func TestCheckLiveSeesOpen(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			bin := buildPrograms(t)
			bindTools(t, chooseVariant(t, variant))
			program := filepath.Join(bin, "firewall-drop.sh")
			respond(t, program, "add", "-", "203.0.113.7", "1.0", "5712")
			shell(t, "iptables -I INPUT -p tcp --dport 22 -j ACCEPT")
			respond(t, program, "add", "-", "203.0.113.8", "1.1", "5712")
			rules := shell(t, "iptables -S INPUT") // over nf_tables an add asks where the jump stands
			if variant == "nft" && !strings.HasPrefix(rules, "-P INPUT ACCEPT\n-A INPUT -j OSSEC_AR\n") {
				t.Errorf("the jump is not the first rule:\n%s", rules)
			}
			var here Host
			out, err := here.Try(t, tool(program, "check", "--live"))
			const want = "FAULT  live IPv4"
			if at := strings.Index(out, want); variant == "legacy" && (err == nil || at < 0 ||
				!strings.Contains(out[at:], "not in force: the jump in INPUT stands behind rule 1, which accepts")) {
				t.Errorf("check --live: %v, want a row %q:\n%s", err, want, out)
			}
			maintain(t, program)
			if out, _ = here.Try(t, tool(program, "check", "--live")); strings.Contains(out, want) || !strings.Contains(out, "live IPv4") {
				t.Errorf("check --live after maintain:\n%s", out)
			}
		})
	}
}

// TestForwardedInForce: packets that the host forwards, as to a container, come by our chain
// when Docker's own chain has lost its jump, or FORWARD leads there no longer.
func TestForwardedInForce(t *testing.T) {
	for _, variant := range variants {
		for _, o := range []opening{
			{"DOCKER-USER without it", "iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN", "DOCKER-USER does not jump to OSSEC_AR"},
			{"DOCKER-USER behind", "iptables -I FORWARD -p tcp -j ACCEPT", "FORWARD does not jump to OSSEC_AR"},
			{"Docker restarted", "iptables -F FORWARD; iptables -F DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -A FORWARD -j ACCEPT",
				"DOCKER-USER does not jump to OSSEC_AR"},
		} {
			t.Run(variant+"/"+o.name, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				bin := buildPrograms(t)
				bindTools(t, chooseVariant(t, variant))
				attacker, victim := Hosts(t)
				container := behind(t, attacker, victim)
				shell(t, "iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -A FORWARD -j DOCKER-USER; iptables -A FORWARD -j ACCEPT")
				program := filepath.Join(bin, "firewall-drop.sh")
				all := []heldOpen{holdOpen(t, attacker, attacker.V4, container.Echo(t, container.V4))}
				respond(t, program, "add", "-", attacker.V4.String(), "1.0", "5712")
				passes(t, "blocked", attacker, all, false)
				shell(t, o.harm)
				passes(t, "opened", attacker, all, true)
				seenOpen(t, program, attacker.V4, o.why)
				maintain(t, program)
				passes(t, "maintained", attacker, all, false)
				agrees(t, program)
			})
		}
	}
}

// behind makes a host to which the victim forwards, as Docker does to a container.
func behind(t *testing.T, attacker, victim *Host) *Host {
	t.Helper()
	space, err := newSpace()
	must(t, err)
	t.Cleanup(func() { _ = space.Close() })
	container := &Host{Name: "container", V4: netip.MustParseAddr("172.17.0.2"), space: space}
	must(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
	ip := Program(t, "ip")
	sleeper := exec.Command("/bin/sleep", "1000")
	container.Do(t, sleeper.Start)
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	victim.network(t, "link add docker0 type veth peer name eth0 netns "+strconv.Itoa(sleeper.Process.Pid), "addr add 172.17.0.1/16 dev docker0", "link set docker0 up")
	container.Run(t, ip, "link", "set", "lo", "up")
	container.network(t, "addr add 172.17.0.2/16 dev eth0", "link set eth0 up", "route add default via 172.17.0.1")
	attacker.Run(t, ip, "route", "add", "172.17.0.0/16", "via", victim.V4.String())
	return container
}

// TestNeverAMomentOpen: while the jump is moved again and again, no packet of a blocked address
// gets through.
func TestNeverAMomentOpen(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			attacker, victim := Hosts(t)
			dir := chooseVariant(t, variant)
			e := newFirewall(t, dir)
			blockOne(t, e, attacker.V4, 0)
			stop := make(chan bool)
			done := make(chan error)
			go func() {
				var passed error
				for {
					select {
					case <-stop:
						done <- passed
						return
					default:
						if attacker.in(func() error { return ping(victim.V4, silence/10) }) == nil {
							passed = errors.New("a packet passes")
						}
					}
				}
			}()
			iptables := filepath.Join(dir, "iptables")
			for range 20 {
				// What is ahead of the jump accepts TCP only: pings pass when there is no jump.
				victim.Run(t, iptables, "-I", "INPUT", "-p", "tcp", "-j", "ACCEPT")
				mend(t, e)
			}
			close(stop)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
