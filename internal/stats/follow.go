package stats

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// follower reads what is added to a log, through rotation by renaming and by truncation.
type follower struct {
	path   string
	file   *os.File // nil while there is none
	id     fileID
	offset int64
	// partial is the beginning of a line whose end has not been written yet.
	partial []byte
	// tooLong is set while the rest of a line longer than maxLine is skipped.
	tooLong bool
	buf     []byte
}

// open opens the log, if there is one.
func (f *follower) open() error {
	file, err := openPlain(f.path)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.id, f.offset = file, idOf(info), 0
	f.partial, f.tooLong = nil, false
	return nil
}

// toEnd skips what is in the log already and returns how much that is, in bytes, and in
// which file.
func (f *follower) toEnd() (id fileID, size int64, err error) {
	if err := f.open(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return fileID{}, 0, err
	}
	f.offset, err = f.file.Seek(0, io.SeekEnd)
	return f.id, f.offset, err
}

func (f *follower) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// poll calls each with every whole line that was added. A missing log has no lines.
func (f *follower) poll(each func(line []byte)) error {
	for {
		if f.file == nil {
			if err := f.open(); errors.Is(err, os.ErrNotExist) {
				return nil
			} else if err != nil {
				return err
			}
		}
		info, err := os.Stat(f.path)
		replaced := err == nil && idOf(info) != f.id
		// Only now, so that all is read that was written before it was replaced.
		if err := f.read(each); err != nil || !replaced {
			return err
		}
		if len(f.partial) > 0 { // nobody will end it
			each(f.partial)
		}
		if err := f.close(); err != nil {
			return err
		}
	}
}

// read reads up to the end of the file at hand.
func (f *follower) read(each func([]byte)) error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.offset { // truncated: it begins anew
		f.offset, f.partial, f.tooLong = 0, nil, false
	}
	if f.buf == nil {
		f.buf = make([]byte, 64<<10)
	}
	for {
		n, err := f.file.ReadAt(f.buf, f.offset)
		f.offset += int64(n)
		f.lines(f.buf[:n], each)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (f *follower) lines(data []byte, each func([]byte)) {
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		data = rest
		f.partial = append(f.partial, line...)
		if len(f.partial) > maxLine {
			f.partial, f.tooLong = f.partial[:0], true
		}
		if !whole {
			return
		}
		if !f.tooLong {
			each(f.partial)
		}
		f.partial, f.tooLong = f.partial[:0], false
	}
}
