package state_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, 4095, 4096, 4097, 100_000} {
		want := bytes.Repeat([]byte{'x'}, size)
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := state.Read(path, size); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		if size == 0 {
			continue
		}
		if _, err := state.Read(path, size-1); !errors.Is(err, state.ErrLarge) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("%d bytes where %d are the most: %v", size, size-1, err)
		}
	}
	if got, err := state.Read("/proc/self/stat", 10_000); err != nil || len(got) == 0 { // its size is 0
		t.Errorf("of procfs: %q, %v", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(dir); !errors.Is(err, unix.EISDIR) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: %v", err)
	}
	for _, path := range []string{pipe, "/dev/null"} {
		if _, err := state.Open(path); err == nil || !strings.Contains(err.Error(),
			path+" is no plain file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := state.Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := state.Read(filepath.Join(dir, "none"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestFollowsLinksAndStreams(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "file"), []byte("hello"), 0o600),
		os.Symlink("file", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	file, err := state.Open(filepath.Join(dir, "link"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got, err := io.ReadAll(file); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	for most, want := range map[int64]string{0: "", 2: "lo", 5: "hello", 9: "hello"} {
		err := file.SeekTail(most)
		if got, rerr := io.ReadAll(file); err != nil || rerr != nil || string(got) != want {
			t.Errorf("the last %d bytes are %q, %v, %v", most, got, err, rerr)
		}
	}
}

// A secret that others could read is none, and no error repeats it.
func TestReadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, test := range []struct {
		text string
		mode os.FileMode
		want string // of the error
	}{
		{"s3cr3t\n", 0o600, ""},
		{"s3cr3t", 0o400, ""},
		{"s3cr3t\n", 0o640, "can be read by others (mode 0640)"},
		{"s3cr3t\n", 0o604, "can be read by others (mode 0604)"},
		{"s3cr3t\n", 0o622, "could be changed by others"},
		{"\n", 0o600, "does not hold one line"},
		{"a\ns3cr3t\n", 0o600, "does not hold one line"},
		{strings.Repeat("s3cr3t", 100), 0o600, "large"},
	} {
		if err := errors.Join(os.WriteFile(path, []byte(test.text), 0o600), os.Chmod(path, test.mode)); err != nil {
			t.Fatal(err)
		}
		secret, err := state.ReadSecret(path, 100)
		switch {
		case test.want == "" && (err != nil || secret != "s3cr3t"):
			t.Errorf("%q: %q, %v", test.text, secret, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) ||
			strings.Contains(err.Error(), "s3cr3t") || secret != ""):
			t.Errorf("%q, mode %o: %q, %v", test.text, test.mode, secret, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
