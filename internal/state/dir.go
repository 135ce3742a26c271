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
)

// MakeDir makes the folder (0700) if it is missing, and checks it.
func MakeDir(dir string) error {
	if err := CheckDir(dir); !errors.Is(err, os.ErrNotExist) {
		return err // it is there, as nearly always
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making the state folder: %w", err)
	}
	return CheckDir(dir)
}

// CheckDir returns nil only for a folder that belongs to this process's user and that
// nobody else may write in. A missing one is an error that errors.Is os.ErrNotExist.
func CheckDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at the state folder: %w", err)
	}
	return checkDir(dir, info)
}

func checkDir(dir string, info os.FileInfo) error {
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if info.IsDir() && owner == os.Geteuid() && info.Mode().Perm()&0o022 == 0 {
		return nil
	}
	return fmt.Errorf("the state folder %s is not used: it must be a folder of user %d that nobody else may write in (it is %s of user %d)",
		dir, os.Geteuid(), info.Mode(), owner)
}

// OpenDir opens a folder that CheckDir allows. What goes by way of it stays in that one, whatever
// is put in its place afterwards: who may write in the folder above can do so at any time.
func OpenDir(dir string) (*os.Root, error) {
	return openDir(dir,
		func() (os.FileInfo, error) { return os.Lstat(dir) },
		func() (*os.Root, error) { return os.OpenRoot(dir + "/") }) // a pipe in its place would be waited for
}

// OpenDirIn opens a folder in an open one in the same way.
func OpenDirIn(above *os.Root, name string) (*os.Root, error) {
	return openDir(filepath.Join(above.Name(), name),
		func() (os.FileInfo, error) { return above.Lstat(name) },
		func() (*os.Root, error) { return above.OpenRoot(name) })
}

func openDir(dir string, look func() (os.FileInfo, error),
	openRoot func() (*os.Root, error)) (*os.Root, error) {
	there, err := look()
	if err != nil {
		return nil, fmt.Errorf("looking at the state folder: %w", err)
	}
	if err := checkDir(dir, there); err != nil {
		return nil, err
	}
	root, err := openRoot()
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
		err = checkDir(dir, here)
	}
	if err != nil {
		_ = root.Close() // only looked into
		return nil, err
	}
	return root, nil
}
