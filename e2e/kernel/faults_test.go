package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts a response as the daemon does, without waiting.
func start(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = "/", []string{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// startAdds starts a response for the first n addresses of a net, which is text that a
// number makes an address.
func startAdds(t *testing.T, program, net string, n int) []*exec.Cmd {
	t.Helper()
	commands := make([]*exec.Cmd, n)
	for i := range commands {
		commands[i] = start(t, program, "add", "-", fmt.Sprintf("%s%d", net, i), "1.1", "5712")
	}
	return commands
}

// waitForAll waits until all have ended, as they should. ended, which may be nil, is told of
// each in their order.
func waitForAll(t *testing.T, commands []*exec.Cmd, ended func(i int)) {
	t.Helper()
	for i, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			t.Errorf("call %d, %q: %v", i, cmd.Args[1:], err)
		}
		if ended != nil {
			ended(i)
		}
	}
}

// configure writes active-response.toml into the home that bin belongs to. How long the
// programs wait is that of the tests where the text does not say otherwise: a loaded machine
// takes its time.
func configure(t *testing.T, bin, text string) {
	t.Helper()
	for section, setting := range map[string]string{"[firewall]\n": "timeout = \"1m\"\n", "[lease]\n": "lock_timeout = \"1m\"\n"} {
		switch {
		case !strings.Contains(text, section):
			text += section + setting
		case !strings.Contains(text, "\n"+strings.Fields(setting)[0]+" "):
			text = strings.Replace(text, section, section+setting, 1)
		}
	}
	etc := filepath.Join(bin, "../../etc")
	if err := errors.Join(os.MkdirAll(etc, 0o755), os.WriteFile(filepath.Join(etc, "active-response.toml"), []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// agrees fails the test when leases and kernel differ.
func agrees(t *testing.T, program string) {
	t.Helper()
	var here Host
	if got, err := here.Try(t, exec.Command(program, "reconcile")); err != nil || got != "" {
		t.Errorf("leases and kernel differ: %v\n%s", err, got)
	}
}

// TestXtablesLockHeld: another program holds the lock of the xtables while it is wanted. The
// response waits for it and then blocks.
func TestXtablesLockHeld(t *testing.T) {
	if !Isolated(t) {
		return
	}
	tools := chooseVariant(t, "legacy")
	bin := buildPrograms(t)
	bindTools(t, tools)
	program := filepath.Join(bin, "firewall-drop.sh")
	lock, err := os.OpenFile("/run/xtables.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	cmd := start(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("it ended while the lock was held: %v", err)
	case <-time.After(500 * time.Millisecond): // long enough to get to the lock
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("add: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it did not end after the lock was free")
	}
	agrees(t, program)
}

// TestTakenAwayInAStorm: sets, tables and routes are taken away as a whole while responses
// are at work. After the next block, or a restore where nothing can tell a block that
// something is gone, all that is leased is in force.
func TestTakenAwayInAStorm(t *testing.T) {
	for _, tt := range []struct{ name, program, config, damage string }{
		{"ipset destroyed", "firewall-drop.sh", "[firewall]\nbackend = \"ipset\"\n", "iptables -w -F; ip6tables -w -F; ipset destroy"},
		{"set of auto destroyed", "firewall-drop.sh", "[firewall]\nmax_rules = 20\n", "iptables -w -F; ip6tables -w -F; ipset destroy"},
		{"chain of auto flushed", "firewall-drop.sh", "[firewall]\nmax_rules = 20\n", "iptables -w -F OSSEC_AR"},
		{"nftables rules flushed", "firewall-drop.sh", "[firewall]\nbackend = \"nftables\"\n", "nft flush table inet ossec_ar"},
		{"nftables table deleted", "firewall-drop.sh", "[firewall]\nbackend = \"nftables\"\n", "nft delete table inet ossec_ar"},
		{"routes flushed", "route-null", "", "ip route flush table main"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			const n = 80
			Program(t, strings.Fields(tt.damage)[0])
			bin := buildPrograms(t)
			configure(t, bin, tt.config)
			program := filepath.Join(bin, tt.program)
			respond(t, program, "add", "-", "203.0.113.1", "1.1", "5712")
			waitForAll(t, startAdds(t, program, "198.18.0.", n), func(i int) {
				if i == n/3 || i == 2*n/3 {
					_ = exec.Command("/bin/sh", "-c", "PATH=/usr/sbin:/sbin:/usr/bin:/bin; "+tt.damage).Run() // what is gone already cannot go again
				}
			})
			var here Host
			if tt.program == "route-null" {
				here.Run(t, program, "restore")
			} else {
				respond(t, program, "add", "-", "203.0.113.2", "1.1", "5712")
			}
			agrees(t, program)
			if got := strings.Count(here.Run(t, program, "list"), " blocked "); got < n {
				t.Errorf("%d addresses in force, want %d", got, n)
			}
		})
	}
}
