package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked is what waiting ends in when the holder does not let go in time.
var ErrLocked = errors.New("still locked by another process")

// Lock is a lock that is held until Release: flock(2) for a whole file, a byte-range lock for
// one address in many. Locks are taken by the kernel's own queue (no polling), are gone with the
// process that held them (kill -9 included), and waiting is bounded: by the time for which the
// line does not move, however long it is. A lock file is never deleted, for that would let two
// holders in.
type Lock struct{ fd int }

// Release gives the lock back. It is safe on a nil Lock, and to be called once.
func (l *Lock) Release() {
	if l == nil {
		return
	}
	// Closing alone drops a lock only when no child has the file, which each has between its fork and
	// its exec. What fails here the end of the process does.
	_ = unix.Flock(l.fd, unix.LOCK_UN)
	_ = unix.FcntlFlock(uintptr(l.fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
	_ = unix.Close(l.fd)
}

// mostWaits is how many times as long a slot is waited for while the line for other slots moves.
const mostWaits = 12

// Exclusive is Dir.Exclusive for the file at path, in any folder that is no link.
func Exclusive(path string, wait time.Duration) (*Lock, error) {
	dir, err := open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	defer dir.Close()
	return dir.Exclusive(filepath.Base(path), wait)
}

// Exclusive locks a whole file for writing, waiting no longer than wait for the same holder. The
// file is made (0600) when missing; a symbolic link is refused.
func (d *Dir) Exclusive(name string, wait time.Duration) (*Lock, error) {
	return d.acquire(name, wait, 0, whole(unix.LOCK_EX))
}

// Shared locks the whole file for reading, waiting no longer than wait for the same writer.
func (d *Dir) Shared(name string, wait time.Duration) (*Lock, error) {
	return d.acquire(name, wait, 0, whole(unix.LOCK_SH))
}

// LockSlot locks one of 2^31 places of the file, so that those who work on
// different things need not wait for one another. It waits no longer than wait while nobody takes
// any slot, and mostWaits times as long in all. Slots and LockAll exclude each
// other; they do not meet Exclusive and Shared (fcntl(2) and flock(2) are
// different locks), so a file should serve one or the other.
func (d *Dir) LockSlot(name string, slot uint32, wait time.Duration) (*Lock, error) {
	return d.acquire(name, wait, mostWaits, byteRange(int64(slot&0x7fffffff), 1))
}

// LockAll locks every slot of the file.
func (d *Dir) LockAll(name string, wait time.Duration) (*Lock, error) {
	return d.acquire(name, wait, mostWaits, byteRange(0, 0))
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

// acquire tries once, which is enough nearly always, and else waits.
func (d *Dir) acquire(name string, wait time.Duration, most int, lock lockCall) (*Lock, error) {
	fd, err := d.Open(name, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	if lock(fd, false) != nil {
		if err := await(fd, wait, most, lock); err != nil {
			return nil, fmt.Errorf("waiting for lock %s: %w", d.Path(name), err)
		}
	}
	sign(fd)
	return &Lock{fd}, nil
}

// await runs the waiting call beside a timer. When the timer wins, and the holder is the same as
// when it was set or this was the last of so many times (0: any number), the call is left behind
// with its file, which it closes as soon as it gets the lock.
func await(fd int, wait time.Duration, most int, lock lockCall) error {
	if wait == 0 { // a call that is left behind would hold the lock for a moment, when its turn comes
		defer unix.Close(fd)
		return locked(fd, 0)
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
	for n, seen := 1, signature(fd); ; n++ {
		select {
		case err := <-done:
			if err != nil {
				_ = unix.Close(fd)
			}
			return err
		case <-timer.C:
		}
		now := signature(fd)
		if now == seen || n == most {
			defer close(gone)
			return locked(fd, time.Duration(n)*wait)
		}
		seen = now
		timer.Reset(wait)
	}
}

// locked is the error of a lock that was not had in that time.
func locked(fd int, within time.Duration) error {
	now := signature(fd)
	return fmt.Errorf("%w for %s (it was process %d's)", ErrLocked, within, binary.LittleEndian.Uint64(now[:]))
}

// sign writes into the lock file who took the lock last and when, for those who wait to see
// whether the line moves. On a full disk nobody sees it.
func sign(fd int) {
	var s [16]byte
	binary.LittleEndian.PutUint64(s[:], uint64(os.Getpid()))
	binary.LittleEndian.PutUint64(s[8:], uint64(time.Now().UnixNano()))
	_, _ = unix.Pwrite(fd, s[:], 0)
}

// signature returns what sign wrote last.
func signature(fd int) (s [16]byte) {
	_, _ = unix.Pread(fd, s[:], 0) // none is as good as an old one
	return s
}
