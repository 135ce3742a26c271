package report

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/stats"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// fromAgent is an alert about a line of an agent's response log.
func fromAgent(at time.Time, agent, address string) string {
	return fmt.Sprintf("** Alert %d.1:  - ossec,active_response,\n%s (%s) 10.0.0.5->/var/ossec/logs/active-responses.log\nRule: 601 (level 3) -> 'Host Blocked by firewall-drop.sh Active Response'\nSrc IP: %s\n%s\n",
		at.Unix(), at.Format("2006 Jan 02 15:04:05"), agent, address, line(at, address))
}

func TestFleet(t *testing.T) {
	h := newHost(t).sample()
	golden(t, "fleet.txt", strings.ReplaceAll(h.must("--alerts"), h.home, "/var/ossec"))
	golden(t, "fleet.json", strings.ReplaceAll(h.must("--alerts", "--json"), h.home, "/var/ossec"))
	golden(t, "fleet.html", strings.ReplaceAll(h.must("--alerts", "--html"), h.home, "/var/ossec"))
	if out := h.must("--alerts", "--agent", "db"); blocksIn(t, out) != 1 || strings.Contains(out, " web (") {
		t.Errorf("%s", out)
	}
	if out := h.must("--alerts", "--rule", "5712"); blocksIn(t, out) != 1 {
		t.Errorf("%s", out)
	}
}

// asJSON is an alert about a line of an agent's response log.
func asJSON(at time.Time, agent, line string) string {
	return fmt.Sprintf(`{"timestamp":"%s","rule":{"level":3,"description":"Host Blocked by firewall-drop Active Response","id":"651"},"agent":{"id":"002","name":%q},"id":"%d.1","full_log":%q,"location":"/var/ossec/logs/active-responses.log"}`+"\n",
		at.Format("2006-01-02T15:04:05.000-0700"), agent, at.Unix(), strings.TrimSuffix(line, "\n"))
}

