package stats

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// Query is a question about the response log.
type Query struct {
	Log    string // path of the log that is written to; its rotated ones are found beside it
	Period Period
	Filter Filter
	// LookBack is how far before the period is read, to tell new addresses from those that
	// come back, and since when those are blocked that are freed in it. Negative is
	// DefaultLookBack, which also ends after defaultLookBytes.
	LookBack time.Duration
	// Thorough reads every log whole, whatever the times in it.
	Thorough bool
	Location *time.Location // whose days and hours count
	// AddressFields are where Wazuh's requests have the address: see arlog.Parser.
	AddressFields []string
	// Progress, when set, is told now and then how many bytes of how many are read.
	Progress func(done, all int64)
	// upTo bounds what is read of files, in bytes.
	upTo map[fileID]int64
}

// DefaultLookBack is far enough to know most who come back, and defaultLookBytes is read
// within a few milliseconds.
const (
	DefaultLookBack  = 30 * 24 * time.Hour
	defaultLookBytes = 2 << 20
)

// collected is what was found.
type collected struct {
	tally *tally
	files []string // that were read
	notes []string // what a reader of the report should know
	// failures are what could not be counted though it is there.
	failures []error
	// lookedTo is how far before the period was read, in seconds; 0 is not at all.
	lookedTo int64
}

func (q *Query) want() want {
	w := want{from: q.Period.fromUnix(), until: q.Period.untilUnix(), thorough: q.Thorough, lookBytes: math.MaxInt64}
	back := q.LookBack
	if back < 0 {
		back, w.lookBytes = DefaultLookBack, defaultLookBytes
	}
	w.lookBack = minus(w.from, int64(back/time.Second))
	return w
}

// collect reads the logs. It always returns what could be counted.
func (q *Query) collect() *collected { return q.collectInto(newTally(q.Period, q.Location)) }

func (q *Query) collectInto(t *tally) *collected {
	c := &collected{tally: t}
	files, notes, err := responseLogs(q.Log).list()
	c.notes = notes
	switch {
	case errors.Is(err, os.ErrNotExist) && len(files) == 0:
		c.notes = append(c.notes, q.Log+" does not exist: no response has written to it yet")
	case err != nil && !errors.Is(err, os.ErrNotExist):
		c.failures = append(c.failures, fmt.Errorf("looking for the log: %w", err))
	}
	for i, f := range files {
		if most, ok := q.upTo[f.id]; ok {
			files[i].size = min(f.size, most)
		}
	}
	w := q.want()
	spans := w.plan(files, &arlog.Parser{Location: q.Location})
	c.read(spans, w, q)
	c.tally.settle()
	c.remarks(w)
	return c
}

func (c *collected) read(spans []span, w want, q *Query) {
	var all int64
	for _, s := range spans {
		all += s.to - s.from
	}
	c.tally.addrs = newTable(maxAddresses, int(all>>8)) // a guess: every other line has an address of its own
	pump := newPump(c.tally, w.lookBack, w.until, func() *decoder { return q.newDecoder(c.tally) })
	if q.Progress != nil {
		stop := c.watchProgress(pump, all, q.Progress)
		defer stop()
	}
	for _, s := range spans {
		err := s.read(pump, func(low int64) bool { return !w.thorough && s.file.gz && low >= minus(w.until, -slack) })
		switch {
		case errors.Is(err, errShrunk):
			c.notes = append(c.notes, fmt.Sprintf("%s: %v", s.file.path, err))
		case err != nil:
			c.failures = append(c.failures, fmt.Errorf("reading %s: %w", s.file.path, err))
		}
		if err == nil || errors.Is(err, errShrunk) {
			c.files = append(c.files, s.file.path)
		}
	}
}

// read runs the span through the pump.
func (s *span) read(p *pump, stop func(int64) bool) error {
	file, r, err := s.file.open()
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	size := int64(-1)
	if !s.file.gz {
		size = s.to - s.from
		r = io.NewSectionReader(file, s.from, size)
	}
	return p.run(r, size, stop)
}

// watchProgress tells the progress from another goroutine until stop is called.
func (c *collected) watchProgress(p *pump, all int64, tell func(done, all int64)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				tell(p.bytes.Load(), all)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended; tell(all, all) }
}

// remarks notes what the reading showed.
func (c *collected) remarks(w want) {
	t := c.tally
	if t.earliest < w.from && w.lookBack < w.from {
		c.lookedTo = max(t.earliest, w.lookBack)
	}
	if t.addrs.full && c.lookedTo != 0 {
		c.notes = append(c.notes, "there were too many addresses before the period to remember all: some that count as new may be returning")
	}
	if n := t.addrs.holds.forgotten; n > 0 {
		c.notes = append(c.notes, fmt.Sprintf("the beginnings of %d blocks were forgotten for want of room: they are not among those that ended", n))
	}
	if t.back > slack && !w.thorough {
		c.notes = append(c.notes, fmt.Sprintf("the clock went back by %s in the log: if lines are missing here, --thorough finds them",
			time.Duration(t.back)*time.Second))
	}
	if lost := t.hours.lost(); lost > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%d events are in no hour: the log tells of more than %d different hours", lost, maxHours))
	}
}
