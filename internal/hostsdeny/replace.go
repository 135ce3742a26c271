package hostsdeny

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// replace writes the new content to a temporary file beside target and renames
// it over target, so that a reader has the whole old file or the whole new one.
// It returns the folder, which is yet to be synced. The caller holds the lock.
func (e *Enforcer) replace(target string, before *snapshot, p plan) (*os.File, error) {
	temp := filepath.Join(filepath.Dir(target), tempName(target))
	file, err := createTemp(temp)
	if err != nil {
		return nil, inPlaceIfDenied(err)
	}
	renamed := false
	defer func() {
		if !renamed {
			_ = os.Remove(temp) // the error that led here is the one to tell
		}
	}()
	if err := fill(file, before, p.apply(before.content)); err != nil {
		_ = file.Close()
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	if e.beforeSwap != nil {
		e.beforeSwap()
	}
	if same, err := before.unchanged(target); err != nil {
		return nil, err
	} else if !same {
		return nil, errChanged
	}
	if err := os.Rename(temp, target); err != nil {
		return nil, inPlaceIfDenied(err) // EBUSY: a bind mount
	}
	renamed = true
	return os.Open(filepath.Dir(target))
}

// tempName is the same in every run, so that a run finds what a killed one left
// without reading the folder.
func tempName(target string) string {
	return "." + filepath.Base(target) + ".ossec-ar.tmp"
}

// createTemp makes the temporary file anew. One that is there already was left
// by a killed run, for whoever is alive holds the lock.
func createTemp(path string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("clearing what a killed run left: %w", err)
		}
		file, err = os.OpenFile(path, flags, 0o600)
	}
	return file, err
}

// fill writes content and gives file what the old one had: owner, mode and
// extended attributes. What can't be carried over means errInPlace.
func fill(file *os.File, before *snapshot, content []byte) error {
	if _, err := file.Write(content); err != nil {
		return inPlaceIfDenied(err)
	}
	fd := int(file.Fd())
	mode := uint32(0o644)
	if before.file != nil {
		mode = before.stat.Mode & 0o7777
		if err := unix.Fchown(fd, int(before.stat.Uid), int(before.stat.Gid)); err != nil {
			return fmt.Errorf("%w: keeping its owner: %w", errInPlace, err)
		}
		if err := copyAttributes(fd, int(before.file.Fd())); err != nil {
			return fmt.Errorf("%w: %w", errInPlace, err)
		}
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return fmt.Errorf("%w: keeping its mode: %w", errInPlace, err)
	}
	return inPlaceIfDenied(file.Sync())
}

// inPlaceIfDenied turns what a folder that can't be written to, a bind mount
// on the file, or a disk without room for a second one answers with into errInPlace.
func inPlaceIfDenied(err error) error {
	for _, errno := range []unix.Errno{unix.EACCES, unix.EPERM, unix.EROFS, unix.EBUSY, unix.EXDEV, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", errInPlace, err)
		}
	}
	return err
}

// accessACL may come from the folder's default ACL without the old file having it.
const accessACL = "system.posix_acl_access"

// copyAttributes gives the file at to the extended attributes of the one at
// from: ACL, SELinux label, capabilities, users' own. Hashes and signatures of
// the content (IMA, EVM) would be wrong for the new one.
func copyAttributes(to, from int) error {
	names, err := attributeNames(from)
	if err != nil {
		return fmt.Errorf("listing its extended attributes: %w", err)
	}
	for _, name := range names {
		if name == "security.ima" || name == "security.evm" {
			continue
		}
		value, err := attribute(from, name)
		if err == nil {
			err = unix.Fsetxattr(to, name, value, 0)
		}
		if err != nil {
			return fmt.Errorf("keeping its attribute %s: %w", name, err)
		}
	}
	if slices.Contains(names, accessACL) {
		return nil
	}
	err = unix.Fremovexattr(to, accessACL)
	if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("dropping the folder's default ACL: %w", err)
	}
	return nil
}

// attributeNames has none where the file system knows no attributes.
func attributeNames(fd int) ([]string, error) {
	list, err := sized(func(buffer []byte) (int, error) { return unix.Flistxattr(fd, buffer) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"), nil
}

func attribute(fd int, name string) ([]byte, error) {
	return sized(func(buffer []byte) (int, error) { return unix.Fgetxattr(fd, name, buffer) })
}

// sized calls read with a buffer that is enough for nearly all, and once more
// with the largest size that the kernel has for attributes (64 KiB).
func sized(read func([]byte) (int, error)) ([]byte, error) {
	buffer := make([]byte, 512)
	n, err := read(buffer)
	if errors.Is(err, unix.ERANGE) {
		buffer = make([]byte, 64<<10)
		n, err = read(buffer)
	}
	if err != nil {
		return nil, err
	}
	return buffer[:n], nil
}

func syncAndClose(folder *os.File) error {
	err := folder.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // a file system that syncs no folders
	}
	return errors.Join(err, folder.Close())
}
