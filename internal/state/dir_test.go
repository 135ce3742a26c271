package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

func TestMake(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		home := t.TempDir()
		dir := filepath.Join(home, "var/active-response")
		if err := state.CheckDir(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Check of a folder that is not there: %v, want ErrNotExist", err)
		}
		before := syscall.Umask(umask)
		err := makeDir(dir)
		syscall.Umask(before)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode(); got != os.ModeDir|0o700 {
			t.Errorf("umask %03o: mode is %s, want drwx------", umask, got)
		}
		if info, err = os.Lstat(filepath.Dir(dir)); err != nil || info.Mode().Perm()&0o027 != 0 {
			t.Errorf("umask %03o: the folder above is %s (%v), want nothing for others", umask, info.Mode(),
				err)
		}
		if err := makeDir(dir); err != nil {
			t.Errorf("a second time: %v", err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		put  func(t *testing.T, dir string) error
		ok   bool
	}{
		{"ours", func(_ *testing.T, dir string) error { return mkdir(dir, 0o700) }, true},
		{"ours, readable for all", func(_ *testing.T, dir string) error { return mkdir(dir, 0o755) }, true},
		{"writable for the group", func(_ *testing.T, dir string) error { return mkdir(dir, 0o770) }, false},
		{"writable for all", func(_ *testing.T, dir string) error { return mkdir(dir, 0o702) }, false},
		{"sticky and writable for all", func(_ *testing.T,
			dir string) error {
			return mkdir(dir, os.ModeSticky|0o777)
		}, false},
		{"of another user", func(t *testing.T, dir string) error {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			return errors.Join(mkdir(dir, 0o700), os.Chown(dir, 54321, -1))
		}, false},
		{"a link to one of ours", func(t *testing.T, dir string) error {
			return os.Symlink(t.TempDir(),
				dir)
		}, false},
		{"a link to nothing", func(_ *testing.T, dir string) error { return os.Symlink(dir+".none", dir) },
			false},
		{"a file", func(_ *testing.T, dir string) error { return os.WriteFile(dir, nil, 0o600) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "active-response")
			if err := test.put(t, dir); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(dir)
			if err != nil {
				t.Fatal(err)
			}
			calls := map[string]func(string) error{"Make": makeDir, "Check": state.CheckDir,
				"OpenRoot": openRoot}
			for name, call := range calls {
				err := call(dir)
				if test.ok && err != nil {
					t.Errorf("%s: %v", name, err)
				}
				refused := err != nil && !errors.Is(err, os.ErrNotExist) &&
					strings.Contains(err.Error(), "the state folder "+dir+" is not used")
				if !test.ok && !refused {
					t.Errorf("%s: %v, want it refused", name, err)
				}
			}
			if after, err := os.Lstat(dir); err != nil || after.Mode() != before.Mode() {
				t.Errorf("it is now %v (%v), and was %s", after, err, before.Mode())
			}
			if _, err := os.Lstat(dir + ".none"); err == nil {
				t.Error("what the link names was made")
			}
		})
	}
}

// mkdir makes a folder with just that mode.
func mkdir(dir string, mode os.FileMode) error {
	return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode))
}

// TestMakeBelowAFile: the error names what is in the way.
func TestMakeBelowAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "var")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := makeDir(filepath.Join(file, "active-response"))
	if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want ENOTDIR for %s", err, file)
	}
}

// TestOpenRoot: what is opened is what Check looked at, and it stays so.
func TestOpenRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "active-response")
	if _, err := state.OpenRoot(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing one: %v, want ErrNotExist", err)
	}
	if err := makeDir(dir); err != nil {
		t.Fatal(err)
	}
	root, err := state.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := state.OpenRootIn(root, "mail"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing one within: %v, want ErrNotExist", err)
	}
	if err := root.Mkdir("mail", 0o770); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "mail"), 0o770); err != nil {
		t.Fatal(err)
	}
	_, err = state.OpenRootIn(root, "mail")
	if err == nil || !strings.Contains(err.Error(), "the state folder "+dir+"/mail is not used") {
		t.Errorf("one within that others may write in: %v, want it refused", err)
	}
	if err := errors.Join(os.Rename(dir, dir+".moved"), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Lstat("mail"); err != nil {
		t.Errorf("another was put in its place: %v", err)
	}
}

