package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
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

func TestFirewallContract(t *testing.T) {
	for _, variant := range variants {
		for _, target := range []string{"DROP", "REJECT"} {
			t.Run(variant+"/"+target, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				dir := chooseVariant(t, variant)
				enforcertest.Contract(t, newFirewall(t, dir, func(o *firewall.Options) { o.Target = target }))
			})
		}
	}
}

// TestFirewallMadeAgain: whatever somebody flushed, the next Block makes it again, once.
func TestFirewallMadeAgain(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			var here Host
			dir := chooseVariant(t, variant)
			iptables := filepath.Join(dir, "iptables")
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
				t.Fatal(err)
			}
			e := newFirewall(t, dir)
			a, b := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
			damages := []string{"-L", "-F", "-F INPUT", "-F FORWARD", "-F OSSEC_AR", "-D INPUT -j OSSEC_AR", "-F; -X", "-N DOCKER-USER",
				"-D FORWARD -j OSSEC_AR; -I FORWARD -j DOCKER-USER", "-F; -X OSSEC_AR"}
			docker := len(damages) - 2
			for i, damage := range damages {
				if i == docker { // it came; its chain was a left-over before, and is again after the flush
					here.Run(t, Program(t, "ip"), "link", "add", "docker0", "type", "veth")
				}
				for step := range strings.SplitSeq(damage, "; ") {
					here.Run(t, iptables, strings.Fields(step)...)
				}
				for _, addr := range []netip.Addr{a, b} {
					if _, err := e.Block(t.Context(), addr, false); err != nil {
						t.Fatalf("after iptables %s: %v", damage, err)
					}
				}
				got := here.Run(t, iptables, "-S")
				forward := "-A FORWARD -j OSSEC_AR"
				if i == docker {
					forward = "-A DOCKER-USER -j OSSEC_AR"
				}
				for _, want := range []string{"-A INPUT -j OSSEC_AR", forward, "-A OSSEC_AR -s 203.0.113.7/32 -j DROP", "-A OSSEC_AR -s 203.0.113.8/32 -j DROP"} {
					if n := strings.Count(got, want+"\n"); n != 1 {
						t.Errorf("after iptables %s and Block, %q stands %d times in:\n%s", damage, want, n, got)
					}
				}
			}
		})
	}
}

// respond runs a response as ossec-execd does, in the namespaces of the test.
func respond(t *testing.T, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = "/", []string{}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(path), args, err, out)
	}
}

// reaches returns an error unless ping, a new connection and an old one get through.
func reaches(t *testing.T, attacker *Host, to netip.AddrPort, old net.Conn, wait time.Duration) error {
	t.Helper()
	conn, err := attacker.Dial(t, to, wait)
	if err == nil {
		err = Answers(conn, "hello", wait)
	}
	return errors.Join(err, Answers(old, "still there", wait), attacker.Ping(t, to.Addr(), wait))
}

// TestFirewallDropStopsPackets is what the suite is for: a second host talks to this one
// over IPv4 and IPv6, is blocked by the real program, and is freed again.
func TestFirewallDropStopsPackets(t *testing.T) {
	if !Isolated(t) {
		return
	}
	attacker, victim := Hosts(t)
	Program(t, "iptables")
	program := filepath.Join(buildPrograms(t), "firewall-drop.sh")
	stopsPackets(t, attacker, victim, program, func(from netip.Addr) {
		if list := victim.Run(t, program, "list"); !strings.Contains(list, from.String()+" ") || strings.Contains(list, "  0        0\n") {
			t.Errorf("list does not show %s with the packets that were dropped:\n%s", from, list)
		}
	})
}

