package arlog

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNotPlain says that the log is not a plain file of its own: a symbolic link, a
// folder, a pipe, a device, or a second name of some other file. The account that
// OSSEC runs as may write in the log folder; were such a thing followed, it could
// make root write elsewhere.
var ErrNotPlain = errors.New("not a plain file: it is not written to; remove it")

// Append adds the entry to the log at path with one write(2), so that lines of
// processes that write at once never mix. A missing file is made with mode 0660 and
// the given group (see Group; -1 leaves it). It does not make the folder.
func Append(path string, group int, e Entry) error {
	return AppendLines(path, group, e.Format())
}

// AppendLines adds whole lines, already formatted, with one write(2).
func AppendLines(path string, group int, lines []byte) (err error) {
	file, made, err := open(path)
	if err != nil {
		return fmt.Errorf("opening log: %w", err)
	}
	defer func() {
		if cerr := file.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("closing log: %w", cerr)
		}
	}()
	if made {
		// Best effort: as an ordinary user the group cannot be given away, and a log
		// with the wrong group is worth more than none.
		_ = file.Chown(-1, group)
		_ = file.Chmod(0o660)
	}
	if n, err := file.Write(lines); err != nil {
		return fmt.Errorf("writing log: %w", err)
	} else if n < len(lines) {
		return fmt.Errorf("writing log %s: only %d of %d bytes", path, n, len(lines))
	}
	return nil
}

// open opens for appending without following a link or waiting for a pipe's reader.
func open(path string) (file *os.File, made bool, err error) {
	const flags = os.O_WRONLY | os.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	file, err = os.OpenFile(path, flags, 0)
	if errors.Is(err, os.ErrNotExist) {
		file, err = os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o660)
		made = err == nil
		if errors.Is(err, os.ErrExist) { // another process made it, or it is a dangling link
			file, err = os.OpenFile(path, flags, 0)
		}
	}
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return nil, false, fmt.Errorf("%s: %w", path, ErrNotPlain)
	case err != nil:
		return nil, false, err
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Sys().(*syscall.Stat_t).Nlink > 1) {
		err = fmt.Errorf("%s: %w", path, ErrNotPlain)
	}
	if err != nil {
		_ = file.Close()
		return nil, false, err
	}
	return file, made, nil
}

// Group returns the group id of the folder, for files made in it: the group that
// OSSEC's daemons run as owns its home.
func Group(home string) int {
	info, err := os.Stat(home)
	if err != nil {
		return -1
	}
	return int(info.Sys().(*syscall.Stat_t).Gid)
}
