package stats

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestLogsOnTwoFileSystems runs in a mount namespace of its own: a rotated log lies on
// another file system, where files have the same numbers.
func TestLogsOnTwoFileSystems(t *testing.T) {
	if os.Getenv("STATS_TWO_FILE_SYSTEMS") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLogsOnTwoFileSystems$", "-test.v")
		cmd.Env = append(os.Environ(), "STATS_TWO_FILE_SYSTEMS=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Skipf("no mount namespace: %v", err)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	h := newHost(t)
	for _, folder := range []string{"logs", "old"} {
		if err := os.MkdirAll(filepath.Join(h.home, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", filepath.Join(h.home, folder), "tmpfs", 0, ""); errors.Is(err, syscall.EPERM) {
			t.Skip("no mounts in the namespace")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	first := h.write("logs/active-responses.log", line(h.now, "203.0.113.1"), h.now)
	second := h.write("old/log", line(h.now, "203.0.113.2"), h.now)
	if err := os.Symlink(second, first+".1"); err != nil {
		t.Fatal(err)
	}
	var a, b syscall.Stat_t
	if err := errors.Join(syscall.Stat(first, &a), syscall.Stat(second, &b)); err != nil || a.Ino != b.Ino {
		t.Fatalf("%v: files %d and %d are to have the same number", err, a.Ino, b.Ino)
	}
	if out := h.must("--all"); blocksIn(t, out) != 2 {
		t.Errorf("%s", out)
	}
	for _, folder := range []string{"logs", "old"} {
		if err := syscall.Unmount(filepath.Join(h.home, folder), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
}
