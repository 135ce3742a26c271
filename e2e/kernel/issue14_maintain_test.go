package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestMaintainIdle: where nothing differs, the job of each minute takes 20 ms with 1,000 leases
// and 1 s with 100,000. What is measured is logged; the bounds here leave room for a busy machine.
func TestMaintainIdle(t *testing.T) {
	for _, tt := range []struct {
		backend string
		n       int
		most    time.Duration
	}{
		{"", 1000, 200 * time.Millisecond},
		{"backend = \"nftables\"", 1000, 200 * time.Millisecond},
		{"", 100_000, 5 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d leases/%s", tt.n, tt.backend), func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			bin := buildPrograms(t)
			configure(t, bin, "[firewall]\n"+tt.backend+"\n")
			program := filepath.Join(bin, "firewall-drop.sh")
			now := time.Now()
			var all []lease.Lease
			for _, addr := range manyAddresses(tt.n) {
				all = append(all, lease.Lease{Target: target.Of(addr), Program: "firewall-drop.sh", RuleID: "5712", AlertID: "1.1", Since: now, Renewed: now})
			}
			must(t, os.MkdirAll(filepath.Join(home(bin), "var/active-response"), 0o700))
			must(t, os.Chmod(filepath.Join(home(bin), "var/active-response"), 0o700))
			put(t, program, all...)
			maintain(t, program)
			var took []time.Duration
			for range 7 {
				began := time.Now()
				maintain(t, program)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			t.Logf("%d leases, nothing differs: median %s, least %s", tt.n, took[3], took[0])
			if took[0] > tt.most {
				t.Errorf("it takes %s, want %s", took[0], tt.most)
			}
		})
	}
}

// TestMaintainTwice: two at once do not fight: all is in force afterwards, each thing once.
func TestMaintainTwice(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needSets(t)
	bin := buildPrograms(t)
	configure(t, bin, "[firewall]\nmax_rules = 5\n")
	program := filepath.Join(bin, "firewall-drop.sh")
	waitForAll(t, startAdds(t, program, "203.0.113.", 30), nil)
	for range 5 {
		shell(t, "iptables -F; iptables -X; ipset destroy")
		var both []*exec.Cmd
		for range 4 {
			both = append(both, start(t, filepath.Join(home(bin), "bin/ossec-ar"), "maintain"))
		}
		waitForAll(t, both, nil)
		if got := inForce(t, program); got != 30 {
			t.Errorf("%d are in force, want 30", got)
		}
		if got := shell(t, "iptables -S INPUT"); strings.Count(got, "-j OSSEC_AR") != 1 {
			t.Errorf("the jump does not stand once:\n%s", got)
		}
		agrees(t, program)
	}
}

// ofOthers skips a test on a machine without a program that hardly any has, whatever must run.
func ofOthers(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not installed", path)
	}
}

// addressComes listens, and returns a function that waits until somebody gives the host an address.
func addressComes(t *testing.T, address string) func() bool {
	t.Helper()
	updates, done := make(chan vnl.AddrUpdate, 100), make(chan struct{})
	must(t, vnl.AddrSubscribe(updates, done))
	t.Cleanup(func() { close(done) })
	return func() bool {
		late := time.After(patience)
		for {
			select {
			case update := <-updates:
				if update.NewAddr && update.LinkAddress.String() == address {
					return true
				}
			case <-late:
				return false
			}
		}
	}
}

