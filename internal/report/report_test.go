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