// TestExchanged: what goes by way of an open folder stays in that one when another takes its place.
func TestExchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "active-response")
	dir, err := state.MakeDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := errors.Join(os.WriteFile(filepath.Join(path, "file"), []byte("ours"), 0o600),
		os.Rename(path, path+".moved"), os.Mkdir(path, 0o700),
		os.WriteFile(filepath.Join(path, "file"), []byte("forged"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := dir.Read("file", 10); err != nil || string(got) != "ours" {
		t.Errorf("read %q, %v", got, err)
	}
	lock, err := dir.Exclusive("lock", refusal)
	err = errors.Join(err, dir.Rename("file", "renamed"), dir.Remove("lock"), dir.Sync())
	if err != nil {
		t.Error(err)
	}
	lock.Release()
	for folder, want := range map[string]string{path: "[file]", path + ".moved": "[renamed]"} {
		entries, err := os.ReadDir(folder)
		names := []string{}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if fmt.Sprint(names) != want {
			t.Errorf("in %s are %v, %v, want %s", folder, names, err, want)
		}
	}
}

func makeDir(path string) error {
	dir, err := state.MakeDir(path)
	if err == nil {
		dir.Close()
	}
	return err
}

func openRoot(dir string) error {
	root, err := state.OpenRoot(dir)
	if err == nil {
		err = root.Close()
	}
	return err
}

// TestReadIn: only a plain file in the folder is read, and nothing is waited for.
func TestReadIn(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.WriteFile(path("file"), []byte("text"), 0o600),
		os.Symlink("file", path("link")),
		os.Symlink("/etc/passwd", path("out")),
		os.Mkdir(path("folder"), 0o700),
		syscall.Mkfifo(path("pipe"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string]string{
		"link": "no plain file", "out": "no plain file", "folder": "no plain file", "pipe": "no plain file",
		"none": "no such file",
	} {
		if data, err := state.ReadIn(root, name, 100); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v, want %s", name, data, err, want)
		}
	}
	if data, err := state.ReadIn(root, "file", 4); err != nil || string(data) != "text" {
		t.Errorf("the file: %q, %v", data, err)
	}
	if _, err := state.ReadIn(root, "file", 3); !errors.Is(err, state.ErrLarge) {
		t.Errorf("one that is too large: %v", err)
	}
}

// TestReplaceIn: what is written stays in the folder that was opened.
func TestReplaceIn(t *testing.T) {
	dir, elsewhere := filepath.Join(t.TempDir(), "etc"), t.TempDir()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := errors.Join(os.Rename(dir, dir+".moved"), os.Symlink(elsewhere, dir),
		os.Symlink(filepath.Join(elsewhere, "file"), dir+".moved/file")); err != nil {
		t.Fatal(err)
	}
	if err := state.ReplaceIn(root, "file", []byte("text"), 0o640, state.ReplaceOptions{}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(dir + ".moved/file"); err != nil || string(data) != "text" {
		t.Errorf("it reads %q, %v", data, err)
	}
	if files, err := os.ReadDir(elsewhere); err != nil || len(files) > 0 {
		t.Errorf("written elsewhere: %v, %v", files, err)
	}
}

// TestForeignFile: a file that is not ours is not used, though the folder is.
func TestForeignFile(t *testing.T) {
	if !isolate.Root() {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "active-response")
	dir, err := state.MakeDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := errors.Join(os.WriteFile(filepath.Join(path, "file"), []byte("forged"), 0o600),
		os.Chown(filepath.Join(path, "file"), 54321, -1)); err != nil {
		t.Fatal(err)
	}
	root, err := state.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, call := range map[string]func() error{
		"Read":      func() error { _, err := dir.Read("file", 10); return err },
		"Exclusive": func() error { _, err := dir.Exclusive("file", refusal); return err },
		"OpenOwn":   func() error { _, err := state.OpenOwn(root, "file", os.O_RDWR); return err },
	} {
		const want = "/file: it is not used: it belongs to another user (54321)"
		if err := call(); !errors.Is(err, state.ErrForeign) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ...%s", name, err, want)
		}
	}
}
