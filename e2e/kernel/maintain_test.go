package kernel

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// job starts the job of each minute.
func job(t *testing.T, program string) *exec.Cmd {
	t.Helper()
	return start(t, filepath.Join(homeOf(program), "bin/ossec-ar"), "maintain")
}

// emptied is how all blocks of a blocker are taken away.
func (b blocker) emptied() string {
	switch b.name {
	case "ipset":
		return "ipset flush"
	case "nftables":
		return "nft flush ruleset"
	case "route-null":
		// It fails when somebody takes one of the routes that it has listed.
		return "for i in $(seq 20); do if ip route flush proto 214; then exit; fi; done; exit 1"
	case "host-deny":
		return ": >/etc/hosts.deny"
	}
	return "iptables -w -F OSSEC_AR; ipset flush"
}

// TestMaintainAtOnce: many jobs at once, beside responses at work: all end well and silently,
// each block is made once, and nothing is lost.
func TestMaintainAtOnce(t *testing.T) {
	const n = 60
	for _, b := range blockers() {
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := b.set(t)
			waitForAll(t, startAdds(t, program, "198.18.0.", n), nil)
			shell(t, b.emptied())
			var jobs []*exec.Cmd
			for range 6 {
				jobs = append(jobs, job(t, program))
			}
			waitForAll(t, jobs, nil)
			if got := inForce(t, program); got != n {
				t.Errorf("%d are in force, want %d", got, n)
			}
			again := fmt.Sprintf("mended: blocked %d addresses again that were not in force\n", n)
			if got := strings.Count(logOf(t, program), again); got != 1 {
				t.Errorf("%d lines say that they are blocked again, want 1", got)
			}
			if said, _ := os.ReadFile(complaints); len(said) > 0 {
				t.Errorf("they said:\n%.2000s", said)
			}
			var calls []*exec.Cmd
			jobs = nil
			for i, cmd := range startAdds(t, program, "198.19.0.", n) {
				calls = append(calls, cmd)
				if i%2 == 0 {
					calls = append(calls, start(t, program, "delete", "-", fmt.Sprintf("198.18.0.%d", i), "1.1", "5712"))
				}
				if i%20 == 0 {
					shell(t, b.emptied())
					jobs = append(jobs, job(t, program))
				}
			}
			waitForAll(t, calls, nil)
			for _, cmd := range jobs {
				_ = cmd.Wait() // one whose work was undone at once says so and ends with 1
			}
			heals(t, program)
			if got := inForce(t, program); got != n+n/2 {
				t.Errorf("%d are in force, want %d", got, n+n/2)
			}
		})
	}
}

// TestMaintainKilled: the job is killed at random moments of its work; the next one does what
// is left to do.
func TestMaintainKilled(t *testing.T) {
	for _, b := range blockers() {
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			const n, rounds = 40, 25
			program := b.set(t)
			waitForAll(t, startAdds(t, program, "198.18.0.", n), nil)
			shell(t, b.emptied())
			began := time.Now()
			maintain(t, program)
			span := time.Since(began)
			killed := 0
			// On a busy machine most end before their moment comes: then it takes more rounds.
			for round := 0; round < rounds || killed < rounds/4 && round < 40*rounds; round++ {
				shell(t, b.emptied())
				cmd := job(t, program)
				timer := time.AfterFunc(rand.N(span), func() { _ = cmd.Process.Kill() })
				_ = cmd.Wait() // killed or not
				timer.Stop()
				if cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
					killed++
				}
				unlocked(t, ossec.Home(homeOf(program)).State()+"/maintain.lock")
			}
			if t.Logf("%d were killed", killed); killed < rounds/4 {
				t.Errorf("only %d were killed", killed)
			}
			heals(t, program)
			if got, leased := inForce(t, program), len(all(t, program)); got != n || leased != n {
				t.Errorf("%d are in force and %d leased, want %d", got, leased, n)
			}
		})
	}
}

// unlocked waits until nobody has a lock. A child that was not yet the program it is to run has those of who was
// killed.
func unlocked(t *testing.T, path string) {
	t.Helper()
	lock, err := state.Exclusive(path, patience)
	must(t, err)
	lock.Release()
}

// hindered is what keeps a block from being made and lifted.
type hindered struct {
	name   string
	of     string // the blocker
	hinder func(t *testing.T, program string) (free func())
	why    string // in the message
	lifts  bool   // it keeps blocks from being lifted, too
}

