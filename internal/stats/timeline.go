package stats

import (
	"maps"
	"slices"
	"time"
)

// The units of a timeline.
const (
	UnitHour  = "hour"
	UnitDay   = "day"
	UnitMonth = "month"
)

// timeline fills the steps, also those in which nothing happened, from the beginning of
// the period to its end or to now; of all times, from the first event to the last.
func (r *Report) timeline(t *tally, p Period, loc *time.Location) {
	from, until := p.From.In(loc), p.Until.In(loc)
	if p.From.IsZero() {
		from = time.Unix(t.first, 0).In(loc)
	}
	end := r.Generated.Add(time.Second)
	if p.Until.IsZero() || t.last >= end.Unix() { // a clock that ran ahead
		end = time.Unix(max(t.last, end.Unix())+1, 0).In(loc)
	}
	if p.Until.IsZero() || until.After(end) && !r.Generated.Before(p.From) {
		until = end
	}
	if p.From.IsZero() && p.Until.IsZero() {
		until = time.Unix(t.last+1, 0).In(loc)
	}
	r.Unit = unitFor(until.Sub(from))
	r.Timeline = []Step{}
	if t.first == 0 && p.From.IsZero() {
		return
	}
	for at := begin(from, r.Unit, 0); at.Before(until); at = begin(at, r.Unit, 1) {
		r.Timeline = append(r.Timeline, Step{From: at})
	}
	i := 0
	for _, second := range slices.Sorted(maps.Keys(t.hours.hours)) {
		at, h := time.Unix(second, 0).In(loc), t.hours.hours[second]
		r.HoursOfDay[at.Hour()] += h[blocked]
		for i+1 < len(r.Timeline) && !at.Before(r.Timeline[i+1].From) {
			i++
		}
		if i >= len(r.Timeline) {
			continue
		}
		s := &r.Timeline[i]
		s.Blocks += h[blocked]
		s.Unblocks += h[unblocked]
		s.Whitelisted += h[whitelisted]
		s.Failed += h[failed]
	}
}

// unitFor keeps a timeline below about 400 steps, up to 33 years.
func unitFor(length time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case length <= 2*day+2*time.Hour:
		return UnitHour
	case length <= 400*day:
		return UnitDay
	}
	return UnitMonth
}

// begin returns when the unit that t lies in begins, or with n = 1 the one after it.
func begin(t time.Time, unit string, n int) time.Time {
	switch unit {
	case UnitHour:
		from, until := hour(t)
		return time.Unix([]int64{from, until}[n], 0).In(t.Location())
	case UnitDay:
		return DayStart(t, n)
	}
	year, month, _ := t.Date()
	return DayStart(time.Date(year, month+time.Month(n), 1, 12, 0, 0, 0, t.Location()), 0)
}
