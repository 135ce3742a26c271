package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scriptVariable makes this binary a process that runs a script and waits for it.
const scriptVariable = "AR_EXEC_SCRIPT"

func TestMain(m *testing.M) {
	if script := os.Getenv(scriptVariable); script != "" {
		_, err := Command(context.Background(), "/bin/sh", "", "-c", script)
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func shell(t *testing.T, stdin, script string) ([]byte, error) {
	t.Helper()
	return Command(t.Context(), "/bin/sh", stdin, "-c", script)
}

func TestCommand(t *testing.T) {
	big := strings.Repeat("0123456789abcdef\n", 100_000)
	for _, tt := range []struct{ name, stdin, script, want string }{
		{"output", "", "echo hello; echo aside >&2", "hello\n"},
		{"standard input", "one\ntwo\n", "cat", "one\ntwo\n"},
		{"standard input larger than a pipe", big, "cat", big},
		{"input that nobody reads", big, "echo done", "done\n"},
		{"empty standard input", "", "cat", ""},
		{"environment", "", "env | sort | grep -v -e ^PWD= -e ^_= -e ^SHLVL=",
			"LC_ALL=C\nPATH=" + strings.Join(Dirs, ":") + "\n"},
		{"working directory", "", "pwd", "/\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := shell(t, tt.stdin, tt.script)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %d bytes %.60q, %v; want %d bytes %.60q", len(got), got, err, len(tt.want),
					tt.want)
			}
		})
	}
}

func TestCommandReturnsStatusAndWords(t *testing.T) {
	_, err := shell(t, "", "echo first; echo second word >&2; echo third >&2; exit 4")
	if Status(err) != 4 || err.Error() != "sh: exit status 4: second word third" {
		t.Errorf("err = %v with status %d", err, Status(err))
	}
	_, err = shell(t, "", "kill -9 $$")
	if Status(err) != -1 {
		t.Errorf("status of a killed program = %d, want -1", Status(err))
	}
	_, err = Command(t.Context(), filepath.Join(t.TempDir(), "none"), "")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v, want that there is no such program", err)
	}
}

func TestCommandBoundsErrors(t *testing.T) {
	_, err := shell(t, "", "head -c 5000000 /dev/zero | tr '\\0' x >&2; exit 4")
	if Status(err) != 4 || len(err.Error()) > maxStderr+100 {
		t.Errorf("status %d, %d bytes", Status(err), len(err.Error()))
	}
}

func TestCommandEndsWithItsDeadline(t *testing.T) {
	for _, script := range []string{"exec sleep 180", "sleep 180", "sleep 180 & wait",
		"exec >&-; exec 2>&-; sleep 180"} {
		t.Run(script, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			started := time.Now()
			_, err := Command(ctx, "/bin/sh", "", "-c", script)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "killed") {
				t.Errorf("err = %v, want that it was killed", err)
			}
			if took := time.Since(started); took > time.Minute {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestCommandEndsWithItsParent: nothing goes on working once the locks of a killed process are free.
func TestCommandEndsWithItsParent(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command("/proc/self/exe")
	parent.Env = append(os.Environ(), scriptVariable+"=exec 9>"+pipe+"; echo runs >&9; exec sleep 180")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	end, err := os.Open(pipe) // when the script has opened its own
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	if said, err := bufio.NewReader(io.LimitReader(end, 5)).ReadString('\n'); err != nil || said != "runs\n" {
		t.Fatalf("%q, %v", said, err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()            // "signal: killed"
	rest, err := io.ReadAll(end) // ends when nobody has the pipe open any more
	if took := time.Since(began); err != nil || len(rest) > 0 || took > time.Minute {
		t.Errorf("%q, %v; the program went on for %s", rest, err, took)
	}
}

func TestCommandDoesNotWaitForGrandchildren(t *testing.T) {
	started := time.Now()
	out, err := shell(t, "", "sleep 180 & echo done")
	if err != nil || string(out) != "done\n" || time.Since(started) > time.Minute {
		t.Errorf("got %q, %v after %s", out, err, time.Since(started))
	}
}

// TestCommandKillsChildren: with the deadline its children end too, wherever they are.
func TestCommandKillsChildren(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	_, err := Command(ctx, "/bin/sh", "", "-c", fmt.Sprintf("sleep 600 & echo $! > %s; wait", pidFile))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("err = %v, want that it was killed", err)
	}
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Skipf("it was killed before it had a child: %v", err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); runtime.Gosched() {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(content)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") { // nobody has waited for it yet
			return
		}
	}
	t.Errorf("its child %s runs on", content)
}

// TestCommandBoundsOutput: of a flood the beginning is kept, and the program ends.
func TestCommandBoundsOutput(t *testing.T) {
	out, err := shell(t, "", fmt.Sprintf("head -c %d /dev/zero", maxStdout+1<<20))
	if err != nil || len(out) != maxStdout {
		t.Errorf("%d bytes, %v; want %d", len(out), err, maxStdout)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "plain": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Find("tool", []string{"/nonexistent", dir}); err != nil ||
		got != filepath.Join(dir, "tool") {
		t.Errorf("Find(tool) = %q, %v", got, err)
	}
	if _, err := Find("plain", []string{dir}); !errors.Is(err, ErrNotFound) ||
		!strings.Contains(err.Error(), dir) {
		t.Errorf("Find of a file that cannot be run = %v", err)
	}
}
