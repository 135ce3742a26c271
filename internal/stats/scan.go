package stats

import (
	"bufio"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const (
	// chunkSize is how much is decoded at once, in bytes.
	chunkSize = 256 << 10
	// maxLine is the longest line that is decoded, in bytes: a request of Wazuh's and what
	// stands before it.
	maxLine = arproto.MaxLine + 8<<10
)

// chunk is some whole lines of a log, and the events in them.
type chunk struct {
	data    []byte
	decoded chan struct{}

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
	lines := cutter{in: bufio.NewReaderSize(r, 64<<10)}
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
	if errors.Is(lines.err, io.EOF) {
		lines.err = nil
	}
	return lines.total, lines.err
}

// cutter cuts a log into chunks of whole lines.
type cutter struct {
	in    *bufio.Reader
	total int64 // bytes read
	err   error // that ended it
}

// next reads the next lines into c, and reports whether there are any. Of a line that is
// longer than maxLine it keeps no more than shows that.
func (l *cutter) next(c *chunk) bool {
	if l.err != nil {
		return false
	}
	c.data = slices.Grow(c.data[:0], chunkSize+4<<10)[:chunkSize]
	n, err := 0, error(nil)
	for n < chunkSize && err == nil {
		var more int
		more, err = l.in.Read(c.data[n:])
		n += more
	}
	c.data = c.data[:n]
	for inLine := true; inLine && err == nil; {
		var piece []byte
		piece, err = l.in.ReadSlice('\n')
		n += len(piece)
		if len(c.data) <= chunkSize+maxLine {
			c.data = append(c.data, piece...)
		}
		if inLine = errors.Is(err, bufio.ErrBufferFull); inLine {
			err = nil
		}
	}
	l.total += int64(n)
	l.err = err
	return n > 0
}

// decode makes the events of the chunk's lines.
func (c *chunk) decode(d *decoder) {
	c.events, c.lines = c.events[:0], 0
	c.low, c.high, c.current, c.back = math.MaxInt64, math.MinInt64, 0, 0
	text := unsafe.String(unsafe.SliceData(c.data), len(c.data)) // not to copy it: no event keeps a piece
	for line := range strings.Lines(text) {
		c.lines++
		var e event
		wanted := line != "\n"
		switch {
		case len(line) > maxLine:
			e = event{kind: unreadable, addr: key{low: 1}}
		case wanted:
			wanted = d.decode(line, &e)
		}
		switch {
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
