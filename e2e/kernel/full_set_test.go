package kernel

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var full = regexp.MustCompile(`: the set of blocked addresses is full: firewall\.max_addresses (is|was) 3\b`)

// TestFullSetMakesRoom: where no further address fits, the oldest that a dead daemon asked
// for goes; where there is none, the error says what is full.
func TestFullSetMakesRoom(t *testing.T) {
	for _, backend := range []string{"ipset", "nftables"} {
		t.Run(backend, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			bin := buildPrograms(t)
			configure(t, bin, "[firewall]\nbackend = \""+backend+"\"\nmax_addresses = 3\n")
			program := filepath.Join(bin, "firewall-drop.sh")
			// A shell under the daemon's name calls twice and is gone.
			daemon := daemonOf(t, program, "ossec-execd")
			calls := "#\n" + program + " add - 198.18.0.1 1.1 5712; " + program + " add - 198.18.0.2 1.2 5712; true"
			if out, err := exec.Command(daemon, "-c", calls).CombinedOutput(); err != nil || len(out) > 0 {
				t.Fatalf("the daemon's calls: %v %s", err, out)
			}
			respond(t, program, "add", "-", "203.0.113.1", "1.3", "5712")
			respond(t, program, "add", "-", "203.0.113.2", "1.4", "5712")
			var here Host
			if got := states(t, program); len(got) != 3 || got["198.18.0.2"] != "blocked" || got["203.0.113.2"] != "blocked" {
				t.Errorf("not the oldest orphan made room: %q", got)
			}
			respond(t, program, "add", "-", "203.0.113.3", "1.5", "5712")
			out, err := here.Try(t, exec.Command(program, "add", "-", "203.0.113.4", "1.6", "5712"))
			if err == nil || !full.MatchString(out) {
				t.Errorf("with nobody to go: %v %q", err, out)
			}
			// The one that found no room waits, and takes the first that there is.
			if got := states(t, program)["203.0.113.4"]; !strings.HasPrefix(got, "waiting: ") {
				t.Errorf("its state is %q", got)
			}
			respond(t, program, "delete", "-", "203.0.113.1", "1.3", "5712")
			heals(t, program)
			if got := states(t, program)["203.0.113.4"]; got != "blocked" {
				t.Errorf("with room its state is %q", got)
			}
		})
	}
}
