package hostsdeny

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// slotMark begins a comment line that stands where an entry was taken out in
// place. It stays until an add uses it again.
const slotMark = "#ossec-ar"

// writeInto edits the file where it is: a bind mount, a folder that can't be
// written to, a file with several hard links. Each single write leaves a file of
// whole lines, for readers and for whoever kills us. What comes in grows the
// file at its end or turns a comment into an entry by its first byte; what goes
// out becomes a comment by its first byte. Nothing is moved and the file never
// gets shorter: a reader takes the file in several read(2)s, and one that does
// so while a line goes and another comes would see the end of the new line
// behind the end of the old file (a test saw just that).
//
// One case has no such order: inserting before the first rule (Options.Allow)
// with no slot there. It is one write of all that follows.
//
// Without a lock no slot is used again, since another process may take it too.
func (e *Enforcer) writeInto(target string, before *snapshot, p plan, locked bool) (err error) {
	file, err := os.OpenFile(target, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := e.changed(target, before); err != nil {
		return err
	}
	if len(p.cuts) > 0 {
		err = blank(file, before.content, p.cuts)
	} else {
		err = insert(file, before.content, p, locked)
	}
	if err != nil {
		return err
	}
	return file.Sync()
}

// insert ends the last line and adds the entry, in a slot where there is one
// that is long enough.
func insert(file *os.File, content []byte, p plan, locked bool) error {
	line := bytes.Trim(p.insert, "\r\n")
	if slot, ok := findSlot(content, p, len(line)); locked && ok && len(line) > 0 {
		if err := appendTo(file, missingEnd(content)); err != nil {
			return err
		}
		text := bytes.Repeat([]byte(" "), slot.end-slot.start)
		copy(text, line)
		if err := writeAt(file, text[1:], slot.start+1); err != nil {
			return err
		}
		return writeAt(file, text[:1], slot.start)
	}
	if p.at == len(content) {
		return appendTo(file, append(p.insert, p.tail...))
	}
	return writeAt(file, p.apply(content)[p.at:], p.at)
}

// findSlot returns a slot for text of length bytes, without its line end. With
// Options.Allow it must stand before the first rule, where p has the entry go;
// our own entries may stand in front of it, for their order does not matter.
func findSlot(content []byte, p plan, length int) (span, bool) {
	limit := len(content)
	if len(p.insert) > 0 && p.at < len(content) {
		limit = p.at
	}
	for start := 0; start < limit; {
		i := bytes.Index(content[start:limit], []byte(slotMark))
		if i < 0 {
			break
		}
		line := lineAt(content, start+i)
		start = line.end
		if slot, ok := slotIn(content, line); ok && slot.end-slot.start >= length {
			return slot, true
		}
	}
	return span{}, false
}

// slotIn returns the part of line before its end when line is a slot.
func slotIn(content []byte, line span) (span, bool) {
	text := bytes.TrimRight(content[line.start:line.end], "\r\n")
	isSlot := bytes.HasPrefix(text, []byte(slotMark)) && len(bytes.Trim(text[len(slotMark):], " ")) == 0 &&
		line.start+len(text) < line.end && !continues(content, line.start)
	return span{line.start, line.start + len(text)}, isSlot
}

// blank turns lines into slots.
func blank(file *os.File, content []byte, lines []span) error {
	for _, line := range lines {
		length := len(bytes.TrimRight(content[line.start:line.end], "\r\n"))
		text := append([]byte(slotMark), bytes.Repeat([]byte(" "), length)...)[:length]
		if err := writeAt(file, text[:1], line.start); err != nil {
			return err
		}
		if err := writeAt(file, text[1:], line.start+1); err != nil {
			return err
		}
	}
	if lines[len(lines)-1].end == len(content) {
		return appendTo(file, missingEnd(content))
	}
	return nil
}

func writeAt(file *os.File, text []byte, at int) error {
	_, err := file.WriteAt(text, int64(at))
	return err
}

// appendTo adds text at the end, wherever that is by now, in one write. What a
// full disk cut short is taken back: libwrap denies everyone on a line without
// an end.
func appendTo(file *os.File, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := setAppend(file, unix.O_APPEND); err != nil {
		return err
	}
	if _, err := file.Write(text); err != nil {
		return errors.Join(err, file.Truncate(end))
	}
	return setAppend(file, 0)
}

// setAppend is for pwrite(2)'s sake, which on Linux appends under O_APPEND.
func setAppend(file *os.File, flag int) error {
	if _, err := unix.FcntlInt(file.Fd(), unix.F_SETFL, flag|unix.O_NONBLOCK); err != nil {
		return &fs.PathError{Op: "fcntl", Path: file.Name(), Err: err}
	}
	return nil
}
