package stats

import (
	"math"
	"time"
)

// Period is the time that a report is about, half-open. A zero time is no bound.
type Period struct {
	From, Until time.Time
	// Label says it in words that follow "Total blocks ": "today", "on 2026-11-22".
	Label string
}

func (p Period) fromUnix() int64 {
	if p.From.IsZero() {
		return math.MinInt64
	}
	return p.From.Unix()
}

func (p Period) untilUnix() int64 {
	if p.Until.IsZero() {
		return math.MaxInt64
	}
	return p.Until.Unix()
}

// Contains reports whether t lies in the period.
func (p Period) Contains(t time.Time) bool {
	return t.Unix() >= p.fromUnix() && t.Unix() < p.untilUnix()
}

// DayStart returns the first moment of t's day in t's zone, moved by days. At a change of
// summer time that need not be 00:00, nor the only 00:00 of that day.
func DayStart(t time.Time, days int) time.Time {
	year, month, day := t.Date()
	noon := time.Date(year, month, day+days, 12, 0, 0, 0, t.Location())
	same := func(a time.Time) bool { return a.Day() == noon.Day() && a.Month() == noon.Month() }
	const pace = 15 * time.Minute // all changes are multiples of it
	start := noon
	for same(start.Add(-pace)) {
		start = start.Add(-pace)
	}
	return start
}

// Day is the day of t; label says which.
func Day(t time.Time, label string) Period {
	return Period{DayStart(t, 0), DayStart(t, 1), label}
}

// Today is the day of now.
func Today(now time.Time) Period { return Day(now, "today") }
