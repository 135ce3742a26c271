package state

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// MaxLinks bounds the links on the way to a file, as the kernel does.
const MaxLinks = 40

// Trusted returns nil when only root and this process's user can change what is at the absolute
// path: it, the folders on the way, and the links that are followed belong to one of them, and nobody
// else may write there. A folder of which nobody can take out what is another's, as /tmp, is as good.
// A missing one is an error that errors.Is os.ErrNotExist; then all that is there is trusted.
func Trusted(path string) error {
	names := strings.Split(path, "/") // as the kernel goes: what stands before a ".." counts
	if names[0] != "" {
		return fmt.Errorf("%s is no absolute path", path)
	}
	at, links := "/", 0
	for i := 0; i < len(names); i++ {
		next := filepath.Join(at, names[i])
		if next == at && i > 0 { // "" or "."
			continue
		}
		info, err := os.Lstat(next)
		if err != nil {
			return err
		}
		if err := ownedByRoot(next, info); err != nil {
			return err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		if links++; links > MaxLinks {
			return &os.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		names = slices.Concat(strings.Split(target, "/"), names[i+1:])
		i = -1
	}
	return nil
}

// ReadTrusted reads a whole file, which may be up to most bytes long, that is Trusted.
func ReadTrusted(path string, most int) ([]byte, error) {
	if err := Trusted(path); err != nil {
		return nil, err
	}
	return Read(path, most)
}

// ownedByRoot returns why others than root and this process's user could change what is at path.
func ownedByRoot(path string, info os.FileInfo) error {
	owner := ownerOf(info)
	shared := info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSymlink == 0 &&
		(!info.IsDir() || info.Mode()&os.ModeSticky == 0)
	if !shared && (owner == 0 || owner == os.Geteuid() || owner == overflowUser && outside()) {
		return nil
	}
	return fmt.Errorf("%s could be changed by others than root (it is %s of user %d)", path, info.Mode(),
		owner)
}

// overflowUser stands for all users that a user namespace does not know.
const overflowUser = 65534

// outside reports whether this process is in a user namespace in which nobody is overflowUser, as
// tests without root are: what seems to be his is then of somebody outside.
func outside() bool {
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(users)) {
		var inside, out, count int
		if _, err := fmt.Sscan(line, &inside, &out, &count); err != nil || overflowUser < inside+count {
			return false
		}
	}
	return true
}
