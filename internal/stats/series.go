package stats

import (
	"maps"
	"slices"
	"time"
)

// maxHours bounds how many different hours are counted: 22 years of them.
const maxHours = 200_000

// series counts by hours of the local clock.
type series struct {
	loc   *time.Location
	hours map[int64]*outcomes // by the second at which the hour begins
	// The hour of the last event.
	from, until int64
	at          *outcomes
	beyond      outcomes // events in no hour, beyond maxHours
}

func newSeries(loc *time.Location) *series {
	return &series{loc: loc, hours: map[int64]*outcomes{}}
}

// count counts what happened at when.
func (s *series) count(when int64, k kind) {
	if when < s.from || when >= s.until {
		s.from, s.until = hour(time.Unix(when, 0).In(s.loc))
		s.at = s.hours[s.from]
		switch {
		case s.at == nil && len(s.hours) < maxHours:
			s.at = &outcomes{}
			s.hours[s.from] = s.at
		case s.at == nil:
			s.at = &s.beyond
		}
	}
	s.at[k]++
}

// hour returns the hour of the local clock that t lies in, in seconds. Where the clock jumps by
// half an hour, as on Lord Howe Island, it ends or begins with the jump.
func hour(t time.Time) (from, until int64) {
	from = t.Unix() - int64(t.Minute()*60+t.Second())
	until = from + 3600
	begin, end := t.ZoneBounds()
	if !begin.IsZero() {
		from = max(from, begin.Unix())
	}
	if !end.IsZero() {
		until = min(until, end.Unix())
	}
	return from, until
}

// lengths keeps how long blocks lasted, in seconds: exactly up to two hours, which nearly all
// last, and rounded down to three digits beyond.
type lengths struct {
	short   [2 * 3600]uint32
	long    map[uint32]uint32
	count   uint64
	longest uint32
	of      key // the address of the longest
}

func (l *lengths) add(seconds uint32, addr key) {
	if l.count++; l.count == 1 || seconds > l.longest {
		l.longest, l.of = seconds, addr
	}
	if seconds < uint32(len(l.short)) {
		l.short[seconds]++
		return
	}
	if l.long == nil {
		l.long = map[uint32]uint32{}
	}
	scale := uint32(1)
	for seconds/scale >= 1000 {
		scale *= 10
	}
	l.long[seconds/scale*scale]++
}

// median returns the middle one, the lower of two.
func (l *lengths) median() uint32 {
	var passed uint64
	for s, n := range l.short {
		if passed += uint64(n); n > 0 && passed*2 >= l.count {
			return uint32(s)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(l.long)) {
		if passed += uint64(l.long[s]); passed*2 >= l.count {
			return s
		}
	}
	return 0
}
