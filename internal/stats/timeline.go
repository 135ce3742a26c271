package stats

import "time"

// The units of a timeline.
const (
	UnitHour  = "hour"
	UnitDay   = "day"
	UnitMonth = "month"
)

// timeline fills the steps, also those in which nothing happened, from the beginning of
// the period to its end or to now.
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
	hours := t.hours.sorted()
	r.Unit = unitFor(until.Sub(from))
	r.Timeline = []Step{}
	if t.first == 0 && p.From.IsZero() {
		return
	}
	for at := floor(from, r.Unit); at.Before(until); at = next(at, r.Unit) {
		r.Timeline = append(r.Timeline, Step{From: at})
	}
	i := 0
	for _, h := range hours {
		begin := time.Unix(h.from, 0).In(loc)
		r.HoursOfDay[begin.Hour()] += h.outcomes[blocked]
		for i+1 < len(r.Timeline) && !begin.Before(r.Timeline[i+1].From) {
			i++
		}
		if i >= len(r.Timeline) {
			continue
		}
		s := &r.Timeline[i]
		s.Blocks += h.outcomes[blocked]
		s.Unblocks += h.outcomes[unblocked]
		s.Whitelisted += h.outcomes[whitelisted]
		s.Failed += h.outcomes[failed]
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

func floor(t time.Time, unit string) time.Time {
	switch unit {
	case UnitHour:
		from, _ := hour(t)
		return time.Unix(from, 0).In(t.Location())
	case UnitDay:
		return DayStart(t, 0)
	}
	return DayStart(t, 1-t.Day())
}

func next(t time.Time, unit string) time.Time {
	switch unit {
	case UnitHour:
		_, until := hour(t)
		return time.Unix(until, 0).In(t.Location())
	case UnitDay:
		return DayStart(t, 1)
	}
	year, month, _ := t.Date()
	return DayStart(time.Date(year, month+1, 1, 12, 0, 0, 0, t.Location()), 0)
}
