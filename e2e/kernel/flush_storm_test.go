package kernel

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFlushInAStorm: somebody takes the rules, the chain or the jump away while a hundred
// responses are at work. After the next block, whatever is leased is in force again.
func TestFlushInAStorm(t *testing.T) {
	const policies = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT"
	for _, variant := range variants {
		for _, v6 := range []bool{false, true} {
			for name, damage := range map[string]string{
				"all flushed":       "IPTABLES -w -F",
				"all flushed, -X":   "IPTABLES -w -F; IPTABLES -w -X",
				"our chain flushed": "IPTABLES -w -F OSSEC_AR",
				"jump removed":      "IPTABLES -w -D INPUT -j OSSEC_AR",
				"chain removed":     "echo '" + policies + "' | IPTABLES-restore -w", // all at once
			} {
				program := "iptables"
				if v6 && name != "our chain flushed" {
					continue // what is looked at for the others is the same code in the same place
				}
				if v6 {
					program = "ip6tables"
				}
				t.Run(variant+"/"+program+"/"+name, func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					flushInAStorm(t, variant, program, strings.ReplaceAll(damage, "IPTABLES", program))
				})
			}
		}
	}
}

func flushInAStorm(t *testing.T, variant, iptables, damage string) {
	const n = 100
	net, last := "198.18.0.", "203.0.113.2"
	if iptables == "ip6tables" {
		net, last = "2001:db8::", "2001:db8:1::2"
	}
	tools := chooseVariant(t, variant)
	bin := buildPrograms(t)
	bindTools(t, tools)
	program := filepath.Join(bin, "firewall-drop.sh")
	respond(t, program, "add", "-", net+"200", "1.1", "5712")
	waitForAll(t, startAdds(t, program, net, n), func(i int) {
		if i == n/3 || i == 2*n/3 {
			// The storm may have the jump not back yet when it is removed again.
			_ = exec.Command("/bin/sh", "-c", "PATH="+tools+"; "+damage).Run()
		}
	})
	respond(t, program, "add", "-", last, "1.1", "5712")
	agrees(t, program)
	var here Host
	rules := here.Run(t, filepath.Join(tools, iptables), "-S")
	if got := strings.Count(rules, "-A OSSEC_AR -s "); got != n+2 {
		t.Errorf("%d rules, want %d", got, n+2)
	}
	if got := strings.Count(rules, "-A INPUT -j OSSEC_AR"); got != 1 {
		t.Errorf("%d jumps from INPUT, want 1", got)
	}
	// And in peace, right before the next block.
	here.Run(t, "/bin/sh", "-c", "PATH="+tools+"; "+damage)
	respond(t, program, "add", "-", strings.TrimSuffix(last, "2")+"3", "1.1", "5712")
	agrees(t, program)
}
