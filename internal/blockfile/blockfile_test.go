package blockfile

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var (
	v4  = target.MustParse("203.0.113.7")
	v6  = target.MustParse("2001:db8::7")
	net = target.MustParse("2001:db8:1::/64")
)

// newTestList returns a list with that content, which is "read" by being copied to the second path.
func newTestList(t *testing.T, content string) (l *List, read string) {
	t.Helper()
	dir := t.TempDir()
	path, read := filepath.Join(dir, "blocked.conf"), filepath.Join(dir, "read")
	write(t, path, content)
	c := config.Default()
	c.Blockfile.File = path
	c.Blockfile.Reload = []string{"/bin/sh", "-c",
		"date +%s%N >>" + dir + "/times; cp " + path + " " + read + "~; mv " + read + "~ " + read}
	e, err := Kind.New(c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l = e.(*List)
	l.every = 10 * time.Millisecond
	return l, read
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: %v\n got %q\nwant %q", path, err, got, want)
	}
}

func block(t *testing.T, e enforcer.Enforcer, target target.Target) enforcer.Outcome {
	t.Helper()
	out, err := e.Block(t.Context(), target, enforcer.Unknown)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const theirs = "# ours\ndeny 203.0.113.70;\n  deny all; # deny 203.0.113.7;\n" +
	"deny 203.0.113.0/24;\nallow 203.0.113.7;\n"

func TestContract(t *testing.T) {
	enforcertest.Contract(t, Folder(filepath.Join(t.TempDir(), "new", "ipblock")))
	own := strings.Replace(theirs, "deny 203.0.113.70;\n", "", 1) // that one would be listed
	for _, format := range []string{"deny {address};", "{address}", "\tRequire not ip {address} ",
		"{address} REJECT"} {
		l, _ := newTestList(t, own)
		l.before, l.after, _ = strings.Cut(format, config.AddressPlace)
		enforcertest.Contract(t, l)
		want(t, l.file.Path, own)
		l, _ = newTestList(t, "")
		l.argv = nil
		if err := os.Remove(l.file.Path); err != nil {
			t.Fatal(err)
		}
		enforcertest.Contract(t, l)
	}
}

// TestFolder: the file's name is the address, and what else is in the folder stays.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ipblock")
	f := Folder(dir)
	for _, of := range []target.Target{v4, v6, net} {
		block(t, f, of)
	}
	write(t, dir+"/README", "")
	write(t, dir+"/203.0.113.007", "")
	write(t, dir+"/203.0.113.0_24", "")
	if err := os.Mkdir(dir+"/203.0.113.9", 0o755); err != nil {
		t.Fatal(err)
	}
	names := func() (names []string) {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			names = append(names, file.Name())
		}
		return names
	}
	if got, all := names(), []string{"2001:db8:1::_64", "2001:db8::7", "203.0.113.007", "203.0.113.0_24",
		"203.0.113.7", "203.0.113.9", "README"}; !slices.Equal(got, all) {
		t.Errorf("in the folder are %q", got)
	}
	if _, err := f.Block(t.Context(), target.MustParse("203.0.113.9"), enforcer.Unknown); err == nil {
		t.Error("a folder in the place of the file is a block")
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, []string{"203.0.113.007", "203.0.113.0_24", "203.0.113.9", "README"}) {
		t.Errorf("after a flush there are %q", got)
	}
}

// TestFolderForAll: the server may read the folder and the files, whatever umask the daemon has.
func TestFolderForAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ipblock")
	umask := syscall.Umask(0o077)
	defer syscall.Umask(umask)
	block(t, Folder(dir), v4)
	for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o755, filepath.Join(dir, v4.String()): 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// TestList: one whole line comes and goes, and what is near to it stays.
func TestList(t *testing.T) {
	l, read := newTestList(t, theirs)
	for _, of := range []target.Target{v4, v6, net} {
		block(t, l, of)
	}
	whole := theirs + "deny 203.0.113.7;\ndeny 2001:db8::7;\ndeny 2001:db8:1::/64;\n"
	want(t, l.file.Path, whole)
	want(t, read, whole)
	if err := l.Unblock(t.Context(), v4); err != nil {
		t.Fatal(err)
	}
	whole = theirs + "deny 2001:db8::7;\ndeny 2001:db8:1::/64;\n"
	want(t, read, whole)
	if out := block(t, l, net); !out.Already {
		t.Error("a line that stands was added")
	}
	l, _ = newTestList(t, "deny 203.0.113.8;")
	block(t, l, v4)
	want(t, l.file.Path, "deny 203.0.113.8;\ndeny 203.0.113.7;\n")
}

// TestForeignPlace: where others than root could put a link to another file, nothing is written.
func TestForeignPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "web")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	l := newList(config.Blockfile{File: dir + "/blocked.conf", Format: "deny {address};"}, "", time.Second)
	for _, e := range []enforcer.Enforcer{l, Folder(dir), Folder(dir + "/ipblock")} {
		_, err := e.Block(t.Context(), v4, enforcer.Unknown)
		if err == nil || !strings.Contains(err.Error(), "could be changed by others than root") {
			t.Errorf("Block: %v", err)
		}
		found := e.(interface {
			Inspect(context.Context, string) []enforcer.Finding
		}).Inspect(t.Context(), "/")
		if found[0].Verdict != enforcer.Fault {
			t.Errorf("Inspect: %+v", found)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("in the folder is %v, %v", files, err)
	}
}
