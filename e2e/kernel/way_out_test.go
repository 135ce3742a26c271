package kernel

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWayOutIsNeverBlocked: the host's own addresses, the broadcast addresses of its networks
// and the gateways of all its default routes are skipped, in whatever form a route names them;
// a neighbour and the other end of a line are blocked.
func TestWayOutIsNeverBlocked(t *testing.T) {
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "route-null")
	var here Host
	here.network(t,
		"link add v0 type veth peer name v1", "link set v0 up", "link set v1 up",
		"addr add 198.51.100.2/24 dev v0", "addr add 203.0.113.10/31 dev v0", "addr add 192.0.2.1 peer 192.0.2.2/32 dev v0",
		"-6 addr add 2001:db8::2/64 dev v0 nodad",
		"route add default via 198.51.100.1", "route add default via inet6 fe80::99 dev v0 metric 50",
		"route add default table 100 nexthop via 198.51.100.3 nexthop via 198.51.100.4", "-6 route add default via 2001:db8::1",
	)
	for addr, want := range map[string]string{
		"198.51.100.2": "own address", "192.0.2.1": "own address", "2001:db8::2": "own address",
		"198.51.100.255": "broadcast",
		"198.51.100.1":   "default gateway", "fe80::99": "default gateway", "198.51.100.3": "default gateway",
		"198.51.100.4": "default gateway", "2001:db8::1": "default gateway",
		"198.51.100.7": "", "192.0.2.2": "", "203.0.113.11": "", "2001:db8::7": "",
	} {
		text := "Blocked IP: " + addr + "\n"
		if want != "" {
			text = "Skipped IP: " + addr + ": whitelisted by " + want + " " + addr + " (built in)\n"
		}
		if got := here.Run(t, program, "add", addr); !strings.HasPrefix(got, text) {
			t.Errorf("add says %q, want %q", got, text)
		}
	}
}

// network runs commands of ip(8).
func (h Host) network(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		h.Run(t, Program(t, "ip"), strings.Fields(command)...)
	}
}

// TestGatewayBehindARule: where a rule leads to another table, its gateway is skipped though
// the main table has another way to it.
func TestGatewayBehindARule(t *testing.T) {
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "firewall-drop")
	var here Host
	here.network(t,
		"link add v0 type veth peer name v1", "link set v0 up", "link set v1 up", "addr add 198.51.100.2/24 dev v0", "route add default via 198.51.100.1",
		"link add u0 type veth peer name u1", "link set u0 up", "link set u1 up", "addr add 10.9.0.2/24 dev u0 noprefixroute",
		"route add 10.9.0.0/24 dev u0 table 100", "route add default via 10.9.0.1 table 100", "rule add from 10.9.0.2 lookup 100",
	)
	for addr, want := range map[string]string{"10.9.0.1": "Skipped IP: 10.9.0.1: whitelisted by default gateway", "10.9.0.7": "Blocked IP: 10.9.0.7\n"} {
		if got := here.Run(t, program, "add", addr); !strings.HasPrefix(got, want) {
			t.Errorf("add says %q, want %q", got, want)
		}
	}
}

// TestOpenSessionIsSpared: a person does not block by mistake where another administrator's session
// comes from, as long as its connection is open; a daemon has no session to think of.
func TestOpenSessionIsSpared(t *testing.T) {
	if !Isolated(t) {
		return
	}
	bin := buildPrograms(t)
	program := filepath.Join(bin, "firewall-drop.sh")
	attacker, victim := Hosts(t)
	for _, way := range []struct{ from, to netip.Addr }{{attacker.V4, victim.V4}, {attacker.V6, victim.V6}} {
		conn, err := attacker.Dial(t, victim.Echo(t, way.to), patience)
		must(t, err)
		must(t, Answers(conn, "hello", patience)) // both ends are open
		from, to := netip.MustParseAddrPort(conn.LocalAddr().String()), netip.MustParseAddrPort(conn.RemoteAddr().String())
		shell := exec.Command(Program(t, "sleep"), "900") // a process of the session
		shell.Env = []string{fmt.Sprintf("SSH_CONNECTION=%s %d %s %d", from.Addr(), from.Port(), to.Addr(), to.Port())}
		must(t, shell.Start())
		t.Cleanup(func() { _ = shell.Process.Kill(); _ = shell.Wait() })
		addr := way.from.String()
		out, err := victim.Try(t, tool(program, "block", addr))
		if err == nil || !strings.Contains(out, addr+" is not blocked: an SSH session that is open comes from it") {
			t.Errorf("block: %v %s", err, out)
		}
		if got := victim.Run(t, filepath.Join(bin, "firewall-drop"), "add", addr); !strings.HasPrefix(got, "Skipped IP: "+addr) {
			t.Errorf("add by hand: %s", got)
		}
		respond(t, program, "add", "-", addr, "1.1", "5712")
		respond(t, program, "delete", "-", addr, "1.1", "5712")
		must(t, conn.Close())
		if out, err := victim.Try(t, tool(program, "block", addr)); err != nil {
			t.Errorf("block when it is over: %v %s", err, out)
		}
	}
}
