package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked is what waiting ends in when the holder does not let go in time.
var ErrLocked = errors.New("still locked by another process")

// Lock is a lock that is held until Release: flock(2) for a whole file, a byte-range lock for
// one address in many. Locks are taken by the kernel's own queue (no polling), are gone with the
// process that held them (kill -9 included), and waiting is bounded. A lock file is never
// deleted, for that would let two holders in.
type Lock struct{ fd int }

// Release gives the lock back. It is safe on a nil Lock, and to be called once.
func (l *Lock) Release() {
	if l != nil {
		_ = unix.Close(l.fd) // closing drops both kinds of lock; there is nothing to lose
	}
}

// Exclusive locks the whole file at path for writing, waiting no longer than wait.
// The file is made (0600) when missing; a symbolic link is refused.
func Exclusive(path string, wait time.Duration) (*Lock, error) {
	return acquire(path, wait, whole(unix.LOCK_EX))
}

// Shared locks the whole file at path for reading, waiting no longer than wait.
func Shared(path string, wait time.Duration) (*Lock, error) {
	return acquire(path, wait, whole(unix.LOCK_SH))
}

// LockSlot locks one of 2^31 places of the file at path, so that those who work on
// different things need not wait for one another. Slots and LockAll exclude each
// other; they do not meet Exclusive and Shared (fcntl(2) and flock(2) are
// different locks), so a file should serve one or the other.
func LockSlot(path string, slot uint32, wait time.Duration) (*Lock, error) {
	return acquire(path, wait, byteRange(int64(slot&0x7fffffff), 1))
}

// LockAll locks every slot of the file at path.
func LockAll(path string, wait time.Duration) (*Lock, error) {
	return acquire(path, wait, byteRange(0, 0))
}

// lockCall takes a lock on an open file, waiting for it or not.
type lockCall func(fd int, wait bool) error

func whole(how int) lockCall {
	return func(fd int, wait bool) error {
		if wait {
			return unix.Flock(fd, how)
		}
		return unix.Flock(fd, how|unix.LOCK_NB)
	}
}

func byteRange(start, length int64) lockCall {
	return func(fd int, wait bool) error {
		command := unix.F_OFD_SETLK
		if wait {
			command = unix.F_OFD_SETLKW
		}
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: start, Len: length}
		return unix.FcntlFlock(uintptr(fd), command, &lock)
	}
}

// acquire tries once, which is enough nearly always, and else runs the waiting call
// beside a timer. When the timer wins, the call is left behind with its file, which it
// closes as soon as it gets the lock.
func acquire(path string, wait time.Duration, lock lockCall) (*Lock, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	if lock(fd, false) == nil {
		return &Lock{fd}, nil
	}
	done := make(chan error)
	gone := make(chan struct{})
	go func() {
		_, err := retry(func() (int, error) { return 0, lock(fd, true) })
		select {
		case done <- err:
		case <-gone:
			_ = unix.Close(fd)
		}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return &Lock{fd}, nil
	case <-timer.C:
		close(gone)
		return nil, fmt.Errorf("waiting %s for lock %s: %w", wait, path, ErrLocked)
	}
}
