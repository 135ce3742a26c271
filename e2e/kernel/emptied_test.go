package kernel

import (
	"fmt"
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
}

// TestEmptied: the next block puts all that is leased back in force, once the leases are so
// old that no process can be at work on them.
func TestEmptied(t *testing.T) {
	for _, tt := range emptied {
		t.Run(tt.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			const n = 40
			Program(t, strings.Fields(tt.damage)[0])
			bin := buildPrograms(t)
			configure(t, bin, tt.config)
			program := filepath.Join(bin, tt.program)
			add := func(addr string) {
				t.Helper()
				respond(t, program, "add", "-", addr, "1.1", "5712")
			}
			for i := range n {
				add(fmt.Sprintf("198.18.0.%d", i))
				add(fmt.Sprintf("2001:db8::%d", i))
			}
			var here Host
			damage := func() {
				t.Helper()
				here.Run(t, "/bin/sh", "-c", "PATH=/usr/sbin:/sbin:/usr/bin:/bin; "+tt.damage)
				if got := listed(t, program); got != 0 {
					t.Fatalf("after the flush %d are blocked", got)
				}
			}
			age(t, program, time.Minute)
			damage()
			add("203.0.113.1")
			agrees(t, program)
			// IPv6 has leases of its own to tell.
			here.Run(t, program, "unban", "203.0.113.1")
			damage()
			add("2001:db8:1::1")
			agrees(t, program)
			// The log says nothing of it: nothing failed.
			if log := here.Run(t, "sed", "-n", "/ error /p", filepath.Join(bin, "../../logs/active-responses.log")); log != "" {
				t.Errorf("in the log:\n%s", log)
			}
		})
	}
}

// TestEmptiedInAStorm: many find it out at once, and all is back.
func TestEmptiedInAStorm(t *testing.T) {
	for _, tt := range emptied {
		t.Run(tt.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			const n = 60
			Program(t, strings.Fields(tt.damage)[0])
			bin := buildPrograms(t)
			configure(t, bin, tt.config)
			program := filepath.Join(bin, tt.program)
			for i := range n {
				respond(t, program, "add", "-", fmt.Sprintf("198.19.0.%d", i), "1.1", "5712")
			}
			age(t, program, time.Minute)
			var commands []*exec.Cmd
			for i := range n {
				commands = append(commands, start(t, program, "add", "-", fmt.Sprintf("198.18.0.%d", i), "1.1", "5712"))
			}
			for i, cmd := range commands {
				if err := cmd.Wait(); err != nil {
					t.Errorf("add of address %d: %v", i, err)
				}
				if i == n/3 {
					_ = exec.Command("/bin/sh", "-c", "PATH=/usr/sbin:/sbin:/usr/bin:/bin; "+tt.damage).Run() // the address family may have none
				}
			}
			age(t, program, time.Minute)
			respond(t, program, "add", "-", "203.0.113.1", "1.1", "5712")
			agrees(t, program)
		})
	}
}

// age makes all leases of a program older.
func age(t *testing.T, program string, by time.Duration) {
	t.Helper()
	home := filepath.Join(filepath.Dir(program), "../..")
	name := strings.TrimSuffix(filepath.Base(program), ".sh")
	store := lease.New(home+"/var/active-response", name)
	all, err := store.All()
	must(t, err)
	for i := range all {
		all[i].Renewed = all[i].Renewed.Add(-by)
	}
	must(t, store.TakeAll(all))
}
