// Package run is the one place that starts other programs. It starts them by
// absolute path with an argument list: no shell, no $PATH (ossec-execd hands
// down an almost empty environment, and what it holds is not ours to trust), a
// small fixed environment, a deadline, and bounds on what is kept of the output.
package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Dirs are the folders that Find looks through, in order.
var Dirs = []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"}

const (
	// maxStdout and maxStderr bound what is kept of a program's output, in bytes;
	// the rest is read and thrown away, so that the program does not block.
	maxStdout = 64 << 20
	maxStderr = 4 << 10
	// pipeGrace is how long after a program's end its pipes are read on: a child
	// of its own may hold them open for ever.
	pipeGrace = 500 * time.Millisecond
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

// Command runs the program at path and returns its standard output. It is killed
// when ctx ends, and so are its children. stdin may be nil.
func Command(ctx context.Context, path string, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = Environment()
	cmd.Dir = "/"
	cmd.Stdin = stdin
	stdout, stderr := &bounded{max: maxStdout}, &bounded{max: maxStderr}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = pipeGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // the latter: it ended well, a child of its own holds the pipe
		return stdout.kept.Bytes(), nil
	}
	failure := &Error{Program: filepath.Base(path), Status: -1, Stderr: oneLine(stderr.kept.String()), Err: err}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		failure.Status = exit.ExitCode()
	}
	if cause := ctx.Err(); cause != nil {
		failure.Err = fmt.Errorf("killed: %w", cause)
	}
	return stdout.kept.Bytes(), failure
}

// Environment is what every program is started with.
func Environment() []string {
	return []string{"LC_ALL=C", "PATH=" + strings.Join(Dirs, ":")}
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// bounded keeps the first max bytes written to it and swallows the rest.
// The buffer is a field, not embedded: io.Copy would find its ReadFrom and go
// round the bound.
type bounded struct {
	kept bytes.Buffer
	max  int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.kept.Len(); room > 0 {
		b.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
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
