// Package exec is the one place that starts other programs. It starts them by
// absolute path with an argument list: no shell, no $PATH (ossec-execd hands
// down an almost empty environment, and what it holds is not ours to trust), a
// small fixed environment, a deadline, and bounds on what is kept of the output.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxStdout and maxStderr bound what is kept of a program's output, in bytes.
const (
	maxStdout = 64 << 20
	maxStderr = 4 << 10
)

// ErrNotFound says that a program is in none of the folders.
var ErrNotFound = errors.New("program not found")

// Find returns the absolute path of the executable called name in dirs, Dirs when nil.
func Find(name string, dirs []string) (string, error) {
	if dirs == nil {
		dirs = Dirs
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s in %s: %w", name, strings.Join(dirs, ", "), ErrNotFound)
}

// Error is how a program that was started failed.
type Error struct {
	Program string // base name
	Status  int    // exit status; -1 when it was killed or never ran
	Stderr  string // its own words, shortened, on one line
	Err     error
}

func (e *Error) Error() string {
	if e.Stderr != "" {
		return fmt.Sprintf("%s: %v: %s", e.Program, e.Err, e.Stderr)
	}
	return fmt.Sprintf("%s: %v", e.Program, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Status returns the exit status in err, or -1 when there is none.
func Status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return -1
}

// Command runs the program at path with stdin as its whole standard input and returns
// its standard output. It ends with ctx's deadline at the latest: the program is killed
// then, and so are its children.
//
// It is not built on os/exec, whose goroutines for each pipe cost a short program like
// this one a third of its time: one loop waits for output, end and deadline.
func Command(ctx context.Context, path string, stdin string, args ...string) ([]byte, error) {
	stdout, stderr := &bounded{max: maxStdout}, &bounded{max: maxStderr}
	status, err := command(ctx, path, stdin, args, stdout, stderr)
	if err == nil && status == 0 {
		return stdout.kept, nil
	}
	if err == nil {
		err = fmt.Errorf("exit status %d", status)
	}
	return stdout.kept, &Error{Program: filepath.Base(path), Status: status, Stderr: oneLine(string(stderr.kept)), Err: err}
}

// command returns the exit status, or -1 and why there is none.
func command(ctx context.Context, path, stdin string, args []string, stdout, stderr *bounded) (int, error) {
	in, err := filled(stdin)
	if err != nil {
		return -1, fmt.Errorf("starting it: %w", err)
	}
	defer in.Close() // only read from
	pipes := []*pipe{{into: stdout}, {into: stderr}}
	for _, p := range pipes {
		if err := p.open(); err != nil {
			return -1, fmt.Errorf("starting it: %w", err)
		}
		defer p.close()
	}
	process, err := os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{
		Dir: "/", Env: Environment(), Files: []*os.File{in, pipes[0].far, pipes[1].far},
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return -1, fmt.Errorf("starting it: %w", err)
	}
	for _, p := range pipes {
		p.closeFar()
	}
	loopErr := watch(ctx, process, pipes)
	if loopErr != nil {
		_ = syscall.Kill(-process.Pid, syscall.SIGKILL) // it may have ended just now
	}
	state, err := process.Wait()
	if err = errors.Join(loopErr, err); err != nil {
		return -1, err
	}
	return state.ExitCode(), nil
}

// filled returns a file that reads as text: a pipe where it fits into one.
func filled(text string) (*os.File, error) {
	if text == "" {
		return os.Open(os.DevNull)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	const pipeSize = 64 << 10 // pipe(7)
	if len(text) > pipeSize {
		go func() {
			_, _ = io.WriteString(w, text) // a program that reads no further ends it
			_ = w.Close()
		}()
		return r, nil
	}
	_, err = io.WriteString(w, text)
	return r, errors.Join(err, w.Close())
}

// watch collects output until the process has ended and its pipes are empty.
func watch(ctx context.Context, process *os.Process, pipes []*pipe) error {
	var loopErr error
	err := process.WithHandle(func(pidfd uintptr) {
		loopErr = loop(ctx, int32(pidfd), pipes)
	})
	if errors.Is(err, os.ErrNoHandle) { // Linux before 5.4
		return watchOld(ctx, process.Pid, pipes)
	}
	return errors.Join(loopErr, err)
}

// watchOld makes a pipe that closes when the process ends stand for a pidfd.
func watchOld(ctx context.Context, pid int, pipes []*pipe) error {
	end := &pipe{}
	if err := end.open(); err != nil {
		return fmt.Errorf("waiting for it: %w", err)
	}
	defer end.close()
	far := end.far
	end.far = nil
	go func() {
		var info unix.Siginfo
		for errors.Is(unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
		_ = far.Close() // nothing was written
	}()
	return loop(ctx, end.near, pipes)
}

func loop(ctx context.Context, pidfd int32, pipes []*pipe) error {
	deadline, limited := ctx.Deadline()
	ended := false
	for {
		fds := make([]unix.PollFd, 0, 3)
		if !ended {
			fds = append(fds, unix.PollFd{Fd: pidfd, Events: unix.POLLIN})
		}
		for _, p := range pipes {
			if !p.done {
				fds = append(fds, unix.PollFd{Fd: p.near, Events: unix.POLLIN})
			}
		}
		if len(fds) == 0 {
			return nil
		}
		timeout := -1
		if limited {
			timeout = max(0, int(time.Until(deadline).Milliseconds())+1)
		}
		if ended {
			timeout = 0 // what a child of the program may still write is not waited for
		}
		n, err := unix.Poll(fds, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("waiting for it: %w", err)
		case n == 0 && ended:
			return nil
		case limited && !time.Now().Before(deadline), ctx.Err() != nil:
			return fmt.Errorf("killed: %w", context.DeadlineExceeded)
		}
		for _, fd := range fds {
			if fd.Revents == 0 {
				continue
			}
			if fd.Fd == pidfd {
				ended = true
			}
			for _, p := range pipes {
				if !p.done && fd.Fd == p.near {
					p.read()
				}
			}
		}
	}
}

// pipe carries one output of a program.
type pipe struct {
	into *bounded
	near int32 // our end, not blocking
	far  *os.File
	done bool
}

func (p *pipe) open() error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	p.near, p.far = int32(fds[0]), os.NewFile(uintptr(fds[1]), "pipe")
	return unix.SetNonblock(fds[0], true)
}

func (p *pipe) closeFar() {
	if p.far != nil {
		_ = p.far.Close() // only held for the child
		p.far = nil
	}
}

func (p *pipe) close() {
	p.closeFar()
	_ = unix.Close(int(p.near)) // only read from
}

// read takes what is there.
func (p *pipe) read() {
	var chunk [16 << 10]byte
	n, err := unix.Read(int(p.near), chunk[:])
	switch {
	case n > 0:
		p.into.add(chunk[:n])
	case n == 0, !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
		p.done = true
	}
}

// Environment is what every program is started with.
func Environment() []string {
	return []string{"LC_ALL=C", "PATH=" + strings.Join(Dirs, ":")}
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// bounded keeps the first max bytes and forgets the rest, so that a program never
// waits for room.
type bounded struct {
	kept []byte
	max  int
}

func (b *bounded) add(p []byte) {
	p = p[:min(b.max-len(b.kept), len(p))]
	if size := len(b.kept) + len(p); size > cap(b.kept) {
		// By itself append adds a quarter to what is large: of a flood, five times of what is
		// kept would lie around until it is collected, twice with this.
		b.kept = append(make([]byte, 0, min(b.max, max(size, 2*cap(b.kept)))), b.kept...)
	}
	b.kept = append(b.kept, p...)
}

// KillChildren kills the direct children of this process. It is for a library that
// starts programs without a deadline.
func KillChildren() {
	files, _ := filepath.Glob("/proc/self/task/*/children") // the pattern is well-formed
	for _, file := range files {
		list, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(list)) {
			if pid, err := strconv.Atoi(word); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
			}
		}
	}
}
