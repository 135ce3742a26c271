package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is a plain file that is read from its beginning. It goes past the runtime's poller,
// which is of no use for plain files and costs a response, which lives for 2 ms, six more
// system calls a file and a thread.
type File struct {
	fd   int
	path string
	stat unix.Stat_t
}

// ErrNotPlain says that what stands in the place of a file is none: a pipe, a device, a socket.
var ErrNotPlain = errors.New("is no plain file")

// Open opens the file at path, following links. What is no plain file is an error; the other
// end of a pipe is not waited for.
func Open(path string) (*File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return plain(fd, path)
}

// OpenFile is Open for a file that is read at more than one place, or while it grows. It returns what the
// file is, too.
func OpenFile(path string) (*os.File, os.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s %w", path, ErrNotPlain)
	}
	if err != nil {
		_ = file.Close() // only read from
		return nil, nil, err
	}
	return file, info, nil
}

// OpenIn opens a file in an open folder, in which others may be able to write: a link is not followed.
func OpenIn(root *os.Root, name string) (*File, error) {
	path := filepath.Join(root.Name(), name)
	there, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !there.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w", path, ErrNotPlain)
	}
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read from
	here, err := file.Stat()
	if err == nil && !os.SameFile(there, here) {
		err = fmt.Errorf("%s is not read: another was put in its place", path)
	}
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "dup", Path: path, Err: err}
	}
	return plain(fd, path)
}

// plain returns the file if it is a plain one, and closes it otherwise.
func plain(fd int, path string) (*File, error) {
	file := &File{fd: fd, path: path}
	err := unix.Fstat(fd, &file.stat)
	if err != nil {
		_ = unix.Close(fd)
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch file.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return file, nil
	case unix.S_IFDIR:
		err = &fs.PathError{Op: "read", Path: path, Err: unix.EISDIR}
	default:
		err = fmt.Errorf("%s %w", path, ErrNotPlain)
	}
	_ = unix.Close(fd)
	return nil, err
}

// Stat returns what the file was when it was opened.
func (f *File) Stat() unix.Stat_t { return f.stat }

// Shared reports whether others than root and this process's user own the file or may write to it.
func (f *File) Shared() bool {
	return f.stat.Mode&0o022 != 0 || f.stat.Uid != 0 && int(f.stat.Uid) != os.Geteuid()
}

// Read is io.Reader's.
func (f *File) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := retry(func() (int, error) { return unix.Read(f.fd, b) })
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Seek is io.Seeker's.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	return unix.Seek(f.fd, offset, whence)
}

// SeekTail goes to the last most bytes of the file as it was opened, or to its beginning.
func (f *File) SeekTail(most int64) error {
	_, err := f.Seek(max(0, f.stat.Size-most), io.SeekStart)
	return err
}

// Close gives the file up. There is nothing to lose.
func (f *File) Close() { _ = unix.Close(f.fd) }

// ErrLarge says that a file is larger than what is read of it.
var ErrLarge = errors.New("file too large")

// Read reads the whole file at path, which may be up to most bytes long.
func Read(path string, most int) ([]byte, error) {
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.All(most)
}

// ReadIn is Read for a file that OpenIn opens.
func ReadIn(root *os.Root, name string, most int) ([]byte, error) {
	file, err := OpenIn(root, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.All(most)
}

// Read is Read for a file in the folder.
func (d *Dir) Read(name string, most int) ([]byte, error) {
	fd, err := d.Open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	file, err := plain(fd, d.Path(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.All(most)
}

// All reads the whole file, which may be up to most bytes long.
func (f *File) All(most int) ([]byte, error) {
	data := make([]byte, 0, min(most+1, 4<<10))
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: f.path, Err: err}
		case len(data) > most:
			return nil, fmt.Errorf("%s is larger than %d bytes: %w", f.path, most, ErrLarge)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

// retry calls again what a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
