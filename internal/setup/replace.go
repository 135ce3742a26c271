package setup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// replace puts next in the place of a file that holds old, all at once, with its mode,
// owner and attributes, and returns the copy of the old one that it made beside it.
func replace(path string, old, next []byte, now time.Time) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("changing the configuration: %w", err)
	}
	defer file.Close() // only read from
	backup, err := copyAside(file, path+".ossec-ar-backup-"+now.Format("20060102-150405"), old)
	if err != nil {
		return "", fmt.Errorf("keeping a copy of the configuration: %w", err)
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".ossec-ar.tmp")
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) { // a killed run left it
		return "", fmt.Errorf("changing the configuration: %w", err)
	}
	if err := create(file, temp, next); err != nil {
		return "", fmt.Errorf("changing the configuration: %w", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, old) {
		return "", errors.Join(fmt.Errorf("%s was changed by somebody else just now: try again", path), err,
			os.Remove(temp), os.Remove(backup))
	}
	if err := os.Rename(temp, path); err != nil {
		return "", errors.Join(fmt.Errorf("changing the configuration: %w", err),
			os.Remove(temp), os.Remove(backup))
	}
	return backup, syncFolder(filepath.Dir(path))
}

// copyAside makes a copy under the first name that is free.
func copyAside(like *os.File, name string, data []byte) (string, error) {
	for n := 1; ; n++ {
		free := name
		if n > 1 {
			free = fmt.Sprintf("%s-%d", name, n)
		}
		if err := create(like, free, data); !errors.Is(err, os.ErrExist) {
			return free, err
		}
	}
}

// create makes a file with the mode, the owner and the attributes of another.
func create(like *os.File, name string, data []byte) error {
	info, err := like.Stat()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = fill(file, like, info.Sys().(*syscall.Stat_t), data)
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func fill(file, like *os.File, stat *syscall.Stat_t, data []byte) error {
	if _, err := file.Write(data); err != nil {
		return err
	}
	fd := int(file.Fd())
	if err := unix.Fchown(fd, int(stat.Uid), int(stat.Gid)); err != nil {
		return fmt.Errorf("keeping the owner: %w", err)
	}
	if err := copyLabels(fd, int(like.Fd())); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, stat.Mode&0o7777); err != nil {
		return fmt.Errorf("keeping the mode: %w", err)
	}
	return file.Sync()
}

// copyLabels carries the SELinux label and the access list over, without which the
// daemons could not read the new file.
func copyLabels(to, from int) error {
	for _, name := range []string{"security.selinux", "system.posix_acl_access"} {
		value := make([]byte, 64<<10) // the most that the kernel has
		n, err := unix.Fgetxattr(from, name, value)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			continue
		}
		if err == nil {
			err = unix.Fsetxattr(to, name, value[:n], 0)
		}
		if err != nil {
			return fmt.Errorf("keeping the attribute %s: %w", name, err)
		}
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // a file system that syncs no folders
	}
	return errors.Join(err, folder.Close())
}

// put writes a file of the suite's own under the home, readable for the daemons and for
// nobody else. A folder that is missing is made.
func (j *job) put(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making a folder: %w", err)
	}
	info, err := os.Stat(filepath.Dir(j.conf))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	group := int(info.Sys().(*syscall.Stat_t).Gid)
	temp := filepath.Join(dir, "."+strings.TrimPrefix(filepath.Base(path), ".")+".tmp")
	err = os.WriteFile(temp, data, 0o640)
	if err == nil {
		err = errors.Join(os.Chmod(temp, 0o640), os.Chown(temp, -1, group))
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
