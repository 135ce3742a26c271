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
// replaced, not followed. The temporary file is gone when it fails.
func Replace(path string, data []byte, mode os.FileMode, options ReplaceOptions) error {
	root, err := os.OpenRoot(filepath.Dir(path) + "/") // "/": a pipe in its place would be waited for
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	defer root.Close() // nothing is lost
	return ReplaceIn(root, filepath.Base(path), data, mode, options)
}

// ReplaceIn is Replace for a file in an open folder. Whatever is put in the place of that folder or
// of the file meanwhile, by whoever may write there, nothing is written elsewhere.
func ReplaceIn(root *os.Root, name string, data []byte, mode os.FileMode,
	options ReplaceOptions) (err error) {
	temp := options.Temp
	if temp == "" {
		temp = fmt.Sprintf(".%s.%016x.tmp", name, rand.Uint64())
	}
	path := filepath.Join(root.Name(), name)
	file, err := createAnew(root, temp, options.Temp != "")
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	defer func() {
		if err == nil {
			return
		}
		if left := root.Remove(temp); !errors.Is(left, os.ErrNotExist) {
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
	if err := root.Rename(temp, name); err != nil {
		return err
	}
	if options.Placed != nil {
		options.Placed()
	}
	return SyncRoot(root)
}

// SyncRoot is Dir.Sync for an open folder.
func SyncRoot(root *os.Root) error {
	folder, err := root.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close() // only synced
	return syncFolder(int(folder.Fd()))
}

// createAnew makes a file that is not there, or takes the place of one.
func createAnew(root *os.Root, name string, over bool) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL // with which no link is followed
	file, err := root.OpenFile(name, flags, 0o600)
	if over && errors.Is(err, os.ErrExist) {
		if err := root.Remove(name); err != nil {
			return nil, fmt.Errorf("removing what a killed run left: %w", err)
		}
		file, err = root.OpenFile(name, flags, 0o600)
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

func syncFolder(fd int) error {
	err := unix.Fsync(fd)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // a file system that syncs no folders
	}
	return os.NewSyscallError("fsync", err)
}
