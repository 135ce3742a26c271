package outbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// lockFD is where a detached deliverer finds the lock that it inherits.
const lockFD = 3

// ErrBusy says that another process is delivering.
var ErrBusy = errors.New("another process is delivering")

// Lock takes the deliverer's lock, waiting for it that long. Unlike a state.Lock it can be
// handed down: it belongs to the open file.
func (b *Box) Lock(wait time.Duration) (*os.File, error) {
	return b.lockFile(lockFile, os.O_CREATE, wait)
}

// lockFile opens a file and locks it; it ends in ErrBusy when that takes longer than wait.
func (b *Box) lockFile(name string, flags int, wait time.Duration) (*os.File, error) {
	file, err := state.OpenOwn(b.root, name, os.O_RDWR|flags)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	const pause = 5 * time.Millisecond
	for end := time.Now().Add(wait); ; time.Sleep(pause) {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return file, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			err = fmt.Errorf("locking %s: %w", filepath.Join(b.dir, name), err)
		case time.Now().Before(end):
			continue
		default:
			err = ErrBusy
		}
		_ = file.Close() // nothing was written
		return nil, err
	}
}

// InheritedLock takes over the lock that Start handed down.
func (b *Box) InheritedLock() (*os.File, error) {
	unix.CloseOnExec(lockFD)
	file := os.NewFile(lockFD, filepath.Join(b.dir, lockFile))
	here, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("taking over the lock: %w", err)
	}
	there, err := b.root.Lstat(lockFile)
	if err != nil || !os.SameFile(here, there) {
		return nil, errors.New("taking over the lock: it is another file")
	}
	if err := unix.Flock(lockFD, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("taking over the lock: %w", err)
	}
	return file, nil
}

// Start starts the deliverer, a program with its arguments, in a session of its own, and
// hands the lock down to it. It starts nothing when a deliverer is at work: that one looks for
// new items until after it has given up its lock, so it misses none.
func (b *Box) Start(env []string, program string, args ...string) error {
	lock, err := b.Lock(0)
	if errors.Is(err, ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close() // the child has its own copy
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = "/", env
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil { // its standard files are /dev/null
		return fmt.Errorf("starting the delivery: %w", err)
	}
	return cmd.Process.Release()
}
