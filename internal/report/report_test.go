package report

import (
	"strings"
	"testing"
)

// The head of the report is what people's scripts read: the tutorial's.
func TestReportOfTheDay(t *testing.T) {
	h := newHost(t).sample()
	if out := h.must(); out != "" {
		t.Errorf("printed %q though not on a terminal", out)
	}
	report := h.read("logs/response-stats.log")
	const head = `=== Active Response Statistics - Mon Nov 23 23:59:00 UTC 2026 ===
Total blocks today: 8
Total unblocks today: 1
Most blocked IPs today:
      4 203.0.113.7
      3 203.0.113.9
      1 2001:db8::7

`
	if !strings.HasPrefix(report, head) {
		t.Errorf("got\n%s\nwant\n%s", report, head)
	}
	if !strings.HasSuffix(report, "\n\n") || strings.HasSuffix(report, "\n\n\n") {
		t.Errorf("does not end in one empty line: %q", report[len(report)-20:])
	}
	golden(t, "today.txt", report)
}

func TestLength(t *testing.T) {
	for seconds, want := range map[uint32]string{0: "0s", 93784: "1d 2h 3m 4s", 3600: "1h"} {
		if got := length(seconds); got != want {
			t.Errorf("%d is %s, want %s", seconds, got, want)
		}
	}
}

// A warning is no failure, in either dialect.
func TestWarnings(t *testing.T) {
	h := newHost(t)
	h.write("logs/active-responses.log", strings.NewReplacer(" add - ", " warn - ", "Blocked IP: 203.0.113.7 (Rule: 5712)", "Warning: reading the whitelist").Replace(line(h.now, "203.0.113.7"))+
		"2026/11/23 10:00:00 active-response/bin/host-deny: Warning: reading the whitelist\n", h.now)
	out := h.must("--date", "today")
	for _, want := range []string{"Warnings: 2\n", "      0 firewall-drop (1 warned)\n", "      0 host-deny (1 warned)\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "Failed") || blocksIn(t, out) != 0 {
		t.Errorf("%s", out)
	}
	if out := h.must("--metrics"); !strings.Contains(out, `ossec_ar_warnings{response="host-deny"} 1`) || strings.Contains(out, `ossec_ar_failed{response="host-deny"} 1`) {
		t.Errorf("%s", out)
	}
}
