package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const floodConf = `<ossec_config><global>
<email_to>root@localhost</email_to><email_from>ossec@localhost</email_from>
<smtp_server>127.0.0.1</smtp_server><smtp_port>1</smtp_port>
</global></ossec_config>
`

// TestFlood: many alerts about many addresses, each for four responses at once, with less time to
// wait for one holder of a lock than all of them take. None fails or goes on without a lease, and
// nothing is lost. (make bench has 600 and 1,000 addresses.)
func TestFlood(t *testing.T) {
	const addresses = 120
	if !Isolated(t) {
		return
	}
	needSets(t)
	bin := buildPrograms(t)
	ownEtc(t, administrators)
	configure(t, bin, "[lease]\nlock_timeout = \"5s\"\n[firewall]\ntimeout = \"10s\"\n[mail]\nlinger = \"1m\"\n")
	home := filepath.Dir(filepath.Dir(bin))
	must(t, os.WriteFile(filepath.Join(home, "etc/ossec.conf"), []byte(floodConf), 0o644))
	programs := []string{"firewall-drop.sh", "custom-firewall-drop.sh", "host-deny.sh",
		"email-notification.sh"}
	var commands []*exec.Cmd
	for i := range addresses {
		for _, program := range programs {
			addr := fmt.Sprintf("198.18.0.%d", i)
			commands = append(commands, start(t, filepath.Join(bin, program), "add", "-", addr, "1.1",
				"5712"))
		}
	}
	waitForAll(t, commands, nil)
	said, err := os.ReadFile(complaints)
	if err != nil || len(said) > 0 {
		t.Errorf("they said: %v\n%.2000s", err, said)
	}
	log, err := os.ReadFile(filepath.Join(home, "logs/active-responses.log"))
	if lines := strings.Count(string(log), " add - 198.18.0."); err != nil || lines != 3*addresses ||
		strings.Count(string(log), "\n") != lines {
		t.Errorf("%d lines are about an add, want %d and no others: %v\n%.2000s", lines, 3*addresses, err,
			log)
	}
	for _, program := range []string{"firewall-drop", "host-deny"} {
		program = filepath.Join(bin, program)
		if got := inForce(t, program); got != addresses {
			t.Errorf("%s has %d addresses in force, want %d", program, got, addresses)
		}
		agrees(t, program)
	}
	if got := len(all(t, filepath.Join(bin, "firewall-drop"))); got != 2*addresses {
		t.Errorf("firewall-drop has %d leases, want %d", got, 2*addresses)
	}
	if got := queued(t, home); got != addresses {
		t.Errorf("%d notices are queued, want %d", got, addresses)
	}
}

// queued returns how many notices wait.
func queued(t *testing.T, home string) int {
	t.Helper()
	var here Host
	out, err := here.Try(t, exec.Command(filepath.Join(home, "bin/ossec-ar"), "mail", "queue", "--json"))
	var queue struct{ Notifications []struct{ Address string } }
	if err := errors.Join(err, json.Unmarshal([]byte(out), &queue)); err != nil {
		t.Fatalf("the queue: %v\n%.2000s", err, out)
	}
	seen := map[string]bool{}
	for _, notice := range queue.Notifications {
		seen[notice.Address] = true
	}
	return len(seen)
}
