package stats

import (
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// A day begins with its first moment, whatever the clock does at midnight.
func TestDayStart(t *testing.T) {
	for _, test := range []struct{ zone, at, start, next string }{
		{"UTC", "2026-11-23T12:00:00Z", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},     // 23 hours
		{"Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},     // 25 hours
		{"America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}, // no 00:00
		{"America/Havana", "2024-11-03T12:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"},    // 00:00 twice
		{"America/Havana", "2024-11-03T05:30:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"},    // the second 00:30
		{"Australia/Lord_Howe", "2026-04-05T12:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"},
		{"Pacific/Apia", "2011-12-31T12:00:00Z", "2011-12-31T10:00:00Z", "2012-01-01T10:00:00Z"}, // after a day left out
		{"Asia/Kathmandu", "2026-11-23T12:00:00Z", "2026-11-22T18:15:00Z", "2026-11-23T18:15:00Z"},
	} {
		at, _ := time.Parse(time.RFC3339, test.at)
		p := Day(at.In(zone(t, test.zone)), "")
		if from, until := p.From.UTC().Format(time.RFC3339), p.Until.UTC().Format(time.RFC3339); from != test.start || until != test.next {
			t.Errorf("%s %s: %s to %s, want %s to %s", test.zone, test.at, from, until, test.start, test.next)
		}
	}
}
