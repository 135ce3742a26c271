package alerts

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoAlert says that no file holds an alert of that id: it is not written yet, never
// will be (its level is below log_alert_level), or its file is gone.
var ErrNoAlert = errors.New("no such alert in alerts.log or alerts.json")

// Disorder is how far, in seconds, ids may stand out of order: analysisd numbers an alert
// before it writes it.
const Disorder = 5

// Find looks in the folder of alerts for the one of that id: in alerts.log and the file of the id's day,
// packed or not, then in alerts.json and its day's file. Up to OSSEC 4.1 the second part
// of an id is the alert's place in its file in bytes, from 4.2 on a running number; both
// are found with a few reads. Packed files are read through from the beginning, until
// ctx ends. An error that is not ErrNoAlert is of a file that could not be read.
func Find(ctx context.Context, dir, id string) (*Alert, error) {
	second, number, ok := splitID(id)
	if !ok {
		return nil, fmt.Errorf("alert id %.60q is not SECONDS.NUMBER: %w", id, ErrNoAlert)
	}
	want := wanted{id, second, number}
	var faults []error
	for _, path := range files(dir, second) {
		alert, err := want.in(ctx, path)
		switch {
		case alert != nil:
			return alert, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNoAlert):
			faults = append(faults, fmt.Errorf("looking for alert %s: %w", id, err))
		}
	}
	return nil, errors.Join(append(faults, ErrNoAlert)...)
}

// files names the files that may hold an alert of that second.
func files(dir string, second int64) []string {
	var days []string
	for _, s := range []int64{second, second - Disorder, second + Disorder} {
		day := filepath.Join(dir, time.Unix(s, 0).Format("2006/Jan/ossec-alerts-02"))
		if len(days) == 0 || days[len(days)-1] != day {
			days = append(days, day)
		}
	}
	var paths []string
	for _, kind := range []string{".log", ".json"} {
		paths = append(paths, filepath.Join(dir, "alerts"+kind))
		for _, day := range days {
			paths = append(paths, day+kind, day+kind+".gz")
		}
	}
	return paths
}

type wanted struct {
	id             string
	second, number int64
}

// in looks into one file.
func (w wanted) in(ctx context.Context, path string) (*Alert, error) {
	// Neither a pipe nor a device in its place may hold the caller up.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read from
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file", path)
	}
	switch {
	case strings.HasSuffix(path, ".gz"):
		return w.inPacked(ctx, file)
	case strings.HasSuffix(path, ".json"):
		return w.inJSON(file, info.Size())
	}
	return w.inText(file, info.Size())
}

// block is how much is read at once, in bytes.
const block = 64 << 10

const (
	// maxBack bounds the search backwards from the end; then the whole file is halved.
	maxBack = 8 << 20
	// maxForward bounds the reading on from where halving ended.
	maxForward = 64 << 20
)

// inText finds the alert in alerts.log or an old day's file.
func (w wanted) inText(file io.ReaderAt, size int64) (*Alert, error) {
	if w.number < size {
		head := make([]byte, len(alertMark)+maxID+2)
		from := max(0, w.number-1)
		n, _ := file.ReadAt(head, from) // what cannot be read is not found below
		head = head[:n]
		if w.number > 0 && n > 0 {
			if head[0] != '\n' {
				head = nil
			} else {
				head = head[1:]
			}
		}
		if id, ok := headerID(head); ok && string(id) == w.id {
			return w.read(file, w.number, size)
		}
	}
	at, older, err := w.backwards(file, size)
	if at < 0 && err == nil && !older {
		at, err = w.halving(file, size)
	}
	if at < 0 || err != nil {
		return nil, errors.Join(err, ErrNoAlert)
	}
	return w.read(file, at, size)
}

// read reads the one alert at an offset.
func (w wanted) read(file io.ReaderAt, at, size int64) (*Alert, error) {
	s := NewScanner(io.NewSectionReader(file, at, size-at))
	if !s.Scan() || s.Alert().ID != w.id {
		return nil, errors.Join(s.Err(), ErrNoAlert)
	}
	return s.Alert(), nil
}

// header is where an alert begins.
type header struct {
	at     int64
	second int64
	id     string
}

// headers returns those that begin in file[from:to), to-from being no more than block.
func headers(file io.ReaderAt, from, to int64) ([]header, error) {
	start := max(0, from-1) // the line break before the first
	data := make([]byte, to-start+int64(len(alertMark)+maxID+1))
	n, err := file.ReadAt(data, start)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	data = data[:n]
	var found []header
	add := func(i int) {
		if at := start + int64(i); at >= from && at < to {
			if id, ok := headerID(data[i:]); ok {
				second, _, ok := splitID(string(id))
				if ok {
					found = append(found, header{at, second, string(id)})
				}
			}
		}
	}
	if start == 0 {
		add(0)
	}
	mark := []byte("\n" + alertMark)
	for i := 0; ; {
		next := bytes.Index(data[i:], mark)
		if next < 0 {
			return found, nil
		}
		i += next + 1
		add(i)
	}
}

