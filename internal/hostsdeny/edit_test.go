package hostsdeny

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// newFile returns an enforcer for a file with that content in a folder of its own.
func newFile(t *testing.T, content string) (*Enforcer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts.deny")
	writeFile(t, path, content, 0o644)
	return New(Options{Path: path, LockPath: filepath.Join(t.TempDir(), "lock")}), path
}

func writeFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s:\n got %q\nwant %q", path, got, want)
	}
}

// wantAlone checks that nothing but the file and its lock is left in its folder.
func wantAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := filepath.Join(filepath.Dir(path), entry.Name()); name != path && name != linefile.LockBeside(path) {
			t.Errorf("%s is left over", entry.Name())
		}
	}
}

func block(t *testing.T, e *Enforcer, addr target.Target) {
	t.Helper()
	out, err := e.Block(t.Context(), addr, enforcer.Unknown)
	if err != nil {
		t.Fatalf("Block(%s): %v", addr, err)
	}
	if len(out.Notes) > 0 {
		t.Errorf("Block(%s) notes %q", addr, out.Notes)
	}
}

func unblock(t *testing.T, e *Enforcer, addr target.Target) {
	t.Helper()
	if err := e.Unblock(t.Context(), addr); err != nil {
		t.Fatalf("Unblock(%s): %v", addr, err)
	}
}

func TestMissingFile(t *testing.T) {
	e, path := newFile(t, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	unblock(t, e, v4)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Unblock made the file: %v", err)
	}
	if listing, err := e.List(t.Context()); err != nil || len(listing.Blocks)+len(listing.Faults) > 0 {
		t.Errorf("List of a missing file: %+v, %v", listing, err)
	}
	umask := unix.Umask(0o077)
	defer unix.Umask(umask)
	out, err := e.Block(t.Context(), v4, enforcer.Unknown)
	if err != nil {
		t.Fatal(err)
	}
	if !out.Made {
		t.Error("Block made the file and does not report so")
	}
	wantFile(t, path, "ALL:1.2.3.4\n")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v; want 0644", info.Mode(), err)
	}
}

func TestSymlinksAreFollowed(t *testing.T) {
	_, target := newFile(t, plain)
	folder := t.TempDir()
	for name, to := range map[string]string{"hosts.deny": "second", "second": target} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	e := New(Options{Path: filepath.Join(folder, "hosts.deny"), LockPath: filepath.Join(t.TempDir(), "lock")})
	block(t, e, v4)
	wantFile(t, target, plain+"ALL:1.2.3.4\n")
	if to, err := os.Readlink(e.file.Path); err != nil || to != "second" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	block(t, e, v6)
	wantFile(t, target, "ALL:[2001:db8::1]\n")

	loop := filepath.Join(folder, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{Path: loop}).Block(t.Context(), v4, enforcer.Unknown)
	if !errors.Is(err, unix.ELOOP) {
		t.Errorf("blocking through a link to itself: %v", err)
	}
}

// TestParentOfALinkedFolder: ".." in a link means the parent of the folder that it lies
// in, not of the one by whose name it was reached.
func TestParentOfALinkedFolder(t *testing.T) {
	root := t.TempDir()
	target := filepath.Join(root, "srv/common/hosts.deny")
	for _, dir := range []string{"srv/common", "srv/etc", "common"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, target, plain, 0o644)
	for link, to := range map[string]string{
		"hosts.deny": "shared/hosts.deny", "shared": "srv/etc", "srv/etc/hosts.deny": "../common/hosts.deny",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	block(t, New(Options{Path: filepath.Join(root, "hosts.deny")}), v4)
	wantFile(t, target, plain+"ALL:1.2.3.4\n")
	if entries, err := os.ReadDir(filepath.Join(root, "common")); err != nil || len(entries) > 0 {
		t.Errorf("beside it stands %v, %v", entries, err)
	}
}

func statFile(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat
}

func TestEditorInBetween(t *testing.T) {
	saves := map[string]func(path string) error{
		"by rename": func(path string) error {
			return errors.Join(os.WriteFile(path+"~", []byte("sshd: ALL\n"), 0o644),
				os.Rename(path+"~", path))
		},
		"in place": func(path string) error { return os.WriteFile(path, []byte("sshd: ALL\n"), 0o644) },
		"same size": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("#", len(plain)-1)+"\n"), 0o644)
		},
		"removed": os.Remove,
	}
	for name, save := range saves {
		t.Run(name, func(t *testing.T) {
			e, path := newFile(t, plain)
			saved := false
			e.file.BeforeSwap = func() {
				if !saved {
					if err := save(path); err != nil {
						t.Error(err)
					}
				}
				saved = true
			}
			block(t, e, v4)
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(got), "PARANOID") || !strings.HasSuffix(string(got), "ALL:1.2.3.4\n") {
				t.Errorf("what was saved meanwhile is lost: %q", got)
			}
		})
	}
	t.Run("without end", func(t *testing.T) {
		e, path := newFile(t, plain)
		e.file.BeforeSwap = func() {
			if err := saves["by rename"](path); err != nil {
				t.Error(err)
			}
		}
		if _, err := e.Block(t.Context(), v4, enforcer.Unknown); !errors.Is(err, linefile.ErrChanged) {
			t.Errorf("got %v, want %v", err, linefile.ErrChanged)
		}
		wantFile(t, path, "sshd: ALL\n")
	})
}

