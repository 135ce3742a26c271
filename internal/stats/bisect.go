package stats

import (
	"bytes"
	"errors"
	"io"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// slack is by how many seconds a line may be older than one before it for a period
// still to be found whole: the repeated hour when summer time ends, and as much again
// for a clock that was set back. Lines of a clock that went back further may be missed
// in a log that is large enough to be bisected; the report says so where it sees it.
const slack = 2 * 3600

const (
	// bisectFrom is the size from which on a log is bisected, in bytes: a smaller one is
	// read whole within a few milliseconds.
	bisectFrom = 1 << 20
	// closeEnough ends a bisection, in bytes.
	closeEnough = 64 << 10
	// probeSize is how much a probe reads at first, and maxProbe at most, in bytes.
	probeSize = 4 << 10
	maxProbe  = 4 << 20
)

// bisect returns beginnings of lines in a log of size bytes that is ordered by time:
// all lines before low are older than when (in seconds), all lines from high on are not.
func bisect(log io.ReaderAt, size, when int64, p *arlog.Parser) (low, high int64, err error) {
	high = size
	// The line begins in [low, high), and in [a, b) if probing can find it.
	for a, b := low, high; b-a > closeEnough; {
		middle := a + (b-a)/2
		start, t, ok, err := probe(log, middle, b, p)
		switch {
		case err != nil:
			return 0, 0, err
		case !ok:
			b = middle
		case t >= when:
			high, b = start, middle
		default:
			low, a = start, start
		}
	}
	return low, high, nil
}

// probe returns where the first line with a time begins in (from, until), and its time.
func probe(log io.ReaderAt, from, until int64, p *arlog.Parser) (start, when int64, ok bool, err error) {
	for size := int64(probeSize); ; size *= 4 {
		buf := make([]byte, min(size, until-from))
		n, err := log.ReadAt(buf, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, false, err
		}
		at := 0
		for {
			end := bytes.IndexByte(buf[at:n], '\n')
			if end < 0 {
				break
			}
			if at > 0 { // the first piece is the end of some line
				if t, ok := p.Time(buf[at : at+end]); ok {
					return from + int64(at), t, true, nil
				}
			}
			at += end + 1
		}
		if size >= maxProbe || int64(n) < size {
			return 0, 0, false, nil
		}
	}
}
