package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

func TestTrusted(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"own/etc/file", "shared/etc/file", "sticky/etc/file", "own/etc/open"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path(name)), 0o755),
			os.WriteFile(path(name), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(path("shared"), 0o770), os.Chmod(path("sticky"), 0o777|os.ModeSticky),
		os.Chmod(path("own/etc/open"), 0o620), os.Symlink("etc/file", path("own/link")),
		os.Symlink(path("shared/etc/file"), path("own/away")), os.Symlink("loop", path("own/loop")),
		os.Symlink("../own/etc", path("shared/etc/back")),
		os.Symlink("../sticky/../own", path("own/dots"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"own/etc/file": "", "own/etc": "", "own/link": "", "sticky/etc/file": "", "own/dots/etc/file": "",
		"own//./etc/../etc/file": "",
		"shared/etc/file":        path("shared") + " could be changed by others than root (it is drwxrwx---",
		"own/away":               path("shared") + " could be changed",
		"shared/etc/back":        path("shared") + " could be changed",
		"own/etc/open":           path("own/etc/open") + " could be changed",
		"shared/../own/etc/file": path("shared") + " could be changed",
		"own/loop":               "too many levels of symbolic links",
		"own/none":               "no such file",
	} {
		err := state.Trusted(dir + "/" + name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if err := state.Trusted("etc/file"); err == nil {
		t.Error("a relative path is trusted")
	}
	if err := state.Trusted(path("own/none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		return
	}
	const other = 4711
	for _, name := range []string{"own/etc/file", "own/link", "own/etc"} {
		if err := os.Lchown(path(name), other, -1); err != nil {
			t.Skip(err) // a user namespace that knows root alone
		}
		if err := state.Trusted(path(name)); err == nil || !strings.Contains(err.Error(), "of user 4711") {
			t.Errorf("%s of another: %v", name, err)
		}
		if err := os.Lchown(path(name), 0, -1); err != nil {
			t.Fatal(err)
		}
	}
}
