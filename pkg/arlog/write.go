package arlog

import (
	"errors"
	"fmt"
	"io/fs"
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
func AppendLines(path string, group int, lines []byte) error {
	fd, made, err := open(path)
	if err != nil {
		return fmt.Errorf("opening log: %w", err)
	}
	if made {
		// Best effort: as an ordinary user the group cannot be given away, and a log
		// with the wrong group is worth more than none.
		_ = unix.Fchown(fd, -1, group)
		_ = unix.Fchmod(fd, 0o660)
	}
	written := 0
	for written < len(lines) { // a second time only where the disk is full, for the kernel to say so
		n, err := unix.Write(fd, lines[written:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			takeBack(fd, written)
			_ = unix.Close(fd)
			return fmt.Errorf("writing log: %w", &fs.PathError{Op: "write", Path: path, Err: err})
		}
		written += max(n, 0)
	}
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("closing log: %w", &fs.PathError{Op: "close", Path: path, Err: err})
	}
	return nil
}

// takeBack cuts off the n bytes that a full disk let through, lest the next line be joined
// to them; not when somebody else has written behind them.
func takeBack(fd, n int) {
	end, err := unix.Seek(fd, 0, unix.SEEK_CUR) // behind what was written here
	var stat unix.Stat_t
	if n > 0 && err == nil && unix.Fstat(fd, &stat) == nil && stat.Size == end {
		_ = unix.Ftruncate(fd, end-int64(n)) // what stays is no worse than before
	}
}

// open opens for appending without following a link or waiting for a pipe's reader, and
// without the runtime's poller: see internal/state.
func open(path string) (fd int, made bool, err error) {
	try := func(flags int) (fd int, err error) {
		for {
			fd, err = unix.Open(path,
				unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|flags, 0o660)
			if !errors.Is(err, unix.EINTR) {
				return fd, err
			}
		}
	}
	fd, err = try(0)
	if errors.Is(err, unix.ENOENT) {
		fd, err = try(unix.O_CREAT | unix.O_EXCL)
		made = err == nil
		if errors.Is(err, unix.EEXIST) { // another process made it, or it is a dangling link
			fd, err = try(0)
		}
	}
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return -1, false, fmt.Errorf("%s: %w", path, ErrNotPlain)
	case err != nil:
		return -1, false, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	if err == nil && (stat.Mode&unix.S_IFMT != unix.S_IFREG || stat.Nlink > 1) {
		err = fmt.Errorf("%s: %w", path, ErrNotPlain)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, false, err
	}
	return fd, made, nil
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
