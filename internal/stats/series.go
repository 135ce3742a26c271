package stats

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// maxHours bounds how many different hours are counted: 22 years of them.
const maxHours = 200_000

// series counts by hours of the local clock.
type series struct {
	loc   *time.Location
	hours map[int64]*hourCount // by the second at which the hour begins
	// The hour of the last event.
	from, until int64
	at          *hourCount
	beyond      hourCount // events in no hour, beyond maxHours
}

type hourCount struct {
	from int64
	outcomes
}

func newSeries(loc *time.Location) *series {
	return &series{loc: loc, hours: map[int64]*hourCount{}}
}

// count counts what happened at when.
func (s *series) count(when int64, k kind) {
	if when < s.from || when >= s.until {
		s.find(when)
	}
	s.at.outcomes[k]++
}

// lost is how many events are in no hour.
func (s *series) lost() (sum uint64) {
	for _, n := range s.beyond.outcomes {
		sum += n
	}
	return sum
}

// find makes the hour of a time the one at hand.
func (s *series) find(when int64) {
	s.from, s.until = hour(time.Unix(when, 0).In(s.loc))
	s.at = s.hours[s.from]
	if s.at == nil && len(s.hours) < maxHours {
		s.at = &hourCount{from: s.from}
		s.hours[s.from] = s.at
	} else if s.at == nil {
		s.at = &s.beyond
	}
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

// sorted returns the hours in order.
func (s *series) sorted() []*hourCount {
	return slices.SortedFunc(maps.Values(s.hours),
		func(a, b *hourCount) int { return cmp.Compare(a.from, b.from) })
}

// lengths keeps how long blocks lasted, in whole seconds. Up to maxLengths different
// ones are exact; then they are rounded down to three digits.
type lengths struct {
	short   [2 * 3600]uint32  // by seconds: nearly all
	times   map[uint32]uint32 // the others
	count   uint64
	longest uint32
	of      key // the address of the longest
	rounded bool
}

const maxLengths = 20_000

func (l *lengths) add(seconds uint32, addr key) {
	if l.times == nil {
		l.times = map[uint32]uint32{}
	}
	if l.count++; l.count == 1 || seconds > l.longest {
		l.longest, l.of = seconds, addr
	}
	if seconds < uint32(len(l.short)) {
		l.short[seconds]++
		return
	}
	if l.rounded {
		seconds = threeDigits(seconds)
	}
	l.times[seconds]++
	if len(l.times) > maxLengths && !l.rounded {
		l.rounded = true
		coarse := map[uint32]uint32{}
		for s, n := range l.times {
			coarse[threeDigits(s)] += n
		}
		l.times = coarse
	}
}

func threeDigits(n uint32) uint32 {
	scale := uint32(1)
	for n/scale >= 1000 {
		scale *= 10
	}
	return n / scale * scale
}

// median returns the middle one, the lower of two.
func (l *lengths) median() uint32 {
	var passed uint64
	for s, n := range l.short {
		if passed += uint64(n); n > 0 && passed*2 >= l.count {
			return uint32(s)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(l.times)) {
		if passed += uint64(l.times[s]); passed*2 >= l.count {
			return s
		}
	}
	return 0
}
