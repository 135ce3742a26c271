package report

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

// TestLogsOnTwoFileSystems runs in a mount namespace of its own: a rotated log lies on
// another file system, where files have the same numbers.
func TestLogsOnTwoFileSystems(t *testing.T) {
	if !isolate.Test(t) {
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