// TestNetworkdRestart: systemd-networkd starts again and again on a host whose links it manages, and
// one maintain has all routes in force each time, those that it took away, too.
func TestNetworkdRestart(t *testing.T) {
	if !Isolated(t) {
		return
	}
	const networkd = "/usr/lib/systemd/systemd-networkd"
	ofOthers(t, networkd)
	needRoot(t, "systemd-networkd becomes another user")
	program := filepath.Join(buildPrograms(t), "route-null.sh")
	var here Host
	here.network(t, "link add v0 type veth peer name v1", "link set v1 up")
	shell(t, "mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases && "+
		"chown -R systemd-network:systemd-network /run/systemd/netif && "+
		"mount -o bind /sys /sys && mount -o remount,ro,bind /sys && "+ // without udev it waits for none
		"printf '[Match]\nName=v0\n[Network]\nAddress=198.51.100.2/24\nLinkLocalAddressing=no\n' >/run/systemd/network/v0.network && "+
		"printf '[Match]\nName=lo\n' >/run/systemd/network/lo.network")
	for _, addr := range []string{"203.0.113.7", "2001:db8::7"} {
		respond(t, program, "add", "-", addr, "1.1", "5712")
	}
	for range 3 {
		shell(t, "ip link set v0 down; ip addr flush dev v0; ip route flush proto 214; ip -6 route flush proto 214")
		cmd := exec.Command(networkd)
		configured := addressComes(t, "198.51.100.2/24")
		must(t, cmd.Start())
		if !configured() {
			t.Skip("systemd-networkd configures nothing here")
		}
		maintain(t, program)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // "signal: killed"
		if got := shell(t, "ip route show type blackhole; ip -6 route show type blackhole"); strings.Count(got, "blackhole ") != 2 {
			t.Errorf("routes after maintain:\n%s", got)
		}
		agrees(t, program)
	}
}

// TestFirewalldReload: a reload of firewalld takes the rules of iptables away, and one maintain has
// them in force again; the table of nftables stays through it.
func TestFirewalldReload(t *testing.T) {
	for _, backend := range []string{"auto", "nftables"} {
		t.Run(backend, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			ofOthers(t, "/usr/sbin/firewalld")
			ofOthers(t, "/usr/bin/dbus-daemon")
			needRoot(t, "the bus of firewalld becomes another user")
			firewalld(t)
			bin := buildPrograms(t)
			program := filepath.Join(bin, "firewall-drop.sh")
			configure(t, bin, "[firewall]\nbackend = \""+backend+"\"\n")
			attacker, victim := Hosts(t)
			for _, zone := range []string{"--zone=trusted --change-interface=eth0", "--reload", "--complete-reload"} {
				respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
				answers(t, "blocked", attacker, victim.V4, false)
				if out, err := exec.Command("/bin/sh", "-c", path+"firewall-cmd "+zone).CombinedOutput(); err != nil {
					t.Fatalf("firewall-cmd %s: %v\n%s", zone, err, out)
				}
				if backend == "auto" {
					maintain(t, program)
				}
				answers(t, zone, attacker, victim.V4, false)
				agrees(t, program)
			}
			respond(t, program, "delete", "-", attacker.V4.String(), "1.1", "5712")
		})
	}
}

// firewalld starts the system's bus and firewalld, and returns when it answers.
func firewalld(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll("/run/dbus", 0o755))
	runtime.LockOSThread() // the signal comes when the thread that started them ends
	t.Cleanup(runtime.UnlockOSThread)
	for _, words := range [][]string{
		{"/usr/bin/dbus-daemon", "--system", "--nofork", "--nopidfile"},
		{"/usr/sbin/firewalld", "--nofork", "--nopid"},
	} {
		server := exec.Command(words[0], words[1:]...)
		server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		must(t, server.Start())
		t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	}
	deadline := time.Now().Add(patience)
	for exec.Command("/usr/bin/firewall-cmd", "--state").Run() != nil {
		if time.Now().After(deadline) {
			needKernel(t, "firewalld does not come up")
		}
	}
}

// TestUFWReload: ufw sets its rules up, reloads and is switched off and on, and one maintain has
// all in force again each time.
func TestUFWReload(t *testing.T) {
	if !Isolated(t) {
		return
	}
	ofOthers(t, "/usr/sbin/ufw")
	needRoot(t, "the rules of ufw are root's to read")
	bin := buildPrograms(t)
	attacker, victim := Hosts(t)
	program := filepath.Join(bin, "firewall-drop.sh")
	respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
	for _, step := range []string{"ufw --force enable", "ufw allow proto tcp from any to any port 22", "ufw reload", "ufw --force disable", "ufw --force enable", "ufw --force reset"} {
		if out, err := exec.Command("/bin/sh", "-c", path+step).CombinedOutput(); err != nil {
			needKernel(t, step+": "+string(out))
		}
		maintain(t, program)
		answers(t, step, attacker, victim.V4, false)
		agrees(t, program)
	}
	respond(t, program, "delete", "-", attacker.V4.String(), "1.1", "5712")
	answers(t, "deleted", attacker, victim.V4, true)
}
