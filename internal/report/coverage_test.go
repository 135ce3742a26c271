package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// alertsAt returns alerts of these hours of a day, as text and as JSON.
func alertsAt(day time.Time, hours []int) (text, json string) {
	for _, hour := range hours {
		at := day.Add(time.Duration(hour) * time.Hour)
		address := fmt.Sprintf("203.0.113.%d", hour)
		text += fromAgent(at, "web", address)
		json += asJSON(at, "web", line(at, address))
	}
	return text, json
}

// Whichever is switched off or on, and when: each alert counts once.
func TestFleetTextAndJSON(t *testing.T) {
	all := []int{1, 5, 9, 13, 17, 21}
	for _, test := range []struct {
		name       string
		text, json []int
		want       int
	}{
		{"both", all, all, 6},
		{"the text alone", all, nil, 6},
		{"the JSON alone", nil, all, 6},
		{"the text switched off", all[:3], all, 6},
		{"the text switched on", all[3:], all, 6},
		{"the text on for a while", all[2:4], all, 6},
		{"the JSON on for a while", all, all[2:4], 6},
		{"the JSON instead of the text", all[:3], all[3:], 6},
		{"the text instead of the JSON", all[3:], all[:3], 6},
	} {
		for _, pack := range []string{"", ".gz"} {
			h := newHost(t)
			day := stats.DayStart(h.now, -1)
			written := func(hours []int) time.Time { // when it was last
				if pack != "" || len(hours) == 0 {
					return day.Add(24*time.Hour + time.Minute)
				}
				return day.Add(time.Duration(hours[len(hours)-1]) * time.Hour)
			}
			text, _ := alertsAt(day, test.text)
			_, json := alertsAt(day, test.json)
			h.write("logs/alerts/2026/Nov/ossec-alerts-22.log"+pack, text, written(test.text))
			h.write("logs/alerts/2026/Nov/ossec-alerts-22.json"+pack, json, written(test.json))
			for _, args := range [][]string{{"--alerts", "--yesterday"}, {"--alerts", "--all"}} {
				out := h.must(args...)
				if n := blocksIn(t, out); n != test.want || !strings.Contains(out, fmt.Sprintf("Addresses: %d different\n", test.want)) {
					t.Errorf("%s%s, %q: %d blocks, want %d in\n%s", test.name, pack, args, n, test.want, out)
				}
			}
		}
	}
}

// Where both were on, the text is all that is read.
func TestFleetReadsOneOfBoth(t *testing.T) {
	h := newHost(t)
	day := stats.DayStart(h.now, -1)
	text, json := alertsAt(day, []int{1, 12, 23})
	end := day.Add(23 * time.Hour)
	h.write("logs/alerts/2026/Nov/ossec-alerts-22.log", text, end)
	h.write("logs/alerts/2026/Nov/ossec-alerts-22.json", json, end)
	if out := h.must("--alerts", "--yesterday", "--json"); !strings.Contains(out, "ossec-alerts-22.log") || strings.Contains(out, "ossec-alerts-22.json") {
		t.Errorf("%s", out)
	}
}

// Where the text is switched off, alerts.log stays what it was on its last day, whose dated
// file is packed; beside it alerts.json is written to.
func TestFleetAbandonedText(t *testing.T) {
	h := newHost(t)
	day := stats.DayStart(h.now, -3)
	text, _ := alertsAt(day, []int{1, 2, 3})
	_, json := alertsAt(day, []int{1, 2, 3, 4})
	midnight := day.Add(24 * time.Hour)
	h.write("logs/alerts/alerts.log", text, day.Add(3*time.Hour))
	h.write("logs/alerts/2026/Nov/ossec-alerts-20.log.gz", text, midnight)
	h.write("logs/alerts/2026/Nov/ossec-alerts-20.json.gz", json, midnight)
	today := h.write("logs/alerts/alerts.json", asJSON(h.now, "web", line(h.now, "203.0.113.99")), h.now)
	if err := os.Link(today, filepath.Join(filepath.Dir(today), "2026/Nov/ossec-alerts-23.json")); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]int{"--date=today": 1, "--date=2026-11-20": 4, "--all": 5} {
		if out := h.must("--alerts", flag); blocksIn(t, out) != want {
			t.Errorf("%s: want %d in\n%s", flag, want, out)
		}
	}
}

// A block that only the JSON has is lifted when the text is on.
func TestFleetLengthAcrossSwitch(t *testing.T) {
	h := newHost(t)
	at := stats.DayStart(h.now, 0).Add(8 * time.Hour)
	h.write("logs/alerts/alerts.json", asJSON(at, "web", line(at, "203.0.113.7")), at.Add(10*time.Minute))
	h.write("logs/alerts/alerts.log", strings.Replace(fromAgent(at.Add(time.Hour), "web", "203.0.113.7"), " add - ", " delete - ", 1), at.Add(time.Hour))
	if out := h.must("--alerts"); !strings.Contains(out, "Blocks that ended: 1, lasting 1h in the median") {
		t.Errorf("%s", out)
	}
}

// One address that many hold at once, by programs here or on agents.
func TestManyHoldOneAddress(t *testing.T) {
	h := newHost(t)
	at := h.now.Add(-time.Hour)
	unblock := strings.NewReplacer(" add - ", " delete - ", "Blocked IP", "Unblocked IP")
	var log, alerts [2]string // blocks, unblocks
	for n := range 20 {
		from, until := at.Add(time.Duration(n)*time.Second), at.Add(time.Duration(10+n)*time.Minute)
		program := strings.NewReplacer("/firewall-drop ", fmt.Sprintf("/block-%d ", n))
		log[0] += program.Replace(line(from, "203.0.113.7"))
		log[1] += program.Replace(unblock.Replace(line(until, "203.0.113.7")))
		agent := fmt.Sprintf("agent%d", n)
		alerts[0] += fromAgent(from, agent, "203.0.113.7")
		alerts[1] += unblock.Replace(fromAgent(until, agent, "203.0.113.7"))
	}
	h.write("logs/active-responses.log", log[0]+log[1], h.now)
	h.write("logs/alerts/alerts.log", alerts[0]+alerts[1], h.now)
	for _, source := range []string{"--date=today", "--alerts"} {
		if out := h.must(source); !strings.Contains(out, "Blocks that ended: 20, lasting 18m 51s in the median, 28m 41s at the longest (203.0.113.7)") {
			t.Errorf("%s:\n%s", source, out)
		}
	}
}
