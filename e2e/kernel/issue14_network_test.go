package kernel

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// network is an attacker's network of 64 bits, with two addresses of it and one beside it.
type network struct {
	attacker *Host
	server   netip.AddrPort
}

const (
	inNetwork1   = "2001:db8:77::5"
	inNetwork2   = "2001:db8:77::6:1"
	besidesIt    = "2001:db8:77:1::5"
	nobodyInside = "2001:db8:77::99"
)

func attackersNetwork(t *testing.T) network {
	t.Helper()
	attacker, victim := Hosts(t)
	ip := Program(t, "ip")
	for _, addr := range []string{inNetwork1, inNetwork2, besidesIt, nobodyInside} {
		attacker.Run(t, ip, "addr", "add", addr+"/128", "dev", "eth0", "nodad")
	}
	victim.Run(t, ip, "-6", "route", "add", "2001:db8:77::/48", "via", attacker.V6.String())
	return network{attacker, victim.Echo(t, victim.V6)}
}

// passes reports whether a connection from an address of the attacker comes about.
func (n network) passes(t *testing.T, from string, wait time.Duration) bool {
	t.Helper()
	var answered error
	err := n.attacker.in(func() error {
		d := net.Dialer{Timeout: wait, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", n.server.String())
		if err == nil {
			answered = Answers(conn, "hello", wait)
			err = conn.Close()
		}
		return err
	})
	return errors.Join(err, answered) == nil
}

func (n network) want(t *testing.T, step string, open, blocked []string) {
	t.Helper()
	const soon = 400 * time.Millisecond // long enough for an answer over a veth pair
	for _, from := range open {
		if !n.passes(t, from, patience) {
			t.Errorf("%s: nothing comes from %s", step, from)
		}
	}
	for _, from := range blocked {
		if n.passes(t, from, soon) {
			t.Errorf("%s: a connection comes from %s", step, from)
		}
	}
}

// TestNetworkBlocked: with block.ipv6_prefix = 64 every enforcer blocks the network of an IPv6
// address, which two attackers in it share; the whitelist narrows it.
func TestNetworkBlocked(t *testing.T) {
	for name, way := range map[string]struct{ response, settings string }{
		"rules":     {"firewall-drop.sh", "[firewall]\nbackend = \"iptables\"\n"},
		"auto":      {"firewall-drop.sh", "[firewall]\nmax_rules = 32\n"},
		"auto, set": {"firewall-drop.sh", "[firewall]\nmax_rules = 0\n"},
		"ipset":     {"firewall-drop.sh", "[firewall]\nbackend = \"ipset\"\n"},
		"nftables":  {"firewall-drop.sh", "[firewall]\nbackend = \"nftables\"\n"},
		"reject":    {"firewall-drop.sh", "[firewall]\nbackend = \"nftables\"\ntarget = \"REJECT\"\n"},
		"routes":    {"route-null.sh", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			n := attackersNetwork(t)
			program := filepath.Join(buildPrograms(t), way.response)
			configure(t, filepath.Dir(program), way.settings+"[block]\nipv6_prefix = 64\n")
			all := []string{inNetwork1, inNetwork2, besidesIt}
			n.want(t, "at the start", all, nil)
			respond(t, program, "add", "-", inNetwork1, "1.1", "5712")
			n.want(t, "one blocked", all[2:], all[:2])
			respond(t, program, "add", "-", inNetwork2, "1.2", "5712")
			// A delete frees what was blocked, whatever is configured by now.
			configure(t, filepath.Dir(program), way.settings)
			respond(t, program, "delete", "-", inNetwork1, "1.1", "5712")
			n.want(t, "one of two freed", all[2:], all[:2])
			if log := logOf(t, program); !strings.Contains(log, "Blocked IP: "+inNetwork1+" (Rule: 5712) (network 2001:db8:77::/64)\n") ||
				!strings.Contains(log, "still held by others for 2001:db8:77::/64\n") {
				t.Errorf("the log:\n%s", log)
			}
			heals(t, program)
			n.want(t, "maintained", all[2:], all[:2])
			respond(t, program, "delete", "-", inNetwork2, "1.2", "5712")
			n.want(t, "both freed", all, nil)

			configure(t, filepath.Dir(program), way.settings+"[block]\nipv6_prefix = 64\n")
			respond(t, program, "add", "-", inNetwork1, "1.3", "5712")
			folder := filepath.Join(homeOf(program), "etc/whitelist.d")
			must(t, errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, "x"), []byte(nobodyInside+"\n"), 0o644)))
			if got := heals(t, program); !strings.Contains(got, "one by one") {
				t.Errorf("maintain logs:\n%s", got)
			}
			if got := shell(t, program+" add - "+inNetwork2+" 1.4 5712 2>&1"); !strings.Contains(got, "only "+inNetwork2+" is blocked, and not") {
				t.Errorf("add says %q", got)
			}
			n.want(t, "narrowed by the whitelist", []string{nobodyInside, besidesIt}, all[:2])
			must(t, os.Remove(filepath.Join(folder, "x")))
			respond(t, program, "add", "-", "2001:db8:77::7", "1.5", "5712")
			n.want(t, "wide again", all[2:], []string{inNetwork1, nobodyInside})
			tool := filepath.Join(homeOf(program), "bin/ossec-ar")
			if got := shell(t, tool+" list "+nobodyInside); !strings.Contains(got, "2001:db8:77::7/64  blocked") {
				t.Errorf("list:\n%s", got)
			}
			shell(t, tool+" unban "+nobodyInside)
			n.want(t, "unban of a neighbour frees the network", []string{nobodyInside}, all[:2])
			agrees(t, program)
		})
	}
}

// TestNetworkDenied is the same for hosts.deny, as libwrap reads it.
func TestNetworkDenied(t *testing.T) {
	if !Isolated(t) {
		return
	}
	Program(t, "tcpdmatch")
	program := filepath.Join(buildPrograms(t), "host-deny.sh")
	const settings = "[block]\nipv6_prefix = 64\n"
	configure(t, filepath.Dir(program), settings)
	const mine = "# mine\nALL:[2001:db8:78::]/64\n"
	ownEtc(t, mine)
	want := func(step, content string, access ...string) {
		t.Helper()
		wantHostsDeny(t, step, content)
		for i, addr := range []string{inNetwork1, inNetwork2, besidesIt} {
			wantAccess(t, step, addr, access[i])
		}
	}
	respond(t, program, "add", "-", inNetwork1, "1.1", "5712")
	respond(t, program, "add", "-", inNetwork2, "1.2", "5712")
	want("blocked", mine+"ALL:[2001:db8:77::]/64\n", "denied", "denied", "granted")
	respond(t, program, "delete", "-", inNetwork1, "1.1", "5712")
	want("one of two freed", mine+"ALL:[2001:db8:77::]/64\n", "denied", "denied", "granted")
	configure(t, filepath.Dir(program), settings+"[whitelist]\nentries = [\""+nobodyInside+"\"]\n")
	heals(t, program)
	want("narrowed", mine+"ALL:["+inNetwork2+"]\n", "granted", "denied", "granted")
	respond(t, program, "delete", "-", inNetwork2, "1.2", "5712")
	want("freed", mine, "granted", "granted", "granted")
}
