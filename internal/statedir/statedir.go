// Package statedir makes the folder that holds the suite's state, and refuses one that
// somebody else could have put there: the group that OSSEC's daemons run as may write in
// the folder above it (Wazuh's var is root:wazuh 0770), and root must not be led to write
// elsewhere by a link, nor to trust what others wrote.
package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Make makes the folder (0700) if it is missing, and checks it.
func Make(dir string) error {
	if err := Check(dir); !errors.Is(err, os.ErrNotExist) {
		return err // it is there, as nearly always
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making the state folder: %w", err)
	}
	return Check(dir)
}

// Check returns nil only for a folder that belongs to this process's user and that
// nobody else may write in. A missing one is an error that errors.Is os.ErrNotExist.
func Check(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at the state folder: %w", err)
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if info.IsDir() && owner == os.Geteuid() && info.Mode().Perm()&0o022 == 0 {
		return nil
	}
	return fmt.Errorf("the state folder %s is not used: it must be a folder of user %d that nobody else may write in (it is %s of user %d)",
		dir, os.Geteuid(), info.Mode(), owner)
}
