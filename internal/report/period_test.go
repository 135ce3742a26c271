package report

import (
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 4, 5, 0, zone(t, "Europe/Berlin"))
	for _, test := range []struct {
		name               string
		bounds             bounds
		from, until, label string
	}{
		{"none", bounds{}, "2026-11-23 00:00", "2026-11-24 00:00", "today"},
		{"--yesterday", bounds{yesterday: true}, "2026-11-22 00:00", "2026-11-23 00:00", "yesterday"},
		{"--week", bounds{week: true}, "2026-11-17 00:00", "2026-11-24 00:00", "from 2026-11-17 to 2026-11-23"},
		{"--month", bounds{month: true}, "2026-10-25 00:00", "2026-11-24 00:00", "from 2026-10-25 to 2026-11-23"},
		{"--all", bounds{all: true}, "", "", "in all logs"},
		{"--date", bounds{date: "2026-10-25"}, "2026-10-25 00:00", "2026-10-26 00:00", "on 2026-10-25"},
		{"--date yesterday", bounds{date: "yesterday"}, "2026-11-22 00:00", "2026-11-23 00:00", "yesterday"},
		{"days", bounds{since: "2026-11-01", until: "2026-11-07"}, "2026-11-01 00:00", "2026-11-08 00:00", "from 2026-11-01 to 2026-11-07"},
		{"--since 36h", bounds{since: "36h"}, "2026-11-22 03:04", "", "from 2026-11-22 03:04:05"},
		{"--since 7d", bounds{since: "7d", until: "now"}, "2026-11-16 15:04", "2026-11-23 15:04", "from 2026-11-16 15:04:05 to 2026-11-23 15:04:05"},
		{"moments", bounds{since: "2026-11-01 08:30", until: "2026-11-01T10:00:30"}, "2026-11-01 08:30", "2026-11-01 10:00", "from 2026-11-01 08:30:00 to 2026-11-01 10:00:30"},
		{"a zone of its own", bounds{since: "2026-11-01T08:30:00Z"}, "2026-11-01 09:30", "", "from 2026-11-01 09:30:00"},
		{"--until", bounds{until: "2026-11-01"}, "", "2026-11-02 00:00", "to 2026-11-01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.bounds.period(now)
			if err != nil {
				t.Fatal(err)
			}
			show := func(at time.Time) string {
				if at.IsZero() {
					return ""
				}
				return at.Format("2006-01-02 15:04")
			}
			if show(p.From) != test.from || show(p.Until) != test.until || p.Label != test.label {
				t.Errorf("from %q until %q, %q", show(p.From), show(p.Until), p.Label)
			}
		})
	}
	for name, b := range map[string]bounds{
		"two periods": {week: true, month: true}, "backwards": {since: "2026-11-07", until: "2026-11-01"},
		"no day": {date: "36h"}, "nonsense": {since: "last tuesday"}, "a day that is none": {date: "2026-02-30"},
	} {
		if p, err := b.period(now); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}
