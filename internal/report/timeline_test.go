package report

import (
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// The hours of a day of 25 hours.
func TestRepeatedHour(t *testing.T) {
	h := newHost(t)
	h.now = time.Date(2026, 10, 25, 23, 59, 0, 0, zone(t, "Europe/Berlin"))
	first := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC).In(h.now.Location()) // 02:30 CEST
	h.write("logs/active-responses.log", line(first, "203.0.113.7")+line(first.Add(time.Hour), "203.0.113.7")+line(first.Add(time.Hour), "203.0.113.8"), time.Time{})
	out := h.must("--date", "today")
	for _, want := range []string{"  Sun 02:00 CEST       1 ", "  Sun 02:00 CET       2 ", "  Sun 03:00       0\n", "Oct 25 23:59:00 CET 2026 ==="} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "  Sun "); n != 25 {
		t.Errorf("%d hours", n)
	}
}

// The hours of days on which the clock jumps by half an hour.
func TestHalfHour(t *testing.T) {
	loc := zone(t, "Australia/Lord_Howe")
	for _, test := range []struct {
		day           time.Time
		first, second time.Duration // blocks, from the day's beginning
		hours         int
		want          []string
	}{
		{time.Date(2026, 10, 4, 23, 59, 0, 0, loc), 119 * time.Minute, 121 * time.Minute, 24, // 02:00 becomes 02:30
			[]string{"  Sun 01:00       1 ", "  Sun 02:30       1 ", "  Sun 03:00       0\n"}},
		{time.Date(2026, 4, 5, 23, 59, 0, 0, loc), 119 * time.Minute, 121 * time.Minute, 25, // 02:00 becomes 01:30
			[]string{"  Sun 01:00       1 ", "  Sun 01:30       1 ", "  Sun 02:00       0\n"}},
	} {
		h := newHost(t)
		h.now = test.day
		day := stats.DayStart(h.now, 0)
		h.write("logs/active-responses.log", line(day.Add(test.first), "203.0.113.7")+line(day.Add(test.second), "203.0.113.8"), time.Time{})
		out := h.must("--date", "today")
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if n := strings.Count(out, "  Sun "); n != test.hours {
			t.Errorf("%d hours in\n%s", n, out)
		}
	}
}
