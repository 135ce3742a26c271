package stats

import (
	"cmp"
	"errors"
	"io"
	"math"
	"time"
)

// What is read of a file, in bytes unpacked, and how long all are read: who can write in the folder of the
// logs, as the daemons' account, can leave files there that are large and take up no room.
const (
	defaultBytes = 4 << 30
	defaultTime  = time.Minute
)

// bounds are those of one query.
type bounds struct {
	bytes int64 // of a file
	time  time.Duration
	until time.Time
}

func (q *Query) bounds() bounds {
	if q.Thorough {
		return bounds{bytes: math.MaxInt64}
	}
	b := bounds{bytes: cmp.Or(q.mostBytes, defaultBytes), time: cmp.Or(q.mostTime, defaultTime)}
	b.until = time.Now().Add(b.time)
	return b
}

// over reports whether the time is up.
func (b bounds) over() bool { return !b.until.IsZero() && time.Now().After(b.until) }

// errCut says that a file is not read to its end.
var errCut = errors.New("it is larger than what is read of it")

// reader returns one of what is in r, which ends in errCut where the bounds do not allow more.
func (b bounds) reader(r io.Reader) io.Reader { return &boundedReader{r, b.bytes, b} }

type boundedReader struct {
	io.Reader
	left   int64
	bounds bounds
}

func (r *boundedReader) Read(p []byte) (int, error) {
	if r.left <= 0 || r.bounds.over() {
		return 0, errCut
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}
