package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ReplaceOptions are what Replace does beside writing. The zero value is nothing.
type ReplaceOptions struct {
	// Prepare is called with the new file when it holds the data and before it gets its mode, to
	// give it an owner or attributes.
	Prepare func(file *os.File) error
	// Check is called last before the new file takes the place of the old one: an error keeps
	// that.
	Check func() error
	// Placed is called when the new file is in its place, before that is on the disk: a lock can
	// be given back.
	Placed func()
	// Temp is the new file's name in the folder until then; "" for one that nobody can guess. A
	// name of its own is for who holds a lock on the file: what a killed process left of that
	// name is removed.
	Temp string
}

// Replace puts a file with this content and exactly this mode at path, all at once: whoever
// reads it gets the old one or the new one, also after a loss of power. A link at path is
// replaced, not followed. Its folder must be one that others cannot write in. The temporary file
// is gone when it fails.
func Replace(path string, data []byte, mode os.FileMode, options ReplaceOptions) (err error) {
	dir := filepath.Dir(path)
	name := options.Temp
	if name == "" {
		name = fmt.Sprintf(".%s.%016x.tmp", filepath.Base(path), rand.Uint64())
	}
	temp := filepath.Join(dir, name)
	file, err := createAnew(temp, options.Temp != "")
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	defer func() {
		if err == nil {
			return
		}
		if left := os.Remove(temp); !errors.Is(left, os.ErrNotExist) {
			err = errors.Join(err, left)
		}
		err = fmt.Errorf("replacing %s: %w", path, err)
	}()
	if err := errors.Join(fill(file, data, mode, options), file.Close()); err != nil {
		return err
	}
	if options.Check != nil {
		if err := options.Check(); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	if options.Placed != nil {
		options.Placed()
	}
	return SyncDir(dir)
}

// createAnew makes a file that is not there, or takes the place of one.
func createAnew(path string, over bool) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, 0o600)
	if over && errors.Is(err, os.ErrExist) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing what a killed run left: %w", err)
		}
		file, err = os.OpenFile(path, flags, 0o600)
	}
	return file, err
}

func fill(file *os.File, data []byte, mode os.FileMode, options ReplaceOptions) error {
	if _, err := file.Write(data); err != nil {
		return err
	}
	if options.Prepare != nil {
		if err := options.Prepare(file); err != nil {
			return err
		}
	}
	if err := file.Chmod(mode); err != nil {
		return err
	}
	return file.Sync()
}

// SyncDir waits until what was made, renamed and removed in a folder is on the disk.
func SyncDir(dir string) error {
	fd, err := retry(func() (int, error) {
		return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd) // only synced
	err = unix.Fsync(fd)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // a file system that syncs no folders
	}
	return os.NewSyscallError("fsync", err)
}
