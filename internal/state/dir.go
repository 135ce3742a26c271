// Package state is how the suite keeps files beside others who can write nearby: a folder
// that is root's alone, locks between processes, reading what others may have put something
// else in the place of, and replacing a file at once.
//
// The group that OSSEC's daemons run as may write in the folder above the state folder
// (Wazuh's var is root:wazuh 0770), and root must not be led to write elsewhere by a link, nor
// to trust what others wrote.
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dir is an open folder that belongs to this process's user and that nobody else may write in. What
// goes by way of it stays in that one, whatever is put in its place afterwards: who may write in
// the folder above can do so at any time.
type Dir struct {
	fd   int
	path string
}

// MakeDir makes the folder (0700) if it is missing, and opens it.
func MakeDir(path string) (*Dir, error) {
	if dir, err := OpenDir(path); !errors.Is(err, os.ErrNotExist) {
		return dir, err // it is there, as nearly always
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	return OpenDir(path)
}

// OpenDir opens a folder. A missing one is an error that errors.Is os.ErrNotExist.
func OpenDir(path string) (*Dir, error) {
	dir, err := open(path)
	if err != nil {
		if info, lerr := os.Lstat(path); lerr == nil && !info.IsDir() {
			return nil, ours(path, info.Mode(), ownerOf(info))
		}
		return nil, fmt.Errorf("opening the state folder: %w", err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(dir.fd, &stat); err != nil {
		dir.Close()
		return nil, fmt.Errorf("looking at the state folder: %w",
			&os.PathError{Op: "stat", Path: path, Err: err})
	}
	if err := ours(path, os.FileMode(stat.Mode&0o777)|os.ModeDir, int(stat.Uid)); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// open opens a folder, whoever may write in it. A link is not followed.
func open(path string) (*Dir, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{fd, path}, nil
}

// ours returns nil only for a folder of this process's user that nobody else may write in.
func ours(path string, mode os.FileMode, owner int) error {
	if mode.IsDir() && owner == os.Geteuid() && mode.Perm()&0o022 == 0 {
		return nil
	}
	return fmt.Errorf("the state folder %s is not used: it must be a folder of user %d "+
		"that nobody else may write in (it is %s of user %d)", path, os.Geteuid(), mode, owner)
}

func ownerOf(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// CheckDir returns why OpenDir would not open a folder.
func CheckDir(path string) error {
	dir, err := OpenDir(path)
	if err == nil {
		dir.Close()
	}
	return err
}

// Close gives the folder up; locks that were taken by way of it stay. There is nothing to lose.
func (d *Dir) Close() { _ = unix.Close(d.fd) }

// Path returns the path of a file in the folder, for people.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// ErrForeign says of a file in a folder of this process's user that it is not his: it was put there
// when the folder was somebody else's, who may still have it open.
var ErrForeign = errors.New("it is not used: it belongs to another user")

// Open opens a file in the folder without following a link or waiting for the other end of a pipe,
// or makes it (0600) where flags say so. Another user's is refused (ErrForeign).
func (d *Dir) Open(name string, flags int) (fd int, err error) {
	fd, err = retry(func() (int, error) {
		return unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	})
	if err == nil {
		err = owned(fd)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: d.Path(name), Err: err}
	}
	return fd, nil
}

// owned closes an open file, and returns why, unless it is this process's user's.
func owned(fd int) error {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	if err == nil {
		err = mine(int(stat.Uid))
	}
	if err != nil {
		_ = unix.Close(fd)
	}
	return err
}

// mine returns ErrForeign for what is not this process's user's.
func mine(owner int) error {
	if owner != os.Geteuid() {
		return fmt.Errorf("%w (%d)", ErrForeign, owner)
	}
	return nil
}

// Rename renames a file in the folder.
func (d *Dir) Rename(from, to string) error {
	if err := unix.Renameat(d.fd, from, d.fd, to); err != nil {
		return &os.LinkError{Op: "rename", Old: d.Path(from), New: d.Path(to), Err: err}
	}
	return nil
}

// Remove removes a file in the folder. A missing one is an error that errors.Is os.ErrNotExist.
func (d *Dir) Remove(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return &os.PathError{Op: "remove", Path: d.Path(name), Err: err}
	}
	return nil
}

// Sync waits until what was made, renamed and removed in the folder is on the disk.
func (d *Dir) Sync() error {
	return syncFolder(d.fd)
}

// Load reads a file of the folder at dir, which is opened as by OpenDir.
func Load(dir, name string, most int) ([]byte, error) {
	d, err := OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Read(name, most)
}

// Save replaces a file (0600) of the folder at dir, which is opened as by OpenDir.
func Save(dir, name string, data []byte) error {
	root, err := OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() // nothing is lost
	return ReplaceIn(root, name, data, 0o600, ReplaceOptions{})
}

// OpenRoot opens a folder as OpenDir does, for who lists files and works with many.
func OpenRoot(dir string) (*os.Root, error) {
	return openRoot(dir,
		func() (os.FileInfo, error) { return os.Lstat(dir) },
		func() (*os.Root, error) { return os.OpenRoot(dir + "/") }) // a pipe in its place would be waited for
}

// OpenRootIn opens a folder in an open one in the same way.
func OpenRootIn(above *os.Root, name string) (*os.Root, error) {
	return openRoot(filepath.Join(above.Name(), name),
		func() (os.FileInfo, error) { return above.Lstat(name) },
		func() (*os.Root, error) { return above.OpenRoot(name) })
}

// OpenOwn opens a file (0600) in a folder that OpenRoot opened. Another user's is refused (ErrForeign).
func OpenOwn(root *os.Root, name string, flags int) (*os.File, error) {
	file, err := root.OpenFile(name, flags|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = mine(ownerOf(info))
	}
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, &os.PathError{Op: "open", Path: filepath.Join(root.Name(), name), Err: err}
	}
	return file, nil
}

func openRoot(dir string, look func() (os.FileInfo, error),
	open func() (*os.Root, error)) (*os.Root, error) {
	there, err := look()
	if err != nil {
		return nil, fmt.Errorf("looking at the state folder: %w", err)
	}
	if err := ours(dir, there.Mode(), ownerOf(there)); err != nil {
		return nil, err
	}
	root, err := open()
	if err != nil {
		return nil, fmt.Errorf("opening the state folder: %w", err)
	}
	here, err := root.Stat(".")
	switch {
	case err != nil:
		err = fmt.Errorf("looking at the state folder: %w", err)
	case !os.SameFile(there, here): // a link, perhaps
		err = fmt.Errorf("the state folder %s is not used: another was put in its place", dir)
	default:
		err = ours(dir, here.Mode(), ownerOf(here))
	}
	if err != nil {
		_ = root.Close() // only looked into
		return nil, err
	}
	return root, nil
}
