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
)

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
	stopsPackets(t, attacker, victim, program, func(netip.Addr) {})
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

// TestFirewallDropStorm: 200 at once, with nothing there before: nobody is left out, nobody
// stays in, and there is one jump.
func TestFirewallDropStorm(t *testing.T) {
	const n = 200
	for _, settings := range []string{"backend = \"iptables\"", "max_rules = 20", "backend = \"ipset\"", "backend = \"nftables\""} {
		for _, variant := range variants {
			t.Run(variant+"/"+settings, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				needSets(t)
				needTables(t)
				tools := chooseVariant(t, variant)
				program := filepath.Join(buildPrograms(t), "firewall-drop.sh")
				bindTools(t, tools)
				etc := filepath.Join(filepath.Dir(program), "../../etc")
				if err := errors.Join(os.MkdirAll(etc, 0o755), os.WriteFile(filepath.Join(etc, "active-response.toml"), []byte("[firewall]\n"+settings+"\n"), 0o600)); err != nil {
					t.Fatal(err)
				}
				var here Host
				state := func() string {
					return here.Run(t, filepath.Join(tools, "iptables"), "-S") + here.Run(t, Program(t, "ipset"), "save") +
						here.Run(t, Program(t, "nft"), "list ruleset inet")
				}
				storm(t, program, "add", n)
				all := state()
				for i := range n {
					addr := fmt.Sprintf("198.18.%d.%d", i/250, i%250)
					if !strings.Contains(all, addr+"/32 ") && !strings.Contains(all, addr+" ") {
						t.Errorf("%s is not blocked", addr)
					}
				}
				if got := strings.Count(all, "-A INPUT -j OSSEC_AR"); got != 1 && !strings.Contains(settings, "nftables") {
					t.Errorf("%d jumps from INPUT, want 1", got)
				}
				storm(t, program, "delete", n)
				if all := state(); strings.Contains(all, "198.18.") {
					t.Errorf("left over after all deletes:\n%s", all)
				}
			})
		}
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