// TestRemovedInBetween: somebody removes the file after it was read, and before a line is added behind it.
func TestRemovedInBetween(t *testing.T) {
	e, path := newFile(t, plain)
	removed := false
	_, err := e.file.Edit(t.Context(), func(content []byte) linefile.Plan {
		if !removed {
			removed = true
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
		return e.form.planAdd(content, []target.Target{v4})
	})
	if err != nil {
		t.Error(err)
	}
	wantFile(t, path, "ALL:1.2.3.4\n")
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	folder := t.TempDir()
	fifo := filepath.Join(folder, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(folder, "huge")
	writeFile(t, huge, "", 0o644)
	if err := os.Truncate(huge, linefile.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		folder: "is a directory", fifo: "is no plain file", "/dev/null": "is no plain file",
		huge: "more than the",
		filepath.Join(folder, "missing", "hosts.deny"): "no such file",
	} {
		e := New(Options{Path: path, LockPath: filepath.Join(t.TempDir(), "lock")})
		_, err := e.Block(t.Context(), v4, enforcer.Unknown)
		if err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "adding entry for 1.2.3.4 to "+path) {
			t.Errorf("Block on %s: %v, want %q", path, err, want)
		}
	}
	e := New(Options{Path: filepath.Join(folder, "x"), Daemons: "sshd: ALL"})
	if _, err := e.Block(t.Context(), v4, enforcer.Unknown); err == nil ||
		!strings.Contains(err.Error(), `"sshd:,ALL"`) {
		t.Errorf("Block with a daemon list that ends early: %v", err)
	}
}

func TestLock(t *testing.T) {
	e, path := newFile(t, plain)
	held, err := state.Exclusive(linefile.LockBeside(path), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	e.file.LockWait = 10 * time.Millisecond
	if _, err := e.Block(t.Context(), v4, enforcer.Unknown); !errors.Is(err, state.ErrLocked) {
		t.Errorf("Block while locked: %v", err)
	}
	e.file.LockWait = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Unblock(ctx, v4); !errors.Is(err, state.ErrLocked) {
		t.Errorf("Unblock while locked: %v", err)
	}
	held.Release()
	block(t, e, v4)
	wantFile(t, path, plain+"ALL:1.2.3.4\n")
}

func TestWithoutUsableLockFile(t *testing.T) {
	e, path := newFile(t, plain)
	if err := os.Symlink("nowhere", linefile.LockBeside(path)); err != nil { // which filelock refuses
		t.Fatal(err)
	}
	held, err := state.Exclusive(e.file.LockPath, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	e.file.LockWait = 10 * time.Millisecond
	if _, err := e.Block(t.Context(), v4, enforcer.Unknown); !errors.Is(err, state.ErrLocked) {
		t.Errorf("Block while the other lock is held: %v", err)
	}
	held.Release()
	block(t, e, v4)

	e.file.LockPath = filepath.Join(t.TempDir(), "missing", "lock")
	before := statFile(t, path)
	out, err := e.Block(t.Context(), v6, enforcer.Unknown)
	notes := strings.Join(out.Notes, "\n")
	if err != nil || !strings.Contains(notes, e.file.LockPath) || !strings.Contains(notes, "without a lock") {
		t.Errorf("Block without any lock: %q, %v", out.Notes, err)
	}
	wantFile(t, path, plain+"ALL:1.2.3.4\nALL:[2001:db8::1]\n")
	if statFile(t, path).Ino != before.Ino {
		t.Error("the file was replaced without a lock")
	}
	if err := e.Unblock(t.Context(), v6); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err = e.Block(t.Context(), v6, enforcer.Unknown); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "ALL:[2001:db8::1]\n")
}
