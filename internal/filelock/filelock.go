// Package filelock makes processes wait for one another: flock(2) for a whole
// file, and byte-range locks for one address in many. Locks are taken by the
// kernel's own queue (no polling), are gone with the process that held them
// (kill -9 included), and waiting is bounded. It never deletes a lock file, for
// that would let two holders in.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrTimeout is what waiting ends in when the holder does not let go in time.
var ErrTimeout = errors.New("still locked by another process")

// Lock is a lock that is held until Release.
type Lock struct{ file *os.File }

// Release gives the lock back. It is safe on a nil Lock.
func (l *Lock) Release() {
	if l != nil {
		_ = l.file.Close() // closing drops both kinds of lock; there is nothing to lose
	}
}

// Exclusive locks the whole file at path for writing, waiting no longer than wait.
// The file is made (0600) when missing; a symbolic link is refused.
func Exclusive(path string, wait time.Duration) (*Lock, error) {
	return acquire(path, wait, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX) })
}

// Shared locks the whole file at path for reading, waiting no longer than wait.
func Shared(path string, wait time.Duration) (*Lock, error) {
	return acquire(path, wait, func(fd int) error { return unix.Flock(fd, unix.LOCK_SH) })
}

// Slot locks one of 2^31 places of the file at path, so that those who work on
// different things need not wait for one another. Slots and All exclude each
// other; they do not meet Exclusive and Shared (fcntl(2) and flock(2) are
// different locks), so a file should serve one or the other.
func Slot(path string, slot uint32, wait time.Duration) (*Lock, error) {
	return byteRange(path, int64(slot&0x7fffffff), 1, wait)
}

// All locks every Slot of the file at path.
func All(path string, wait time.Duration) (*Lock, error) {
	return byteRange(path, 0, 0, wait)
}

func byteRange(path string, start, length int64, wait time.Duration) (*Lock, error) {
	return acquire(path, wait, func(fd int) error {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: start, Len: length}
		return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLKW, &lock)
	})
}

// acquire runs the blocking lock call beside a timer. When the timer wins, the
// call is left behind with its file, which it closes as soon as it gets the lock.
func acquire(path string, wait time.Duration, lock func(fd int) error) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	done := make(chan error)
	gone := make(chan struct{})
	go func() {
		err := retryInterrupted(func() error { return lock(int(file.Fd())) })
		select {
		case done <- err:
		case <-gone:
			_ = file.Close()
		}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return &Lock{file}, nil
	case <-timer.C:
		close(gone)
		return nil, fmt.Errorf("waiting %s for lock %s: %w", wait, path, ErrTimeout)
	}
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
