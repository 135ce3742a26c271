package hostsdeny

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// replace puts a file with the new content in the place of target, so that a reader has the
// whole old file or the whole new one. The caller holds the lock, and gives it back in placed.
// What cannot be carried over to the new file means errInPlace.
func (e *Enforcer) replace(target string, before *snapshot, p plan, placed func()) error {
	options := state.ReplaceOptions{
		Temp: tempName(target), Placed: placed,
		Check: func() error { return e.changed(target, before) },
	}
	mode := os.FileMode(0o644)
	if before.file != nil {
		mode = before.mode
		like := state.Like(before.file)
		options.Prepare = func(file *os.File) error {
			if err := like(file); err != nil {
				return fmt.Errorf("%w: %w", errInPlace, err)
			}
			return nil
		}
	}
	return inPlaceIfDenied(state.Replace(target, p.apply(before.content), mode, options))
}

// tempName is the same in every run, so that a run finds what a killed one left
// without reading the folder.
func tempName(target string) string {
	return "." + filepath.Base(target) + ".ossec-ar.tmp"
}

// changed returns errChanged when target is not the file that was read any more.
func (e *Enforcer) changed(target string, before *snapshot) error {
	if e.beforeSwap != nil {
		e.beforeSwap()
	}
	same, err := before.unchanged(target)
	if err == nil && !same {
		err = errChanged
	}
	return err
}

// inPlaceIfDenied turns what a folder that can't be written to, a bind mount
// on the file, or a disk without room for a second one answers with into errInPlace.
func inPlaceIfDenied(err error) error {
	for _, errno := range []unix.Errno{unix.EACCES, unix.EPERM, unix.EROFS, unix.EBUSY, unix.EXDEV,
		unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", errInPlace, err)
		}
	}
	return err
}
