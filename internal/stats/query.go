// Package stats counts what responses did: from the log of this host, or, on a manager,
// from the alerts of all agents. A Query selects a period and a filter, and its answer is a
// Report. Live counts the lines that are added to the log.
//
// All counting is in bounded memory, whatever the logs hold: anybody who can cause alerts
// chooses addresses, and on agents also names. The package prints nothing and knows no
// command line: see package report.
package stats

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// Query is a question about the logs.
type Query struct {
	Home   ossec.Home
	Log    string // the response log that is written to; its rotated ones are found beside it
	Period Period
	Filter Filter
	// LookBack is how far before the period is read, to distinguish new addresses from those that
	// come back, and since when those are blocked that are freed in it. Negative is
	// DefaultLookBack, which also ends after defaultLookBytes.
	LookBack time.Duration
	// Thorough reads every log whole, whatever the times in it.
	Thorough bool
	// AddressFields are where Wazuh's requests have the address: see arlog.Parser.
	AddressFields []string
	Now           time.Time // its zone's days and hours count
	Host          string    // name of this host, for the report
	Top           int       // how many of each list; 0 is all
	// upTo bounds what is read of files, in bytes.
	upTo map[fileID]int64
	// The bounds of what is read unless it is Thorough, 0 for the usual ones: of a file, in bytes, and
	// the time for all.
	mostBytes int64
	mostTime  time.Duration
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
	bounds   bounds
	late     bool // the time was over
}

// Responses counts the log of this host. The report has what could be counted, also where
// there is an error.
func (q *Query) Responses() (*Report, error) {
	c := q.collect(newTally(q.Period, q.Now.Location()))
	if err := c.tally.rules.learn(q.Home.AlertLog(), c.tally.byRule); err != nil {
		c.note("rules have no descriptions: %v", err)
	}
	r := c.report(q, SourceResponses)
	if q.Period.Contains(q.Now) {
		inForce, err := ReadInForce(q.Home.State(), &q.Filter)
		r.InForce = inForce
		switch {
		case errors.Is(err, os.ErrPermission):
			r.InForce = nil
			r.Note("what is in force now is for root to read")
		case err != nil:
			r.Note("what is in force now is not all known: %v", err)
		}
	}
	return r, errors.Join(c.failures...)
}

func (c *collected) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// cut notes that a file was not read to its end.
func (c *collected) cut(path string) {
	switch {
	case c.late:
	case c.bounds.over():
		c.late = true
		c.note("reading took longer than %s: only the first part of %s is counted, and no other log behind it; "+
			"--thorough counts all", c.bounds.time, path)
	default:
		c.note("only the first %d MiB of %s are counted; --thorough counts all", c.bounds.bytes>>20, path)
	}
}

func (q *Query) want() want {
	w := want{from: q.Period.fromUnix(), until: q.Period.untilUnix(), thorough: q.Thorough,
		lookBytes: math.MaxInt64}
	back := q.LookBack
	if back < 0 {
		back, w.lookBytes = DefaultLookBack, defaultLookBytes
	}
	w.lookBack = minus(w.from, int64(back/time.Second))
	return w
}

// collect reads the response logs into t. It always returns what could be counted.
func (q *Query) collect(t *tally) *collected {
	c := &collected{tally: t, bounds: q.bounds()}
	files, notes, err := responseLogs(q.Log).list()
	c.notes = notes
	switch {
	case errors.Is(err, os.ErrNotExist) && len(files) == 0:
		c.note("%s does not exist: no response has written to it yet", q.Log)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		c.failures = append(c.failures, fmt.Errorf("looking for the log: %w", err))
	}
	for i, f := range files {
		if most, ok := q.upTo[f.id]; ok {
			files[i].size = min(f.size, most)
		}
	}
	w := q.want()
	c.read(w.plan(files, &arlog.Parser{Location: q.Now.Location()}, c.bounds), w, q)
	c.tally.settle()
	c.remarks(w)
	return c
}

func (c *collected) read(spans []span, w want, q *Query) {
	var all int64
	for _, s := range spans {
		all += s.to - s.from
	}
	// about half of the lines have an address of their own
	c.tally.addrs.resize(int(max(leastRoom, min(all>>8, maxAddresses))))
	for _, s := range spans {
		err := s.read(c.tally, w, q, c.bounds)
		switch {
		case errors.Is(err, errCut):
			c.cut(s.file.path)
		case errors.Is(err, errShrunk):
			c.note("%s: %v", s.file.path, err)
		case err != nil:
			c.failures = append(c.failures, fmt.Errorf("reading %s: %w", s.file.path, err))
			continue
		}
		c.files = append(c.files, s.file.path)
	}
}

// errShrunk says that a log was cut while it was read.
var errShrunk = errors.New("it became shorter while it was read: what was cut off is not counted")

// read counts the span.
func (s *span) read(t *tally, w want, q *Query, b bounds) error {
	file, r, err := s.file.open()
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	if !s.file.gz {
		r = io.NewSectionReader(file, s.from, s.to-s.from)
	}
	r = b.reader(r)
	newDecoder := func() *decoder {
		d := q.newDecoder(t)
		d.from, d.until = w.lookBack, w.until
		return d
	}
	n, err := scan(r, newDecoder, func(c *chunk) bool {
		t.addChunk(c)
		late := c.low <= c.high && c.low >= minus(w.until, -slack)
		return !late || w.thorough || !s.file.gz
	})
	if err == nil && !s.file.gz && n < s.to-s.from {
		err = errShrunk
	}
	return err
}

// remarks notes what the reading showed.
func (c *collected) remarks(w want) {
	t := c.tally
	if t.earliest < w.from && w.lookBack < w.from {
		c.lookedTo = max(t.earliest, w.lookBack)
	}
	if t.addrs.full && c.lookedTo != 0 {
		c.note("there were too many addresses before the period to remember all: " +
			"some that count as new may be returning")
	}
	if n := t.addrs.holds.forgotten; n > 0 {
		c.note("the beginnings of %d blocks were forgotten for want of room: they are not among those that ended",
			n)
	}
	if t.back > slack && !w.thorough {
		c.note("the clock went back by %s in the log: if lines are missing here, --thorough finds them",
			time.Duration(t.back)*time.Second)
	}
	if beyond := t.hours.beyond.counts(); beyond != (Counts{}) {
		c.note("some events are in no hour: the log has more than %d different hours", maxHours)
	}
}
