package stats

import (
	"bytes"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// chunkSize is how much is read at once, in bytes: it stays in the cache of the
	// processor that reads it until it is decoded.
	chunkSize = 256 << 10
	// usualLine is a little less than the length of most lines, in bytes.
	usualLine = 100
	// maxWaiting is how many decoded chunks may wait for one before them.
	maxWaiting = 8
)

// chunk is what a piece of a log tells.
type chunk struct {
	number int // in the log
	events []event
	lines  int
	// The least and greatest time of a line, the last one's, and the most seconds that
	// one is behind an earlier one. low > high when no line has a time.
	low, high, current, back int64
}

// pump runs lines through decoders into a tally. There is no division of labour: each
// goroutine reads a piece of the log, decodes it, and then counts all that is decoded and
// next in the order of the log, unless another one is at it. So all processors are busy
// until the end, and what is read is decoded where it is still in the cache.
type pump struct {
	tally    *tally
	from     int64 // events before are of no use, in seconds
	until    int64 // nor are events from then on
	decoders []*decoder
	// bytes is how many have been read.
	bytes atomic.Int64

	mu       sync.Mutex // guards what follows
	changed  sync.Cond
	waiting  map[int]*chunk // decoded, by number
	next     int            // number of the chunk that is counted next
	counting bool           // one of the goroutines counts
	free     []*chunk
	// beyond is the least time in the last chunk that was counted.
	beyond int64
}

func newPump(t *tally, from, until int64, newDecoder func() *decoder) *pump {
	p := &pump{tally: t, from: from, until: until, waiting: map[int]*chunk{}}
	p.changed.L = &p.mu
	for range min(max(runtime.GOMAXPROCS(0), 1), 4) {
		p.decoders = append(p.decoders, newDecoder())
	}
	return p
}

// run counts all that r holds. size is how many bytes that must be, -1 when unknown.
// stop tells from the least time in a chunk whether all that follows is too late.
func (p *pump) run(r io.Reader, size int64, stop func(low int64) bool) error {
	p.next, p.beyond = 0, math.MinInt64
	from := &pieces{r: r, size: size, read: &p.bytes}
	var workers sync.WaitGroup
	for i, d := range p.decoders {
		if i > 0 && size >= 0 && size <= int64(i)*chunkSize {
			break // there is nothing for it
		}
		workers.Go(func() {
			for c := p.take(); from.next(&d.piece); c = p.take() {
				c.number = d.piece.number
				c.decode(d, p.from, p.until)
				if beyond := p.count(c); stop(beyond) {
					from.end()
				}
			}
		})
	}
	workers.Wait()
	return from.err
}

// take returns an empty chunk.
func (p *pump) take() *chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	return &chunk{events: make([]event, 0, chunkSize/usualLine)}
}

// count has c counted, now or later, and with it all that is its turn. It returns
// p.beyond.
func (p *pump) count(c *chunk) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[c.number] = c
	p.changed.Broadcast()
	for {
		switch c := p.waiting[p.next]; {
		case c != nil && !p.counting:
			p.counting = true
			delete(p.waiting, p.next)
			p.mu.Unlock()
			p.tally.addChunk(c)
			p.mu.Lock()
			p.counting = false
			p.next++
			p.free = append(p.free, c)
			if c.low <= c.high {
				p.beyond = c.low
			}
			p.changed.Broadcast()
		case len(p.waiting) < maxWaiting:
			return p.beyond
		default:
			p.changed.Wait()
		}
	}
}

// decode makes the events of the chunk's lines.
func (c *chunk) decode(d *decoder, from, until int64) {
	c.events = c.events[:0]
	c.lines = d.piece.overlong
	c.low, c.high, c.current, c.back = math.MaxInt64, math.MinInt64, 0, 0
	for range d.piece.overlong {
		c.unreadable(0)
	}
	for rest := d.piece.data; len(rest) > 0; {
		c.lines++
		if d.parser.Brief(rest, &d.line) && d.line.Unix != 0 {
			c.brief(d, from, until)
			rest = rest[d.line.End+1:]
			continue
		}
		end := lineEnd(rest)
		var e event
		if end > 0 && d.decode(rest[:end], &e) {
			c.take(e, from, until)
		} else if e.when != 0 {
			c.time(e.when)
		}
		rest = rest[min(end+1, len(rest)):]
	}
}

// lineEnd returns where the line ends that the text begins with.
func lineEnd(text []byte) int {
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		return end
	}
	return len(text)
}

// time notes the time of a line.
func (c *chunk) time(when int64) {
	c.current = when
	c.low = min(c.low, when)
	if when >= c.high {
		c.high = when
	} else {
		c.back = max(c.back, c.high-when)
	}
}

// take adds an event, if it counts.
func (c *chunk) take(e event, from, until int64) {
	if e.when != 0 {
		c.time(e.when)
	} else {
		e.when = c.current
	}
	switch {
	case e.kind == unreadable:
		c.unreadable(e.when)
	case e.kind < aborted && (e.when < from || e.when >= until):
	default:
		c.events = append(c.events, e)
	}
}

// unreadable notes a line that tells nothing. Those of one time share an event, which
// keeps their number in the place of the address.
func (c *chunk) unreadable(when int64) {
	if n := len(c.events); n > 0 && c.events[n-1].kind == unreadable && c.events[n-1].when == when {
		c.events[n-1].addr.Low++
		return
	}
	c.events = append(c.events, event{kind: unreadable, when: when, addr: key{Low: 1}})
}
