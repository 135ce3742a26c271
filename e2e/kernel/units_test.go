package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

// TestUnitsLeaveEnough: with the capabilities that the systemd units leave them, and no new privileges,
// maintain and prepare do all of their work, with each firewall.
func TestUnitsLeaveEnough(t *testing.T) {
	for _, backend := range []string{"iptables", "ipset", "nftables"} {
		t.Run(backend, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			setpriv, err := exec.LookPath("setpriv")
			if err != nil {
				isolate.Need(t, "setpriv is missing")
			}
			needSets(t)
			bin := buildPrograms(t)
			configure(t, bin, "[firewall]\nbackend = \""+backend+"\"\n")
			confined := func(unit, word string) {
				t.Helper()
				args := []string{"--no-new-privs", "--bounding-set=-all" + capabilities(t, unit), "--inh-caps=-all",
					filepath.Join(home(bin), "bin/ossec-ar"), word}
				if out, err := exec.Command(setpriv, args...).CombinedOutput(); err != nil || len(out) > 0 {
					t.Fatalf("%s: %v\n%s", word, err, out)
				}
			}
			confined("ossec-ar-prepare.service", "prepare")
			program := filepath.Join(bin, "firewall-drop.sh")
			waitForAll(t, startAdds(t, program, "203.0.113.", 3), nil)
			shell(t, "nft flush ruleset; ipset destroy 2>/dev/null; true")
			confined("ossec-ar-maintain.service", "maintain")
			if got := inForce(t, program); got != 3 {
				t.Errorf("%d are in force, want 3", got)
			}
		})
	}
}

// capabilities returns those of a unit in the form of setpriv's.
func capabilities(t *testing.T, unit string) string {
	t.Helper()
	data, err := os.ReadFile("../../contrib/systemd/" + unit)
	if err != nil {
		t.Fatal(err)
	}
	list := ""
	for _, name := range regexp.MustCompile(`\bCAP_\w+`).FindAllString(string(data), -1) {
		list += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	return list
}
