package stats

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// maxLine is the longest line that is looked at, in bytes: a request of Wazuh's and what
// stands before it.
const maxLine = arproto.MaxLine + 8<<10

// errShrunk says that a log was cut while it was read.
var errShrunk = errors.New("it became shorter while it was read: what was cut off is not counted")

// pieces cuts a log into pieces of whole lines, for several goroutines.
type pieces struct {
	size int64 // how many bytes there must be, -1 when unknown
	read *atomic.Int64

	mu     sync.Mutex // guards what follows
	r      io.Reader
	number int
	total  int64
	rest   []byte // the beginning of the next piece: of a line whose end is not read yet
	// overlong is set in the middle of a line that is longer than maxLine.
	overlong bool
	ended    bool
	err      error
}

// piece is some lines of a log.
type piece struct {
	buf      []byte
	data     []byte // of buf
	number   int
	overlong int // lines left out before data
}

// end ends the log here.
func (s *pieces) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// next reads the next piece into to, and reports whether there is one.
func (s *pieces) next(to *piece) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if len(to.buf) != chunkSize {
		to.buf = make([]byte, chunkSize)
	}
	if len(to.buf) < len(s.rest) {
		to.buf = make([]byte, len(s.rest)+chunkSize)
	}
	to.number, to.overlong = s.number, 0
	s.number++
	fill := copy(to.buf, s.rest)
	for {
		n, err := s.r.Read(to.buf[fill:])
		fill += n
		s.total += int64(n)
		s.read.Add(int64(n))
		if s.overlong {
			fill = s.skip(to.buf[:fill])
		}
		if err != nil {
			s.ended = true
			s.err = s.fault(err)
			to.data = to.buf[:fill] // the last line may have no end
			return true
		}
		if fill < len(to.buf) {
			continue
		}
		end := bytes.LastIndexByte(to.buf, '\n') + 1
		switch {
		case end > 0:
			s.rest = append(s.rest[:0], to.buf[end:]...)
			to.data = to.buf[:end]
			return true
		case fill < maxLine:
			to.buf = append(to.buf, make([]byte, min(fill, maxLine-fill))...)
		default:
			fill, s.overlong = 0, true
			to.overlong++
		}
	}
}

// skip leaves out what belongs to an overlong line and returns how much is left.
func (s *pieces) skip(data []byte) int {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return 0
	}
	s.overlong = false
	return copy(data, data[end+1:])
}

// fault returns what is wrong with an end.
func (s *pieces) fault(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case s.size >= 0 && s.total < s.size:
		return errShrunk
	}
	return nil
}