// backwards searches from the end. It returns -1 when it is not there, and then whether
// it saw so old an alert that there is no sense in going on.
func (w wanted) backwards(file io.ReaderAt, size int64) (at int64, older bool, err error) {
	first := true
	for end := size; end > 0 && size-end < maxBack; end -= block {
		list, err := headers(file, max(0, end-block), end)
		if err != nil {
			return -1, false, err
		}
		for i := len(list) - 1; i >= 0; i-- {
			switch h := list[i]; {
			case h.id == w.id:
				return h.at, false, nil
			case h.second < w.second-Disorder:
				return -1, true, nil
			case first && h.second > w.second+60: // an old day's file: halving is faster
				return -1, false, nil
			}
			first = false
		}
		older = end <= block // all of it was seen
	}
	return -1, older, nil
}

// halving finds it in a file whose alerts stand in the order of their seconds, but for
// the disorder.
func (w wanted) halving(file io.ReaderAt, size int64) (int64, error) {
	low, high := int64(0), size // what is sought begins at low or later
	for high-low > block {
		middle := low + (high-low)/2
		h, err := nextHeader(file, middle, high)
		if err != nil {
			return -1, err
		}
		if h != nil && h.second < w.second-Disorder {
			low = h.at
		} else {
			high = middle
		}
	}
	for from := low; from < size && from-low < maxForward; from += block {
		list, err := headers(file, from, min(size, from+block))
		if err != nil {
			return -1, err
		}
		for _, h := range list {
			if h.id == w.id {
				return h.at, nil
			}
			if h.second > w.second+Disorder {
				return -1, nil
			}
		}
	}
	return -1, nil
}

// nextHeader returns the first header in file[from:to), nil when there is none.
func nextHeader(file io.ReaderAt, from, to int64) (*header, error) {
	for ; from < to; from += block {
		list, err := headers(file, from, min(to, from+block))
		if err != nil || len(list) > 0 {
			return firstHeader(list), err
		}
	}
	return nil, nil
}

func firstHeader(list []header) *header {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// inJSON searches alerts.json backwards, a block at a time, for the id in quotes. Within
// a JSON text a quote is escaped, so nothing that was logged can look like it but a whole
// value, and then the line is decoded and its id does not match.
func (w wanted) inJSON(file io.ReaderAt, size int64) (*Alert, error) {
	needle := []byte(`"` + w.id + `"`)
	data := make([]byte, block+len(needle)-1)
	for end := size; end > 0 && size-end < maxForward; end -= block {
		from := max(0, end-block)
		n, err := file.ReadAt(data[:min(end-from+int64(len(needle))-1, size-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		part := data[:n]
		for i := bytes.LastIndex(part, needle); i >= 0; i = bytes.LastIndex(part[:i], needle) {
			line, err := lineAround(file, size, from+int64(i))
			if err != nil {
				return nil, err
			}
			alert := &Alert{}
			if alert.parseJSON(line) && alert.ID == w.id {
				alert.Partial = false // a line that decodes is whole
				return alert, nil
			}
		}
		line, err := lineAround(file, size, from)
		if err != nil {
			return nil, err
		}
		if early := new(Alert); early.parseJSON(line) && early.Time.Unix() < w.second-60 {
			return nil, ErrNoAlert
		}
	}
	return nil, ErrNoAlert
}

// lineAround returns the line that the offset stands in, nil when it is longer than
// maxJSONLine.
func lineAround(file io.ReaderAt, size, at int64) ([]byte, error) {
	start := int64(-1)
	for end := at; start < 0; end -= block {
		from := max(0, end-block)
		data := make([]byte, end-from)
		if _, err := file.ReadAt(data, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		switch i := bytes.LastIndexByte(data, '\n'); {
		case i >= 0:
			start = from + int64(i) + 1
		case from == 0:
			start = 0
		case at-from > maxJSONLine:
			return nil, nil
		}
	}
	var line []byte
	for from := start; from < size && len(line) <= maxJSONLine; from += block {
		data := make([]byte, min(block, size-from))
		if _, err := file.ReadAt(data, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return append(line, data[:i]...), nil
		}
		line = append(line, data...)
	}
	return line, nil
}

// maxUnpacked bounds how much of a packed file is read, in bytes.
const maxUnpacked = 4 << 30

// inPacked reads through a packed file.
func (w wanted) inPacked(ctx context.Context, file io.Reader) (*Alert, error) {
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	s := NewScanner(&endingReader{ctx, io.LimitReader(unpacked, maxUnpacked)})
	for s.Scan() {
		switch alert := s.Alert(); {
		case alert.ID == w.id:
			return alert, nil
		case alert.Time.Unix() > w.second+Disorder:
			return nil, ErrNoAlert
		}
	}
	return nil, errors.Join(s.Err(), ErrNoAlert)
}

// endingReader stops reading when its context ends.
type endingReader struct {
	ctx context.Context
	io.Reader
}

func (r *endingReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
