package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	target := filepath.Join(dir, "target")
	check := func(step, want string, mode os.FileMode) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s: reads %q, %v, want %q", step, got, err, want)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: it is %v, %v, want %v", step, info, err, mode)
		}
		if left, _ := filepath.Glob(dir + "/.*.tmp"); len(left) > 0 {
			t.Errorf("%s: left behind: %q", step, left)
		}
	}
	if err := state.Replace(path, []byte("one"), 0o640, state.ReplaceOptions{}); err != nil {
		t.Fatal(err)
	}
	check("made", "one", 0o640)
	boom := errors.New("boom")
	for name, options := range map[string]state.ReplaceOptions{
		"prepare": {Prepare: func(*os.File) error { return boom }},
		"check":   {Check: func() error { return boom }},
	} {
		err := state.Replace(path, []byte("two"), 0o600, options)
		if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "replacing "+path+": ") {
			t.Errorf("%s: %v, want boom", name, err)
		}
		check(name, "one", 0o640)
	}
	if err := errors.Join(os.Rename(path, target), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
	if err := state.Replace(path, []byte("three"), 0o666, state.ReplaceOptions{}); err != nil {
		t.Fatal(err)
	}
	check("over a link", "three", 0o666)
	if got, _ := os.ReadFile(target); string(got) != "one" {
		t.Errorf("the link's target reads %q", got)
	}
	if err := state.Replace(filepath.Join(dir, "none/file"), nil, 0o600,
		state.ReplaceOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestReplaceUnderALock: with a temporary name of its own what a killed process left is in
// nobody's way, and the lock can be given back when the new file is there.
func TestReplaceUnderALock(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(filepath.Join(dir, ".left"), []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	placed := ""
	err := state.Replace(path, []byte("whole"), 0o600, state.ReplaceOptions{Temp: ".left", Placed: func() {
		content, err := os.ReadFile(path)
		placed = string(content)
		if err != nil {
			t.Error(err)
		}
	}})
	if err != nil || placed != "whole" {
		t.Errorf("%v, and %q was there", err, placed)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("in the folder are %v, %v", entries, err)
	}
}
