package stats

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const (
	// chunkSize is how much is read at once, in bytes: it stays in the processor's cache
	// from the reading to the counting.
	chunkSize = 256 << 10
	// usualLine is a little less than the length of most lines, in bytes.
	usualLine = 100
	// maxLine is the longest line that is looked at, in bytes: a request of Wazuh's and
	// what stands before it.
	maxLine = arproto.MaxLine + 8<<10
)

// chunk is a piece of a log: whole lines, and the events in them.
type chunk struct {
	buf      []byte
	data     []byte // of buf
	overlong int    // lines left out before data
	events   []event
	lines    int
	// The least and greatest time of a line, the last one's, and the most seconds that
	// one is behind an earlier one. low > high when no line has a time.
	low, high, current, back int64
	done                     chan struct{}
}

// pump runs lines through decoders into a tally: one goroutine reads, some decode, and
// the caller's counts in the order of the log.
type pump struct {
	tally *tally
	from  int64 // events before are of no use, in seconds
	until int64 // nor are events from then on

	free    chan *chunk
	todo    chan *chunk
	workers sync.WaitGroup
	// bytes is how many have been read.
	bytes atomic.Int64
	// beyond is the least time in the last chunk that was counted.
	beyond atomic.Int64
}

// newPump starts the decoders. Every pump must be closed.
func newPump(t *tally, from, until int64, newDecoder func() *decoder) *pump {
	decoders := min(max(runtime.GOMAXPROCS(0), 1), 4)
	chunks := 2*decoders + 2
	p := &pump{
		tally: t, from: from, until: until,
		free: make(chan *chunk, chunks), todo: make(chan *chunk, chunks),
	}
	for range chunks {
		p.free <- &chunk{done: make(chan struct{}, 1)}
	}
	for range decoders {
		p.workers.Go(func() {
			d := newDecoder()
			for c := range p.todo {
				c.decode(d, p.from, p.until)
				c.done <- struct{}{}
			}
		})
	}
	return p
}

// close ends the decoders.
func (p *pump) close() {
	close(p.todo)
	p.workers.Wait()
}

// errShrunk says that a log was cut while it was read.
var errShrunk = errors.New("it became shorter while it was read: what was cut off is not counted")

// run counts all that r holds. size is how many bytes that must be, -1 when unknown.
// stop tells from the least time in a chunk whether all that follows is too late.
func (p *pump) run(r io.Reader, size int64, stop func(low int64) bool) error {
	p.beyond.Store(math.MinInt64)
	result := make(chan error, 1)
	ordered := make(chan *chunk, cap(p.free))
	go func() {
		err := p.read(r, size, ordered, stop)
		close(ordered)
		result <- err
	}()
	for c := range ordered {
		<-c.done
		p.tally.addChunk(c)
		if c.low <= c.high {
			p.beyond.Store(c.low)
		}
		p.free <- c
	}
	return <-result
}

// read cuts r into chunks of whole lines.
func (p *pump) read(r io.Reader, size int64, ordered chan<- *chunk, stop func(int64) bool) error {
	c := p.take()
	fill, overlong := 0, false
	var total int64
	send := func(end int) {
		c.data = c.buf[:end]
		p.todo <- c
		ordered <- c
	}
	for {
		n, err := r.Read(c.buf[fill:])
		fill += n
		total += int64(n)
		p.bytes.Add(int64(n))
		if overlong { // up to its end
			i := bytes.IndexByte(c.buf[:fill], '\n')
			if i < 0 {
				fill = 0
			} else {
				fill = copy(c.buf, c.buf[i+1:fill])
				overlong = false
			}
		}
		end := bytes.LastIndexByte(c.buf[:fill], '\n') + 1
		switch {
		case err != nil:
			send(fill) // the last line may have no end
			switch {
			case !errors.Is(err, io.EOF):
				return err
			case size >= 0 && total < size:
				return errShrunk
			}
			return nil
		case end == 0 && fill == len(c.buf) && fill < maxLine:
			c.buf = append(c.buf, make([]byte, min(len(c.buf), maxLine-len(c.buf)))...)
		case end == 0 && fill == len(c.buf):
			fill, overlong = 0, true
			c.overlong++
		case end > 0 && fill == len(c.buf):
			next := p.take()
			rest := fill - end
			if rest > len(next.buf) {
				next.buf = make([]byte, 2*rest)
			}
			copy(next.buf, c.buf[end:fill])
			send(end)
			c, fill = next, rest
			if stop(p.beyond.Load()) {
				c.data = nil
				p.free <- c
				return nil
			}
		}
	}
}

