package state

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Like returns a ReplaceOptions.Prepare that gives a new file the owner and the extended
// attributes of an old one: ACL, SELinux label, capabilities, users' own.
func Like(old *File) func(file *os.File) error {
	return func(file *os.File) error {
		if err := file.Chown(int(old.stat.Uid), int(old.stat.Gid)); err != nil {
			return fmt.Errorf("keeping its owner: %w", err)
		}
		return copyAttributes(int(file.Fd()), old.fd)
	}
}

// accessACL may come from the folder's default ACL without the old file having it.
const accessACL = "system.posix_acl_access"

// copyAttributes gives the file at to the extended attributes of the one at from. Hashes and
// signatures of the content (IMA, EVM) would be wrong for the new one.
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
