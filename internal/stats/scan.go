package stats

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const (
	// chunkSize is how much is decoded at once, in bytes.
	chunkSize = 256 << 10
	// usualLine is a little less than the length of most lines, in bytes.
	usualLine = 100
	// maxLine is the longest line that is decoded, in bytes: a request of Wazuh's and what
	// stands before it.
	maxLine = arproto.MaxLine + 8<<10
)

// chunk is some lines of a log, and the events in them.
type chunk struct {
	buf      []byte
	data     []byte // of buf: whole lines
	overlong int    // lines left out before data
	decoded  chan struct{}

	events []event
	lines  int
	// The least and greatest time of a line, the last one's, and the most seconds that
	// one is behind an earlier one. low > high when no line has a time.
	low, high, current, back int64
}

// scan decodes the lines of r in several goroutines and hands the chunks to take, in the
// order of the log. When take reports false, little more is read. It returns how many
// bytes were read.
func scan(r io.Reader, newDecoder func() *decoder, take func(*chunk) (more bool)) (int64, error) {
	workers := min(max(runtime.GOMAXPROCS(0), 1), 4)
	most := 2*workers + 1 // chunks that are read, decoded or taken at one time
	free, read, inOrder := make(chan *chunk, most), make(chan *chunk, most), make(chan *chunk, most)
	for range most {
		free <- &chunk{decoded: make(chan struct{}, 1)}
	}
	enough := make(chan struct{})
	lines := cutter{r: r}
	go func() {
		defer close(inOrder)
		defer close(read)
		for {
			select {
			case <-enough:
				return
			case c := <-free:
				if !lines.next(c) {
					return
				}
				inOrder <- c
				read <- c
			}
		}
	}()
	for range workers {
		d := newDecoder() // here: a goroutine without work may begin when the caller has gone on
		go func() {
			for c := range read {
				c.decode(d)
				c.decoded <- struct{}{}
			}
		}()
	}
	more := true
	for c := range inOrder {
		<-c.decoded
		if !take(c) && more {
			more = false
			close(enough)
		}
		free <- c
	}
	return lines.total, lines.err
}

// cutter cuts a log into chunks of whole lines.
type cutter struct {
	r     io.Reader
	total int64  // bytes read
	rest  []byte // the beginning of a line whose end is not read yet
	// overlong is set in the middle of a line that is longer than maxLine.
	overlong bool
	ended    bool
	err      error
}

// next reads the next lines into c, and reports whether there are any.
func (l *cutter) next(c *chunk) bool {
	if l.ended {
		return false
	}
	if size := max(chunkSize, min(2*len(l.rest), maxLine+1)); len(c.buf) < size {
		c.buf = make([]byte, size)
	}
	c.overlong = 0
	fill := copy(c.buf, l.rest)
	for {
		n, err := l.r.Read(c.buf[fill:])
		fill += n
		l.total += int64(n)
		if l.overlong {
			fill = l.skip(c.buf[:fill])
		}
		if err != nil {
			l.ended = true
			if !errors.Is(err, io.EOF) {
				l.err = err
			}
			c.data = c.buf[:fill] // the last line may have no end
			return true
		}
		if fill < len(c.buf) {
			continue
		}
		end := bytes.LastIndexByte(c.buf, '\n') + 1
		switch {
		case end > 0:
			l.rest = append(l.rest[:0], c.buf[end:]...)
			c.data = c.buf[:end]
			return true
		case fill <= maxLine:
			c.buf = append(c.buf, make([]byte, min(fill, maxLine+1-fill))...)
		default:
			fill, l.overlong = 0, true
			c.overlong++
		}
	}
}

// skip leaves out what belongs to an overlong line and returns how much is left.
func (l *cutter) skip(data []byte) int {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return 0
	}
	l.overlong = false
	return copy(data, data[end+1:])
}

// decode makes the events of the chunk's lines.
func (c *chunk) decode(d *decoder) {
	if c.events == nil {
		c.events = make([]event, 0, chunkSize/usualLine)
	}
	c.events, c.lines = c.events[:0], c.overlong
	c.low, c.high, c.current, c.back = math.MaxInt64, math.MinInt64, 0, 0
	for range c.overlong {
		c.add(event{kind: unreadable, addr: key{low: 1}})
	}
	for rest := c.data; len(rest) > 0; c.lines++ {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		var e event
		switch wanted := len(line) > 0 && d.decode(line, &e); {
		case wanted && (e.kind >= unreadable || d.from <= e.when && e.when < d.until):
			c.add(e)
		case e.when != 0:
			c.time(e.when)
		}
	}
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

// add adds an event. Lines without meaning share an event where they share a time.
func (c *chunk) add(e event) {
	if e.when != 0 {
		c.time(e.when)
	} else {
		e.when = c.current
	}
	if n := len(c.events); e.kind == unreadable && n > 0 && c.events[n-1].kind == unreadable &&
		c.events[n-1].when == e.when {
		c.events[n-1].addr.low++
		return
	}
	c.events = append(c.events, e)
}
