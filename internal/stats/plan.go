package stats

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// want is what a query reads.
type want struct {
	from, until int64 // the period, in seconds
	// lookBack is from when on what lies before the period is read too, if that is no
	// more than lookBytes.
	lookBack  int64
	lookBytes int64
	// thorough reads every log whole: the times in them may be wrong.
	thorough bool
}

// span is the part of a file that is read: [from, to) in bytes, all of a packed one.
type span struct {
	file     logFile
	from, to int64
	// period is where the period can begin; what lies before is looked back at.
	period int64
}

// minus subtracts without leaving the range of time.
func minus(t, seconds int64) int64 {
	if t == math.MinInt64 || t == math.MaxInt64 {
		return t
	}
	return t - seconds
}

// choose chooses what to read of the files. timeOf reads the time of a line. Files that cannot
// be read stay: reading them fails with the reason.
func (w want) choose(files []logFile, timeOf func(string) (time.Time, bool), b bounds) (chosen []logFile) {
	for _, f := range files {
		if !w.thorough && f.mod.Unix() < minus(w.lookBack, slack) {
			continue
		}
		if !b.over() { // else reading it says so
			f.readFirst(timeOf)
		}
		if w.thorough || f.first < minus(w.until, -slack) {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// plan chooses what to read of the response logs, in order of time.
func (w want) plan(files []logFile, p *arlog.Parser, b bounds) []span {
	files = w.choose(files, p.Time, b)
	slices.SortStableFunc(files, func(a, b logFile) int { return cmp.Compare(a.begin(), b.begin()) })
	spans := make([]span, len(files))
	for i, f := range files {
		spans[i] = w.span(f, p)
	}
	return w.withinBudget(spans)
}

// span finds the part of one file that the period and the look back need.
func (w want) span(f logFile, p *arlog.Parser) span {
	s := span{file: f, to: f.size}
	if f.gz {
		s.to *= 10 // about: no more than the bound of the look back depends on it
	}
	if w.thorough {
		return s
	}
	if f.gz || f.size < bisectFrom {
		if f.mod.Unix() < minus(w.from, slack) {
			s.period = s.to
		}
		return s
	}
	log, _, err := state.OpenFile(f.path)
	if err != nil {
		return s
	}
	defer log.Close() // only read from
	at := func(when int64) (low, high int64) {
		if when == math.MinInt64 || when == math.MaxInt64 {
			return 0, f.size
		}
		return bisect(log, f.size, when, p.Time)
	}
	s.from, _ = at(minus(w.lookBack, slack))
	s.period, _ = at(minus(w.from, slack))
	_, s.to = at(minus(w.until, -slack))
	return s
}

// withinBudget shortens the look back, the oldest first.
func (w want) withinBudget(spans []span) []span {
	left := w.lookBytes
	for i := len(spans) - 1; i >= 0; i-- {
		s := &spans[i]
		if back := s.period - s.from; back <= left {
			left -= back
			continue
		}
		// What is older than this has no room. It may begin within a line: then that one is garbage
		// before the period, which is not counted.
		s.from = s.period
		if !s.file.gz {
			s.from -= left
		}
		left = 0
	}
	return slices.DeleteFunc(spans, func(s span) bool { return s.from >= s.to })
}
