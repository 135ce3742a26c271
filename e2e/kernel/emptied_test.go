package kernel

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// emptied is how somebody takes the blocks away and leaves what they live in.
var emptied = []struct{ name, program, config, damage string }{
	{"ipset", "firewall-drop.sh", "[firewall]\nbackend = \"ipset\"\n", "ipset flush"},
	{"auto", "firewall-drop.sh", "[firewall]\nmax_rules = 20\n", "ipset flush"},
	{"nftables", "firewall-drop.sh", "[firewall]\nbackend = \"nftables\"\n", "nft flush set inet ossec_ar blocked4; nft flush set inet ossec_ar blocked6"},
	{"route-null", "route-null", "", "ip route flush proto 214; ip -6 route flush proto 214"},
	{"host-deny", "host-deny", "[host_deny]\nfile = \"/run/hosts.deny\"\n", "rm /run/hosts.deny"},
}

// eachEmptied calls do for each of them, in a host of its own.
func eachEmptied(t *testing.T, do func(t *testing.T, program, damage string)) {
	for _, tt := range emptied {
		t.Run(tt.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			Program(t, strings.Fields(tt.damage)[0])
			bin := buildPrograms(t)
			configure(t, bin, tt.config)
			do(t, filepath.Join(bin, tt.program), "PATH=/usr/sbin:/sbin:/usr/bin:/bin; "+tt.damage)
		})
	}
}

// TestEmptied: the next block puts all that is leased back in force, once the leases are so
// old that no process can be at work on them.
func TestEmptied(t *testing.T) {
	eachEmptied(t, func(t *testing.T, program, damage string) {
		const n = 40
		var here Host
		for i := range n {
			respond(t, program, "add", "-", fmt.Sprintf("198.18.0.%d", i), "1.1", "5712")
			respond(t, program, "add", "-", fmt.Sprintf("2001:db8::%d", i), "1.1", "5712")
		}
		age(t, leases(program), time.Minute)
		for _, next := range []string{"203.0.113.1", "2001:db8:1::1"} { // each family has leases of its own to tell
			here.Run(t, "/bin/sh", "-c", damage)
			if got := listed(t, program); got != 0 {
				t.Fatalf("after the flush %d are blocked", got)
			}
			respond(t, program, "add", "-", next, "1.1", "5712")
			agrees(t, program)
			here.Run(t, program, "unban", next)
		}
		// Nothing failed.
		if log := here.Run(t, "sed", "-n", "/ error /p", filepath.Join(filepath.Dir(program), "../../logs/active-responses.log")); log != "" {
			t.Errorf("in the log:\n%s", log)
		}
	})
}

// TestEmptiedInAStorm: many find it out at once, and all is back.
func TestEmptiedInAStorm(t *testing.T) {
	eachEmptied(t, func(t *testing.T, program, damage string) {
		const n = 60
		for i := range n {
			respond(t, program, "add", "-", fmt.Sprintf("198.19.0.%d", i), "1.1", "5712")
		}
		store := leases(program)
		age(t, store, time.Minute)
		waitForAll(t, startAdds(t, program, "198.18.0.", n), func(i int) {
			if i == n/3 {
				_ = exec.Command("/bin/sh", "-c", damage).Run() // there is nothing of IPv6
			}
		})
		age(t, store, time.Minute)
		respond(t, program, "add", "-", "203.0.113.1", "1.1", "5712")
		agrees(t, program)
	})
}

// leases is the store of a program's leases.
func leases(program string) *lease.Store {
	home := filepath.Join(filepath.Dir(program), "../..")
	return lease.New(home+"/var/active-response", strings.TrimSuffix(filepath.Base(program), ".sh"))
}

// age makes all leases older.
func age(t *testing.T, store *lease.Store, by time.Duration) {
	t.Helper()
	all, err := store.All()
	must(t, err)
	for i := range all {
		all[i].Renewed = all[i].Renewed.Add(-by)
	}
	must(t, store.TakeAll(all))
}

// TestFirstBlockOfAStorm: the process that makes the chain finds the leases of others that
// have not come to block yet. They are at it; a lease that is older is from before a reboot.
func TestFirstBlockOfAStorm(t *testing.T) {
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "firewall-drop")
	store := lease.New(filepath.Join(filepath.Dir(program), "../../var/active-response"), "firewall-drop")
	now := time.Now()
	young := lease.Lease{Addr: netip.MustParseAddr("203.0.113.1"), Program: "firewall-drop.sh", Since: now, Renewed: now}
	old := lease.Lease{Addr: netip.MustParseAddr("203.0.113.2"), Program: "firewall-drop.sh", Since: now, Renewed: now.Add(-time.Hour)}
	must(t, store.TakeAll([]lease.Lease{young, old}))
	respond(t, program, "add", "-", "203.0.113.3", "1.1", "5712")
	var here Host
	list := here.Run(t, program, "list")
	for addr, want := range map[string]string{"203.0.113.1": "missing", "203.0.113.2": "blocked", "203.0.113.3": "blocked"} {
		if !strings.Contains(list, addr+"  "+want+" ") {
			t.Errorf("%s is not %s:\n%s", addr, want, list)
		}
	}
}
