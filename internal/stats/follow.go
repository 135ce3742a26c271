package stats

import (
	"bufio"
	"errors"
	"io"
	"math"
	"os"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// follower reads what is added to a log, through rotation by renaming and by truncation.
type follower struct {
	path   string
	file   *os.File // nil while there is none
	id     fileID
	offset int64 // of the first line that was not read
	in     *bufio.Reader
	inLine bool // offset is in the middle of a line longer than maxLine
}

// open opens the log, if there is one.
func (f *follower) open() error {
	file, info, err := state.OpenFile(f.path)
	if err != nil {
		return err
	}
	f.file, f.id, f.offset, f.inLine = file, idOf(info), 0, false
	return nil
}

// toEnd skips what is in the log already and returns how much that is, in bytes, and in
// which file. It may end in a line that is being written: half of it is no line for either.
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
func (f *follower) poll(each func(line string)) error {
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
		if err := f.close(); err != nil {
			return err
		}
	}
}

// read reads the whole lines of the file at hand.
func (f *follower) read(each func(string)) error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.offset { // truncated: it begins anew
		f.offset, f.inLine = 0, false
	}
	section := io.NewSectionReader(f.file, f.offset, math.MaxInt64-f.offset)
	if f.in == nil {
		f.in = bufio.NewReaderSize(section, maxLine)
	}
	f.in.Reset(section)
	for {
		line, err := f.in.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case errors.Is(err, io.EOF):
			return nil // the rest of the line is yet to come
		case err != nil && !tooLong:
			return err
		case !tooLong && !f.inLine:
			each(string(line))
		}
		f.offset += int64(len(line))
		f.inLine = tooLong
	}
}
