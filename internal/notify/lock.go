package notify

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// lockFD is where a detached deliverer finds the lock that it inherits.
const lockFD = 3

// ErrBusy says that another process is delivering.
var ErrBusy = errors.New("another process is delivering")

const lockFile = "deliver.lock"

// tryLock takes the deliverer's lock without waiting. Unlike a filelock it can be handed
// down: it belongs to the open file, not to the process.
func (q *queue) tryLock() (*os.File, error) {
	file, err := q.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return file, nil
	}
	_ = file.Close() // nothing was written
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrBusy
	}
	return nil, fmt.Errorf("locking %s: %w", filepath.Join(q.dir, lockFile), err)
}

// lockPause is how often waitLock tries.
const lockPause = 10 * time.Millisecond

// waitLock waits for the lock that long.
func (q *queue) waitLock(wait time.Duration) (*os.File, error) {
	for end := time.Now().Add(wait); ; time.Sleep(lockPause) {
		file, err := q.tryLock()
		if !errors.Is(err, ErrBusy) || time.Now().After(end) {
			return file, err
		}
	}
}

// inheritedLock takes over the lock that the starting process handed down.
func (q *queue) inheritedLock() (*os.File, error) {
	unix.CloseOnExec(lockFD)
	file := os.NewFile(lockFD, filepath.Join(q.dir, lockFile))
	here, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("taking over the lock: %w", err)
	}
	there, err := q.root.Lstat(lockFile)
	if err != nil || !os.SameFile(here, there) {
		return nil, errors.New("taking over the lock: it is another file")
	}
	if err := unix.Flock(lockFD, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("taking over the lock: %w", err)
	}
	return file, nil
}

// start starts the deliverer in a process of its own, unless one is at work: that one
// looks for new events until after it has given up its lock, so it misses none.
func (q *queue) start(p *app.Program) error {
	lock, err := q.tryLock()
	if errors.Is(err, ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close() // the child has its own copy
	cmd := osexec.Command("/proc/self/exe", deliverCommand, "--locked")
	cmd.Args[0] = absolute(p.Invoked, p.Dir)
	cmd.Dir = "/"
	cmd.Env = append(exec.Environment(), "OSSEC_HOME="+string(p.Home))
	if zone, ok := os.LookupEnv("TZ"); ok {
		cmd.Env = append(cmd.Env, "TZ="+zone)
	}
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil { // its standard files are /dev/null
		return fmt.Errorf("starting the delivery: %w", err)
	}
	return cmd.Process.Release()
}

// absolute returns the path of the program as it was invoked from dir.
func absolute(invoked, dir string) string {
	if filepath.IsAbs(invoked) || filepath.Base(invoked) == invoked {
		return invoked
	}
	return filepath.Join(dir, invoked)
}

func random() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