func hinders() []hindered {
	failing := func(*testing.T, string) func() {
		for _, name := range []string{"iptables", "iptables-restore", "ip6tables", "ip6tables-restore"} {
			_ = isolate.Replace(name, []byte("#!/bin/sh\necho 'out of order' >&2\nexit 1\n")) // the test fails then
		}
		return func() {
			for _, name := range []string{"iptables", "iptables-restore", "ip6tables", "ip6tables-restore"} {
				_ = isolate.Restore(name)
			}
		}
	}
	foreign := func(t *testing.T, _ string) func() {
		shell(t, "nft flush ruleset; nft add table inet ossec_ar; nft add set inet ossec_ar blocked4 '{ type inet_service; }'")
		return func() { shell(t, "nft delete table inet ossec_ar") }
	}
	return []hindered{
		{"iptables fails", "iptables-nft", failing, "out of order", true},
		{"iptables fails", "ipset", failing, "out of order", true},
		{"iptables fails", "auto", failing, "out of order", true},
		{"the lock of the xtables is held", "iptables-legacy", func(t *testing.T, _ string) func() { return lockXtables(t) }, "Another app is currently holding", true},
		{"a set of its name is another's", "nftables", foreign, "ossec_ar", false},
		{"its route is another's", "route-null", func(t *testing.T, _ string) func() {
			shell(t, "ip link add v0 type veth peer name v1; ip link set v0 up; ip addr add 203.0.113.7/32 dev v0")
			return func() { shell(t, "ip link del v0") }
		}, "203.0.113.7", false},
		{"hosts.deny is a folder", "host-deny", func(t *testing.T, _ string) func() {
			must(t, os.Rename(hostsDeny, hostsDeny+".kept"))
			must(t, os.Mkdir(hostsDeny, 0o755))
			return func() { shell(t, "rmdir "+hostsDeny+"; mv "+hostsDeny+".kept "+hostsDeny) }
		}, "hosts.deny", true},
	}
}

// lockXtables holds the lock of the xtables until it is released.
func lockXtables(t *testing.T) (release func()) {
	t.Helper()
	lock, err := os.OpenFile("/run/xtables.lock", os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	return func() { _ = lock.Close() } // twice does no harm
}

// TestWaits: a block that could not be made is reported as a failure and waits: maintain makes it
// as soon as it can, and until then says each time that it cannot. A delete in between ends it.
// A block that could not be lifted is lifted by maintain.
func TestWaits(t *testing.T) {
	const addr, other, third = "203.0.113.7", "203.0.113.8", "203.0.113.9"
	for _, h := range hinders() {
		t.Run(h.of+"/"+h.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			var program string
			for _, b := range blockers() {
				if b.name == h.of {
					b.config = strings.Replace(b.config, "[firewall]\n", "[firewall]\ntimeout = \"4s\"\n", 1)
					b.config = strings.Replace(b.config+"[whitelist]\nown_addresses = false\n", "\n\n", "\n", 1)
					program = b.set(t)
				}
			}
			fails := func(cmd *exec.Cmd) {
				t.Helper()
				var here Host
				if out, err := here.Try(t, cmd); err == nil || !strings.Contains(out, h.why) {
					t.Errorf("%q: %v, %q; want a failure with %q", cmd.Args[1:], err, out, h.why)
				}
			}
			call := func(action, addr string) *exec.Cmd {
				return exec.Command(program, action, "-", addr, "1.1", "5712")
			}
			everything := func() *exec.Cmd { return exec.Command(filepath.Join(homeOf(program), "bin/ossec-ar"), "maintain") }

			free := h.hinder(t, program)
			fails(call("add", addr))
			if found := all(t, program); len(found) != 1 || found[0].State != lease.Waiting || !strings.Contains(found[0].Reason, h.why) {
				t.Errorf("leases: %+v", found)
			}
			fails(everything())
			free()
			if got := states(t, program)[addr]; !strings.HasPrefix(got, "waiting: ") || !strings.Contains(got, h.why) {
				t.Errorf("its state is %q", got)
			}
			if logged := heals(t, program); !strings.HasSuffix(logged, " add - "+addr+" - - - Blocked IP: "+addr+" (late: it could not be blocked before)\n") {
				t.Errorf("maintain logs %q", logged)
			}
			if found := all(t, program); len(found) != 1 || found[0].State != lease.Held || found[0].Reason != "" {
				t.Errorf("leases: %+v", found)
			}
			if h.of == "route-null" {
				return // only that address is hindered
			}

			// Its delete comes before the next maintain.
			free = h.hinder(t, program)
			fails(call("add", other))
			free()
			respond(t, program, "delete", "-", other, "1.1", "5712")
			heals(t, program)
			if got := states(t, program); len(got) != 1 || got[addr] != "blocked" {
				t.Errorf("blocked are %v", got)
			}

			// Its delete comes when nothing can be lifted.
			if !h.lifts {
				return
			}
			respond(t, program, "add", "-", third, "1.1", "5712")
			free = h.hinder(t, program)
			fails(call("delete", third))
			fails(everything())
			free()
			logged := heals(t, program)
			if got := states(t, program); len(got) != 1 || got[addr] != "blocked" {
				t.Errorf("blocked are %v", got)
			}
			if !strings.Contains(logged, " delete - "+third+" 1.1 5712 - Unblocked IP: "+third+" (lifting it had failed)\n") {
				t.Errorf("maintain logs %q", logged)
			}
		})
	}
}
