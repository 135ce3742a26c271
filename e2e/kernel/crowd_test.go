package kernel

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// blocker is a response as a host may be set up: what blocks, and by which iptables.
type blocker struct {
	name, program string
	variant       string // of iptables; "" for the system's own
	config        string
}

// blockers are all of them: every enforcer, and each way of the firewall.
func blockers() []blocker {
	return []blocker{
		{"iptables-nft", "firewall-drop", "nft", "[firewall]\nbackend = \"iptables\"\n"},
		{"iptables-legacy", "firewall-drop", "legacy", "[firewall]\nbackend = \"iptables\"\n"},
		{"ipset", "firewall-drop", "", "[firewall]\nbackend = \"ipset\"\n"},
		{"nftables", "firewall-drop", "", "[firewall]\nbackend = \"nftables\"\n"},
		{"auto", "firewall-drop", "", "[firewall]\nmax_rules = 20\n"},
		{"route-null", "route-null", "", ""},
		{"host-deny", "host-deny", "", ""},
	}
}

// eachBlocker runs a test with every one of them in namespaces of its own. program is how
// OSSEC's configuration calls it.
func eachBlocker(t *testing.T, run func(t *testing.T, program string)) {
	t.Helper()
	for _, b := range blockers() {
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			run(t, b.set(t))
		})
	}
}

// set makes it ready and returns the program's path.
func (b blocker) set(t *testing.T) string {
	t.Helper()
	bin := buildPrograms(t)
	configure(t, bin, b.config)
	switch {
	case b.variant != "":
		bindTools(t, chooseVariant(t, b.variant))
	case b.name == "ipset", strings.HasPrefix(b.name, "auto"):
		needSets(t)
	case b.name == "nftables":
		needTables(t)
	case b.program == "host-deny":
		ownEtc(t, administrators)
	}
	return filepath.Join(bin, b.program+".sh")
}

// TestThousandAtOnce: a fork bomb of alerts; every response exits 0, and nothing is lost.
func TestThousandAtOnce(t *testing.T) {
	eachBlocker(t, func(t *testing.T, program string) {
		const n = 1000
		storm(t, program, "add", n)
		if got := inForce(t, program); got != n {
			t.Errorf("%d addresses in force, want %d", got, n)
		}
		agrees(t, program)
	})
}

// TestKilledInAStorm: 200 responses are killed at random moments, many at once among
// others that live. Whatever is left over, one more call for each address brings leases
// and host together, and all of them end well.
func TestKilledInAStorm(t *testing.T) {
	eachBlocker(t, func(t *testing.T, program string) {
		const n, most, addresses = 200, 2400, 50
		call := func(i int) *exec.Cmd {
			action := []string{"add", "delete"}[rand.IntN(2)]
			return start(t, program, action, "-", fmt.Sprintf("198.18.0.%d", i%addresses), "1.1", "5712")
		}
		// How long one of such a crowd takes when nobody is killed says when to kill.
		span := crowd(60, call, func(*exec.Cmd) bool { return false })
		var killed, calls atomic.Int32
		crowd(most, call, func(cmd *exec.Cmd) bool {
			calls.Add(1)
			timer := time.AfterFunc(rand.N(span), func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait()
			timer.Stop()
			if cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
				killed.Add(1)
			}
			return killed.Load() >= n
		})
		t.Logf("%d of %d were killed; one takes %s", killed.Load(), calls.Load(), span)
		if killed.Load() < n {
			t.Errorf("only %d were killed, want %d", killed.Load(), n)
		}
		for i := range addresses {
			respond(t, program, "add", "-", fmt.Sprintf("198.18.0.%d", i), "1.2", "5712")
		}
		agrees(t, program)
		if got := inForce(t, program); got != addresses {
			t.Errorf("%d addresses in force, want %d", got, addresses)
		}
		storm(t, program, "delete", addresses)
		agrees(t, program)
		wantNone(t, "in the end", program)
	})
}

// crowd starts up to n calls, a dozen of them at any moment, and waits until all have
// ended. after is called for each right after its start and reports whether it was enough.
// crowd returns how long a call takes, the median.
func crowd(n int, call func(i int) *exec.Cmd, after func(*exec.Cmd) bool) time.Duration {
	var (
		mu     sync.Mutex
		took   []time.Duration
		all    sync.WaitGroup
		enough atomic.Bool
	)
	places := make(chan struct{}, 12)
	for i := 0; i < n && !enough.Load(); i++ {
		places <- struct{}{}
		cmd, began := call(i), time.Now()
		all.Go(func() {
			if after(cmd) {
				enough.Store(true)
			}
			_ = cmd.Wait() // killed or not; after may have waited already
			mu.Lock()
			took = append(took, time.Since(began))
			mu.Unlock()
			<-places
		})
	}
	all.Wait()
	slices.Sort(took)
	return took[len(took)/2]
}

// TestRaceOnOneAddress: a hundred processes add and delete one address for two programs.
// What is in force in the end is what the leases say.
func TestRaceOnOneAddress(t *testing.T) {
	eachBlocker(t, func(t *testing.T, program string) {
		bin, base := filepath.Split(program)
		var commands []*exec.Cmd
		for i := range 100 {
			name := []string{base, "custom-" + base}[i%2]
			action := []string{"add", "delete"}[i/2%2]
			commands = append(commands, start(t, bin+name, action, "-", "203.0.113.7", "1.1", "5712"))
		}
		waitForAll(t, commands, nil)
		agrees(t, program)
		// And it can still be freed and taken for certain.
		for _, name := range []string{base, "custom-" + base} {
			respond(t, bin+name, "delete", "-", "203.0.113.7", "1.1", "5712")
		}
		if got := inForce(t, program); got != 0 {
			t.Error("it is still blocked")
		}
		respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
		if got := inForce(t, program); got != 1 {
			t.Error("it is not blocked")
		}
	})
}