// take returns an empty chunk.
func (p *pump) take() *chunk {
	c := <-p.free
	if len(c.buf) != chunkSize {
		c.buf = make([]byte, chunkSize)
	}
	c.overlong = 0
	return c
}

// decode makes the events of the chunk's lines.
func (c *chunk) decode(d *decoder, from, until int64) {
	if c.events == nil {
		c.events = make([]event, 0, chunkSize/usualLine)
	}
	c.events = c.events[:0]
	c.lines = c.overlong
	c.low, c.high, c.current, c.back = math.MaxInt64, math.MinInt64, 0, 0
	for range c.overlong {
		c.unreadable(0)
	}
	for rest := c.data; len(rest) > 0; {
		c.lines++
		n := len(c.events)
		c.events = append(c.events, event{})
		e := &c.events[n]
		end, ok := 0, true
		if brief := d.parser.Brief(rest, &d.brief); brief {
			ok = d.fromBrief(rest, e)
			end = lineEnd(rest, d.brief.RuleEnd)
		} else if end = lineEnd(rest, 0); end > 0 {
			ok = d.decodeAny(rest[:end], e)
		} else {
			ok = false // an empty line
		}
		rest = rest[min(end+1, len(rest)):]
		c.take(n, ok, from, until)
	}
}

// lineEnd returns where the line ends in which from lies.
func lineEnd(text []byte, from int) int {
	if end := bytes.IndexByte(text[from:], '\n'); end >= 0 {
		return from + end
	}
	return len(text)
}

// take keeps the event n, the last one, if it counts.
func (c *chunk) take(n int, ok bool, from, until int64) {
	e := &c.events[n]
	if e.when != 0 {
		c.current = e.when
		c.low = min(c.low, e.when)
		if e.when >= c.high {
			c.high = e.when
		} else {
			c.back = max(c.back, c.high-e.when)
		}
	} else {
		e.when = c.current
	}
	switch {
	case !ok:
		c.events = c.events[:n]
	case e.kind == unreadable:
		when := e.when
		c.events = c.events[:n]
		c.unreadable(when)
	case e.kind < aborted && (e.when < from || e.when >= until):
		c.events = c.events[:n]
	}
}

// unreadable notes a line that tells nothing. Those of one time share an event, which
// keeps their number in the place of the address.
func (c *chunk) unreadable(when int64) {
	if n := len(c.events); n > 0 && c.events[n-1].kind == unreadable && c.events[n-1].when == when {
		c.events[n-1].addr.lo++
		return
	}
	c.events = append(c.events, event{kind: unreadable, when: when, addr: key{lo: 1}})
}

// addChunk counts the events of a chunk.
func (t *tally) addChunk(c *chunk) {
	const ahead = 32
	for i := range c.events {
		if i%ahead == 0 {
			for j := i; j < min(i+ahead, len(c.events)); j++ {
				t.touched += t.addrs.touch(c.events[j].addr)
			}
		}
		e := &c.events[i]
		if e.kind == unreadable && e.when == 0 {
			e.when = t.current // of the chunk before
		}
		t.add(e)
	}
	t.lines += uint64(c.lines)
	if c.low > c.high {
		return
	}
	t.current = c.current
	t.earliest = min(t.earliest, c.low)
	t.back = max(t.back, c.back)
	if t.high != math.MinInt64 {
		t.back = max(t.back, t.high-c.low)
	}
	t.high = max(t.high, c.high)
}
