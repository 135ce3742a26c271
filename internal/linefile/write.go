package linefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// errInPlace means that the file can't be replaced by another one of the same
// owner, mode and labels, though it may be possible to write into it.
var errInPlace = errors.New("it can't be replaced")

// sectorSize is what a disk writes as a whole or not at all, in bytes.
const sectorSize = 512

// fitsBehind reports whether the plan only adds lines at the end, within one sector. A single
// write(2) of them is all that needs to be done: it lies within a page, so a reader sees all of it
// or nothing, and a process that is killed has written all of it or nothing. After a loss of power
// the lines are there, or not, or (ext4, where the new size was on the disk before them) there are
// NUL bytes in their place, which libwrap takes for the end of the file and the next edit for a
// line to be ended.
func (p Plan) fitsBehind(content []byte) bool {
	size := len(p.Mend) + len(p.Lines)
	return len(p.Cuts) == 0 && p.At == len(content) && len(content)%sectorSize+size <= sectorSize
}

// replace puts a file with the new content in the place of target, so that a reader has the
// whole old file or the whole new one. The caller holds the lock, and gives it back in placed.
// What cannot be carried over to the new file means errInPlace.
func (f *File) replace(target string, before *Snapshot, p Plan, placed func()) error {
	like := state.Like(before.file)
	mode := os.FileMode(before.stat.Mode & 0o777)
	err := state.Replace(target, p.Apply(before.Content), mode, state.ReplaceOptions{
		Temp: tempName(target), Placed: placed,
		Check: func() error { return f.changed(target, before) },
		Prepare: func(file *os.File) error {
			if err := like(file); err != nil {
				return fmt.Errorf("%w: %w", errInPlace, err)
			}
			return nil
		},
	})
	// This is what a folder that can't be written to, a bind mount on the file, or a disk without
	// room for a second one answers with.
	for _, errno := range []unix.Errno{unix.EACCES, unix.EPERM, unix.EROFS, unix.EBUSY, unix.EXDEV,
		unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", errInPlace, err)
		}
	}
	return err
}

// tempName is the same in every run, so that a run finds what a killed one left
// without reading the folder.
func tempName(target string) string {
	return "." + filepath.Base(target) + ".ossec-ar.tmp"
}

// slotMark begins a comment line that stands where an entry was taken out in
// place. It stays until an add uses it again.
const slotMark = "#ossec-ar"

// writeInto edits the file where it is: entries that fit behind it, and everything in a bind
// mount, a folder that can't be written to, a file with several hard links. Each single write
// leaves a file of whole lines, for readers and for whoever kills us. What comes in grows the
// file at its end or turns a comment into an entry by its first byte; what goes
// out becomes a comment by its first byte. Nothing is moved and the file never
// gets shorter: a reader takes the file in several read(2)s, and one that does
// so while a line goes and another comes would see the end of the new line
// behind the end of the old file (a test saw just that).
//
// One case has no such order: inserting before the first rule (Options.Allow)
// with no slot there. It is one write of all that follows.
//
// What is taken out is on the disk afterwards. What is added need not be: its lease is, so that it
// is added again. Without a lock no slot is used again, since another process may take it too.
func (f *File) writeInto(target string, before *Snapshot, p Plan, locked bool) (err error) {
	file, err := os.OpenFile(target, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrChanged // somebody removed it since it was read
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := f.changed(target, before); err != nil {
		return err
	}
	if len(p.Cuts) > 0 {
		return errors.Join(blank(file, before.Content, p.Cuts), file.Sync())
	}
	if err := insert(file, before.Content, p, locked); err != nil {
		return err
	}
	var now unix.Stat_t
	if err := unix.Lstat(target, &now); err != nil || now.Ino != before.stat.Ino {
		return ErrChanged // another file was put in its place at this moment
	}
	return nil
}

// insert adds the entry, in a slot where there is one that is long enough, and ends the last line.
func insert(file *os.File, content []byte, p Plan, locked bool) error {
	line := bytes.TrimRight(p.Lines, "\r\n")
	if slot, ok := findSlot(content[:p.At], len(line)); locked && ok && len(line) > 0 {
		text := bytes.Repeat([]byte(" "), slot.End-slot.Start)
		copy(text, line)
		if err := writeAt(file, text[1:], slot.Start+1); err != nil {
			return err
		}
		if err := writeAt(file, text[:1], slot.Start); err != nil {
			return err
		}
		return appendTo(file, p.Mend)
	}
	if p.At == len(content) {
		return appendTo(file, append(p.Mend, p.Lines...))
	}
	return writeAt(file, p.Apply(content)[p.At:], p.At)
}

// findSlot returns a slot for text of length bytes, without its line end.
func findSlot(content []byte, length int) (Span, bool) {
	for start := 0; ; {
		i := bytes.Index(content[start:], []byte(slotMark))
		if i < 0 {
			return Span{}, false
		}
		line := LineAt(content, start+i)
		text := bytes.TrimRight(content[line.Start:line.End], "\r\n")
		if len(text) >= length && string(bytes.TrimRight(text, " ")) == slotMark &&
			line.Start+len(text) < line.End && !Continues(content, line.Start) {
			return Span{line.Start, line.Start + len(text)}, true
		}
		start = line.End
	}
}

// blank turns lines into slots.
func blank(file *os.File, content []byte, lines []Span) error {
	for _, line := range lines {
		length := len(bytes.TrimRight(content[line.Start:line.End], "\r\n"))
		text := append([]byte(slotMark), bytes.Repeat([]byte(" "), length)...)[:length]
		if err := writeAt(file, text[:1], line.Start); err != nil {
			return err
		}
		if err := writeAt(file, text[1:], line.Start+1); err != nil {
			return err
		}
	}
	if lines[len(lines)-1].End == len(content) {
		return appendTo(file, MissingEnd(content))
	}
	return nil
}

func writeAt(file *os.File, text []byte, at int) error {
	_, err := file.WriteAt(text, int64(at))
	return err
}

// appendTo adds text at the end, wherever that is by now, in one write, and has it on its way to
// the disk, before the new size is. What a full disk cut short is taken back: libwrap denies
// everyone on a line without an end. No writeAt may follow: pwrite(2) appends from then on.
func appendTo(file *os.File, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_SETFL, unix.O_APPEND); err != nil {
		return &fs.PathError{Op: "fcntl", Path: file.Name(), Err: err}
	}
	if _, err := file.Write(text); err != nil {
		return errors.Join(err, file.Truncate(end))
	}
	_ = unix.SyncFileRange(int(file.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // a help, and not everywhere
	return nil
}