// An agent's addresses are counted on that agent alone, but one that was blocked anywhere
// before counts as returning.
func TestFleetAgentAddresses(t *testing.T) {
	h := newHost(t)
	yesterday := h.now.Add(-24 * time.Hour)
	h.write("logs/alerts/alerts.log", fromAgent(yesterday, "mail", "203.0.113.1")+fromAgent(h.now.Add(-time.Hour), "db", "203.0.113.1")+fromAgent(h.now, "web", "203.0.113.1"), h.now)
	var r stats.Report
	if err := json.Unmarshal([]byte(h.must("--alerts", "--look-back", "2d", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Agents) != 2 {
		t.Fatalf("%+v", r.Agents)
	}
	want := []stats.AddressCount{{Address: netip.MustParseAddr("203.0.113.1"), Blocks: 1, Rule: "5712", First: h.now, Last: h.now, Returning: true}}
	if web := r.Agents[1]; web.Name != "web" || !slices.Equal(web.TopAddresses, want) {
		t.Errorf("%s: %+v", web.Name, web.TopAddresses)
	}
}

// Dated folders, packed files, today's under two names, and JSON where there is no text.
func TestFleetRotated(t *testing.T) {
	h := newHost(t)
	day := func(n int) time.Time { return stats.DayStart(h.now, n).Add(12 * time.Hour) }
	json := func(at time.Time, address string) string { return asJSON(at, "mail", line(at, address)) }
	h.write("logs/alerts/alerts.log", fromAgent(day(0), "web", "203.0.113.1"), day(0))
	h.write("logs/alerts/alerts.json", json(day(0), "203.0.113.1"), day(0))
	h.write("logs/alerts/2026/Nov/ossec-alerts-22.log.gz", fromAgent(day(-1), "web", "203.0.113.2"), day(-1))
	h.write("logs/alerts/2026/Nov/ossec-alerts-22.json", json(day(-1), "203.0.113.2"), day(-1))
	h.write("logs/alerts/2026/Nov/ossec-alerts-21.json.gz", json(day(-2), "203.0.113.3"), day(-2))
	if err := os.Link(h.home+"/logs/alerts/alerts.log", h.home+"/logs/alerts/2026/Nov/ossec-alerts-23.log"); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(h.home+"/logs/alerts/alerts.json", h.home+"/logs/alerts/2026/Nov/ossec-alerts-23.json"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want int
	}{{[]string{"--alerts"}, 1}, {[]string{"--alerts", "--yesterday"}, 1}, {[]string{"--alerts", "--date", "2026-11-21"}, 1}, {[]string{"--alerts", "--all"}, 3}, {[]string{"--alerts", "--all", "--agent", "mail"}, 1}} {
		if got := blocksIn(t, h.must(test.args...)); got != test.want {
			t.Errorf("%q: %d blocks, want %d", test.args, got, test.want)
		}
	}
	if out := h.must("--alerts", "--look-back", "2d"); !strings.Contains(out, "1 different, 1 new, 0 returning") {
		t.Errorf("%s", out)
	}
	if out := h.must("--alerts", "--week"); strings.Contains(out, "returning") {
		t.Errorf("looked back unasked:\n%s", out)
	}
}

// Below the log line stand what Wazuh decoded from it, in which any text can be, and the
// events that a composite rule counted, which raised alerts of their own.
func TestFleetCountsTheLogLine(t *testing.T) {
	h := newHost(t)
	alert := strings.TrimSuffix(fromAgent(h.now, "web", "203.0.113.1"), "\n")
	wazuh := strings.Replace(alert, "Rule: ", "environment: production\nRule: ", 1) +
		"version: 1\norigin.name: node01\nparameters.alert.previous_output: a\n" + line(h.now, "198.51.100.1") + "\n"
	composite := strings.Replace(alert, "Rule: 601", "Rule: 100601", 1) + line(h.now, "203.0.113.1") + "\n"
	for name, text := range map[string]string{"fields": wazuh, "composite": composite} {
		h.write("logs/alerts/alerts.log", text, h.now)
		if out := h.must("--alerts"); blocksIn(t, out) != 1 || strings.Contains(out, "could not be read") || strings.Contains(out, "198.51") {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}

// Wazuh's rules take email-notification's lines for responses.
func TestFleetPassesOverMails(t *testing.T) {
	h := newHost(t)
	block := fromAgent(h.now, "web", "203.0.113.1")
	mail := strings.NewReplacer("active-responses.log", "notifications.log", "Rule: 601", "Rule: 607", "/firewall-drop ", "/email-notification.sh ").Replace(block)
	h.write("logs/alerts/alerts.log", block+mail, h.now)
	if out := h.must("--alerts"); blocksIn(t, out) != 1 || strings.Contains(out, "email-notification") {
		t.Errorf("%s", out)
	}
}

func TestFleetWithoutAlerts(t *testing.T) {
	h := newHost(t)
	status, _, stderr := h.run("--alerts")
	if status != 1 || !strings.Contains(stderr, "looking for the alerts: ") {
		t.Errorf("status %d, %q", status, stderr)
	}
}

func TestInForce(t *testing.T) {
	h := newHost(t).sample()
	state := filepath.Join(h.home, "var/active-response")
	for response, programs := range map[string][]string{"firewall-drop": {"firewall-drop.sh", "custom-firewall-drop.sh"}, "host-deny": {"host-deny.sh"}} {
		var leases []lease.Lease
		for _, program := range programs {
			leases = append(leases, lease.Lease{Program: program, RuleID: "5712", Target: target.MustParse("203.0.113.7"), Since: h.now.Add(-time.Hour)})
		}
		// Given back, though lifting it failed: nobody holds it.
		leases = append(leases, lease.Lease{Program: programs[0], Target: target.MustParse("203.0.113.8"), Since: h.now, State: lease.Lifting})
		err := lease.New(state, response).Update(func(tx *lease.Tx) error {
			for _, l := range leases {
				if err := tx.Put(l); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out := h.must("--date", "today")
	if want := "In force now: 1 address\n      1 custom-firewall-drop.sh\n      1 firewall-drop.sh\n      1 host-deny.sh\n"; !strings.Contains(out, want) {
		t.Errorf("want %q in\n%s", want, out)
	}
	if out := h.must("--date", "today", "--response", "host-deny"); !strings.Contains(out, "In force now: 1 address\n      1 host-deny.sh\n") {
		t.Errorf("%s", out)
	}
	if out := h.must("--yesterday"); strings.Contains(out, "In force") {
		t.Errorf("yesterday is not now:\n%s", out)
	}
	golden(t, "inforce.json", strings.ReplaceAll(h.must("--json", "--top", "1"), h.home, "/var/ossec"))
}
