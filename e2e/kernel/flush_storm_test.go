package kernel

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFlushInAStorm: somebody takes the chain or the jump away while a hundred responses
// are at work. After the next block, whatever is leased is in force again.
func TestFlushInAStorm(t *testing.T) {
	for _, variant := range variants {
		for name, damage := range map[string]string{
			"rules flushed": "iptables -w -F",
			"jump removed":  "iptables -w -D INPUT -j OSSEC_AR",
			"chain removed": "echo '*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT' | iptables-restore -w", // all at once
		} {
			t.Run(variant+"/"+name, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				tools := chooseVariant(t, variant)
				bin := buildPrograms(t)
				bindTools(t, tools)
				program := filepath.Join(bin, "firewall-drop.sh")
				respond(t, program, "add", "-", "203.0.113.1", "1.1", "5712")
				const n = 100
				commands := make([]*exec.Cmd, n)
				for i := range commands {
					commands[i] = start(t, program, "add", "-", fmt.Sprintf("198.18.0.%d", i), "1.1", "5712")
				}
				for i, cmd := range commands {
					if err := cmd.Wait(); err != nil {
						t.Errorf("add of address %d: %v", i, err)
					}
					if i == n/3 || i == 2*n/3 {
						// The storm may have the jump not back yet when it is removed again.
						_ = exec.Command("/bin/sh", "-c", "PATH="+tools+"; "+damage).Run()
					}
				}
				respond(t, program, "add", "-", "203.0.113.2", "1.1", "5712")
				var here Host
				if got := here.Run(t, program, "reconcile"); got != "" {
					t.Errorf("leases and kernel differ:\n%s", got)
				}
				rules := here.Run(t, filepath.Join(tools, "iptables"), "-S")
				if got := strings.Count(rules, "-A OSSEC_AR -s "); got != n+2 {
					t.Errorf("%d rules, want %d", got, n+2)
				}
				if got := strings.Count(rules, "-A INPUT -j OSSEC_AR"); got != 1 {
					t.Errorf("%d jumps from INPUT, want 1", got)
				}
			})
		}
	}
}
