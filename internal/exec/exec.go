// Package exec is the one place that starts other programs. It starts them by
// absolute path with an argument list: no shell, no $PATH (ossec-execd hands
// down an almost empty environment, and what it holds is not ours to trust), a
// small fixed environment, a deadline, and bounds on what is kept of the output.
package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// maxStdout and maxStderr bound what is kept of a program's output, in bytes.
	maxStdout = 64 << 20
	maxStderr = 4 << 10
	// maxDrain is how long the output of a program that has ended is read on, in which a
	// child that holds it open may write for ever. What is in a pipe then is read in an instant.
	maxDrain = time.Second
)

// Dirs are the folders that Find looks through, in order.
var Dirs = []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"}

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

// Environment is what every program is started with.
func Environment() []string {
	return []string{"LC_ALL=C", "PATH=" + strings.Join(Dirs, ":")}
}

// Command is CommandWith with nothing added to the environment.
func Command(ctx context.Context, path string, stdin string, args ...string) ([]byte, error) {
	return CommandWith(ctx, nil, path, stdin, args...)
}

// CommandWith runs the program at path with stdin as its whole standard input and returns
// its standard output. It ends with ctx at the latest: the program is killed then, and so
// are its children. It is killed too when this process ends. env is added to its environment.
func CommandWith(ctx context.Context, env []string, path, stdin string, args ...string) ([]byte, error) {
	stdout, stderr := &bounded{max: maxStdout}, &bounded{max: maxStderr}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = "/", append(Environment(), env...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	// Locks of ours end with us, and nothing may go on working behind them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	cmd.WaitDelay = maxDrain
	err := cmd.Run()
	// the latter: it ended well, and a child has its output
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return stdout.kept.Bytes(), nil
	}
	failed := &Error{Program: filepath.Base(path), Status: -1,
		Stderr: oneLine(stderr.kept.String()), Err: err}
	if cmd.ProcessState != nil {
		failed.Status = cmd.ProcessState.ExitCode() // -1 for a signal
	}
	switch {
	case cmd.Process == nil:
		failed.Err = fmt.Errorf("starting it: %w", err)
	case failed.Status == -1 && ctx.Err() != nil:
		failed.Err = fmt.Errorf("killed: %w", ctx.Err())
	}
	return stdout.kept.Bytes(), failed
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// bounded keeps the first max bytes and forgets the rest, so that a program never
// waits for room.
type bounded struct {
	kept bytes.Buffer
	max  int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(b.max-b.kept.Len(), len(p))])
	return len(p), nil
}

// KillChildren kills the direct children of this process. It ends what a library runs that has no
// deadline of its own.
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