// stopsPackets lets the attacker talk to the victim over IPv4 and IPv6, calls the response,
// and sees that nothing gets through, until the response is called to delete. meanwhile is
// called while the address is blocked.
func stopsPackets(t *testing.T, attacker, victim *Host, program string, meanwhile func(from netip.Addr)) {
	t.Helper()
	const blocked = 400 * time.Millisecond // long enough for an answer over a veth pair
	for _, tt := range []struct{ from, to netip.Addr }{{attacker.V4, victim.V4}, {attacker.V6, victim.V6}} {
		server := victim.Echo(t, tt.to)
		old, err := attacker.Dial(t, server, patience)
		if err != nil {
			t.Fatal(err)
		}
		if err := reaches(t, attacker, server, old, patience); err != nil {
			t.Fatalf("before add: %v", err)
		}

		respond(t, program, "add", "-", tt.from.String(), "1304756247.60385", "5712")
		if err := attacker.Ping(t, tt.to, blocked); err == nil {
			t.Errorf("ping from %s gets through after add", tt.from)
		}
		if _, err := attacker.Dial(t, server, blocked); err == nil {
			t.Errorf("a connection from %s gets through after add", tt.from)
		}
		if err := Answers(old, "knock", blocked); err == nil {
			t.Errorf("an old connection from %s gets through after add", tt.from)
		}
		meanwhile(tt.from)

		respond(t, program, "delete", "-", tt.from.String(), "1304756247.60385", "5712")
		if err := Hears(old, "knock", patience); err != nil { // TCP sends again what was dropped
			t.Errorf("an old connection from %s after delete: %v", tt.from, err)
		}
		if err := reaches(t, attacker, server, old, patience); err != nil {
			t.Errorf("after delete: %v", err)
		}
	}
}

// TestFirewallDropStorm: 200 at once, with nothing there before, on both variants.
func TestFirewallDropStorm(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			tools := chooseVariant(t, variant)
			program := filepath.Join(buildPrograms(t), "firewall-drop.sh")
			bindTools(t, tools)
			storm(t, program, "add", 200)
			var here Host
			rules := here.Run(t, filepath.Join(tools, "iptables"), "-S")
			if got := strings.Count(rules, "-A OSSEC_AR -s 198.18."); got != 200 {
				t.Errorf("%d addresses in force, want 200", got)
			}
			if got := strings.Count(rules, "-A INPUT -j OSSEC_AR"); got != 1 {
				t.Errorf("%d jumps from INPUT, want 1", got)
			}
			storm(t, program, "delete", 200)
			if rules := here.Run(t, filepath.Join(tools, "iptables"), "-S"); strings.Contains(rules, "198.18.") {
				t.Errorf("left over after all deletes:\n%s", rules)
			}
		})
	}
}

// bindTools makes /usr/sbin's iptables and its family be those of dir, in this mount
// namespace, so that the real program, which takes no other path, uses them: by the links
// that update-alternatives(1) keeps.
func bindTools(t *testing.T, dir string) {
	t.Helper()
	const alternatives = "/etc/alternatives"
	mine := t.TempDir()
	entries, err := os.ReadDir(alternatives)
	if err != nil {
		needKernel(t, "this system has no alternatives: "+err.Error())
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(alternatives, e.Name()))
		if err != nil {
			continue // a README
		}
		if real, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			target = real
		}
		if err := os.Symlink(target, filepath.Join(mine, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	var here Host
	here.Run(t, Program(t, "mount"), "--bind", mine, alternatives)
	for _, name := range []string{"iptables", "iptables-restore", "ip6tables", "ip6tables-restore"} {
		got, err := filepath.EvalSymlinks(filepath.Join("/usr/sbin", name))
		want, _ := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err != nil || got != want {
			needKernel(t, fmt.Sprintf("/usr/sbin/%s is %s whatever the alternatives say (%v)", name, got, err))
		}
	}
}

func storm(t *testing.T, program, action string, n int) {
	t.Helper()
	commands := make([]*exec.Cmd, n)
	for i := range commands {
		commands[i] = start(t, program, action, "-", fmt.Sprintf("198.18.%d.%d", i/250, i%250), "1304756247.60385", "5712")
	}
	waitForAll(t, commands, nil)
}
