package stats

import (
	"bytes"
	"io"
	"math"

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

// plan chooses what to read of the files, in order of time. Files that cannot be read
// stay in the plan: reading them fails with the reason.
func (w want) plan(files []logFile, p *arlog.Parser) []span {
	var chosen []logFile
	for _, f := range files {
		if !w.thorough && f.mod.Unix() < minus(w.lookBack, slack) {
			continue
		}
		_ = f.readFirst(p.Time) // a fault shows when it is read
		if w.thorough || f.first < minus(w.until, -slack) {
			chosen = append(chosen, f)
		}
	}
	inOrder(chosen)
	spans := make([]span, len(chosen))
	for i, f := range chosen {
		spans[i] = w.span(f, p)
	}
	return w.withinBudget(spans, p)
}

// span finds the part of one file that the period and the look back need.
func (w want) span(f logFile, p *arlog.Parser) span {
	s := span{file: f, to: f.unpackedSize()}
	if w.thorough {
		return s
	}
	if f.gz || f.size < bisectFrom {
		if f.mod.Unix() < minus(w.from, slack) {
			s.period = s.to
		}
		return s
	}
	log, err := openPlain(f.path)
	if err != nil {
		return s
	}
	defer log.Close() // only read from
	at := func(when int64) (low, high int64) {
		if when == math.MinInt64 || when == math.MaxInt64 {
			return 0, f.size
		}
		low, high, err := bisect(log, f.size, when, p)
		if err != nil {
			return 0, f.size
		}
		return low, high
	}
	s.from, _ = at(minus(w.lookBack, slack))
	s.period = s.from
	if w.lookBack < w.from {
		s.period, _ = at(minus(w.from, slack))
	}
	_, s.to = at(minus(w.until, -slack))
	return s
}

// withinBudget shortens the look back, the oldest first.
func (w want) withinBudget(spans []span, p *arlog.Parser) []span {
	if w.thorough {
		return spans
	}
	left := w.lookBytes
	for i := len(spans) - 1; i >= 0; i-- {
		s := &spans[i]
		back := s.period - s.from
		if back <= left {
			left -= back
			continue
		}
		// What is older than this has no room.
		if s.file.gz || left == 0 {
			s.from = s.period
		} else {
			s.from = nextLine(s.file.path, s.period-left, s.period)
		}
		left = 0
	}
	var needed []span
	for _, s := range spans {
		if s.from < s.to {
			needed = append(needed, s)
		}
	}
	return needed
}

// nextLine returns where the first line begins in [from, until), or until.
func nextLine(path string, from, until int64) int64 {
	file, err := openPlain(path)
	if err != nil {
		return until
	}
	defer file.Close() // only read from
	buf := make([]byte, min(64<<10, until-from))
	n, _ := io.ReadFull(io.NewSectionReader(file, from, until-from), buf) // what there is
	if end := bytes.IndexByte(buf[:n], '\n'); end >= 0 {
		return from + int64(end) + 1
	}
	return until
}
