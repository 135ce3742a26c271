package arlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// The test binary started with this in its environment is a process that appends lines:
// "PATH NAME COUNT".
const appenderVariable = "ARLOG_TEST_APPENDER"

func TestMain(m *testing.M) {
	if role := strings.Fields(os.Getenv(appenderVariable)); len(role) == 3 {
		if err := appendLines(role[0], role[1], role[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// appendLines waits until standard input ends and then appends.
func appendLines(path, name, count string) error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(count, &n); err != nil {
		return err
	}
	for i := range n {
		if err := arlog.Append(path, -1, appended(name, i)); err != nil {
			return err
		}
	}
	return nil
}

// appended is entry i of a process; some are as long as a line can be.
func appended(name string, i int) arlog.Entry {
	return arlog.Entry{
		Time: time.Unix(1795404477, 0).UTC(), Program: name, Status: arlog.StatusAdd, Addr: netip.MustParseAddr("203.0.113.7"),
		AlertID: fmt.Sprint(i), Message: "Blocked IP: " + strings.Repeat("x", i*211%6000) + "end",
	}
}

// TestAppendProcessesAtOnce: 50 processes that begin with no log at all, let go at the
// same moment. No line is lost or mixed with another.
func TestAppendProcessesAtOnce(t *testing.T) {
	const processes, lines = 50, 40
	path := filepath.Join(t.TempDir(), "active-responses.log")
	gate, open, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmds, stderr := make([]*exec.Cmd, processes), make([]bytes.Buffer, processes)
	for i := range cmds {
		cmds[i] = exec.Command("/proc/self/exe")
		cmds[i].Env = append(os.Environ(), fmt.Sprintf("%s=%s p%d %d", appenderVariable, path, i, lines), "GORACE=atexit_sleep_ms=10")
		cmds[i].Stdin, cmds[i].Stderr = gate, &stderr[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(open.Close(), gate.Close()); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, &stderr[i])
		}
	}
	want := map[string]int{}
	for p := range processes {
		for i := range lines {
			want[string(appended(fmt.Sprintf("p%d", p), i).Format())]++
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		want[line]--
	}
	for line, n := range want {
		if n != 0 {
			t.Errorf("missing %d times: %.120q", n, line)
		}
	}
}

func TestAppendMakesTheLog(t *testing.T) {
	group := os.Getegid()
	if groups, err := os.Getgroups(); err == nil && os.Geteuid() != 0 {
		for _, g := range groups {
			group = g
		}
	}
	if os.Geteuid() == 0 {
		group = 54321
	}
	for _, umask := range []int{0, 0o027, 0o077, 0o777} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "active-responses.log")
			before := syscall.Umask(umask)
			err := arlog.Append(path, group, appended("x", 1))
			syscall.Umask(before)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode(); got != 0o660 {
				t.Errorf("mode is %o, want 660", got)
			}
			if got := int(info.Sys().(*syscall.Stat_t).Gid); got != group {
				t.Errorf("group is %d, want %d", got, group)
			}
		})
	}
}

// TestAppendLeavesMode: a log that is there keeps what the administrator gave it.
func TestAppendLeavesMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "active-responses.log")
	if err := os.WriteFile(path, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	another := os.Getegid() + 1
	if err := arlog.AppendLines(path, another, []byte("second\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o604 {
		t.Errorf("mode is %o, want 604", got)
	}
	if got := int(info.Sys().(*syscall.Stat_t).Gid); got == another {
		t.Error("its group was changed")
	}
	if got, _ := os.ReadFile(path); string(got) != "first\nsecond\n" {
		t.Errorf("content is %q", got)
	}
}

func TestAppendRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		put  func(path, victim string) error
	}{
		{"a link to a file", func(path, victim string) error { return os.Symlink(victim, path) }},
		{"a link to nothing", func(path, victim string) error { return os.Symlink(victim+".none", path) }},
		{"a link to a device", func(path, _ string) error { return os.Symlink("/dev/null", path) }},
		{"a link to itself", func(path, _ string) error { return os.Symlink(path, path) }},
		{"a second name of a file", func(path, victim string) error { return os.Link(victim, path) }},
		{"a folder", func(path, _ string) error { return os.Mkdir(path, 0o700) }},
		{"a pipe without a reader", func(path, _ string) error { return syscall.Mkfifo(path, 0o600) }},
		{"a socket", func(path, _ string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path, victim := filepath.Join(dir, "log"), filepath.Join(dir, "victim")
			if err := os.WriteFile(victim, []byte("keep me\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := test.put(path, victim); err != nil {
				t.Fatal(err)
			}
			if err := arlog.Append(path, -1, appended("x", 1)); !errors.Is(err, arlog.ErrNotPlain) || !strings.Contains(err.Error(), path) {
				t.Errorf("Append: %v, want ErrNotPlain for %s", err, path)
			}
			if got, err := os.ReadFile(victim); err != nil || string(got) != "keep me\n" {
				t.Errorf("the file is now %q, %v", got, err)
			}
			if _, err := os.Lstat(victim + ".none"); err == nil {
				t.Error("what the link names was made")
			}
		})
	}
}

// TestAppendPipeWithReader: a pipe that somebody reads opens, and is refused all the same.
func TestAppendPipeWithReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := arlog.Append(path, -1, appended("x", 1)); !errors.Is(err, arlog.ErrNotPlain) {
		t.Errorf("Append: %v, want ErrNotPlain", err)
	}
}

func TestAppendTellsErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "log")
	if err := arlog.Append(path, -1, appended("x", 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v, want ErrNotExist", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("it made the folder")
	}
}

func TestGroup(t *testing.T) {
	dir := t.TempDir()
	want := os.Getegid()
	if os.Geteuid() == 0 {
		want = 54321
		if err := os.Chown(dir, -1, want); err != nil {
			t.Fatal(err)
		}
	}
	if got := arlog.Group(dir); got != want {
		t.Errorf("Group is %d, want %d", got, want)
	}
	if got := arlog.Group(filepath.Join(dir, "none")); got != -1 {
		t.Errorf("Group of a folder that is not there is %d, want -1", got)
	}
}
