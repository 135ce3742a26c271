package whitelist_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a": "", "b": "10.0.0.1\n10.0.0.256\n# 10.0.0.9\n" + strings.Repeat("x", 100_000) + "\n10.0.0.2",
		"c": strings.Repeat("one two\n", 1000) + "10.0.0.3\n", ".hidden": "10.0.0.4\n", "d~": "10.0.0.4\n",
	} {
		writeFile(t, filepath.Join(dir, name), content)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nothing", filepath.Join(dir, "z-link")); err != nil {
		t.Fatal(err)
	}
	var list whitelist.List
	list.AddDir(filepath.Join(dir, "none"))
	list.AddDir(dir)
	if faults := list.Faults(); len(faults) > 0 {
		t.Errorf("before a Match: %q", faults)
	}
	for text, source := range map[string]string{"10.0.0.1": "b:1", "10.0.0.2": "b:5", "10.0.0.3": "c:1001"} {
		match, ok := list.Match(netip.MustParseAddr(text))
		if want := (whitelist.Match{Entry: text, Source: filepath.Join(dir, source)}); !ok || match != want {
			t.Errorf("got %v, %v, want %v", match, ok, want)
		}
	}
	before := len(list.Faults())
	for _, text := range []string{"10.0.0.4", "10.0.0.9"} {
		if match, ok := list.Match(netip.MustParseAddr(text)); ok {
			t.Errorf("%s is covered by %v", text, match)
		}
	}
	var told []string
	for _, err := range list.Faults()[before : before+(len(list.Faults())-before)/2] { // of one of the two
		told = append(told, strings.ReplaceAll(err.Error(), dir+"/", ""))
	}
	want := []string{
		`b:2: whitelist entry: means no address, network or host name: a mistyped address?`,
		`b:4: whitelist line is longer than 65536 bytes`,
		`c:1: whitelist entry: means no address, network or host name`,
		`c:2: `, `c:3: `, `c:4: `, `c:5: `,
		`c: and 995 more broken entries`,
		`reading whitelist: pipe is no plain file`,
		`reading whitelist: open z-link: no such file or directory`,
	}
	if len(told) != len(want) {
		t.Fatalf("faults:\n%s\nwant:\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(told[i], want[i]) {
			t.Errorf("fault %d is %s, want %s", i, told[i], want[i])
		}
	}
}

// TestStrangers: what others leave in their folder, of which there is any number and any size, takes a call
// no time.
func TestStrangers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "w"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		writeFile(t, filepath.Join(dir, "w", fmt.Sprintf("%04d", i)), "")
	}
	var list whitelist.List
	list.AddDirBelow(dir, "w")
	if told := fmt.Sprint(list.Faults()); !strings.Contains(told, "/w has more than 16 files") {
		t.Error(told)
	}
	folder := filepath.Join(dir, "w")
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "w/a"), "10.0.0.1\n")
	if err := os.Truncate(filepath.Join(dir, "w/a"), 1<<40); err != nil {
		t.Skip(err) // the file system has no files of that size
	}
	list = whitelist.List{}
	list.AddDirBelow(dir, "w")
	if _, ok := list.Match(netip.MustParseAddr("10.0.0.2")); ok {
		t.Error("10.0.0.2 is covered")
	}
	if _, ok := list.Match(netip.MustParseAddr("10.0.0.1")); !ok {
		t.Error("10.0.0.1 is not covered")
	}
	if told := fmt.Sprint(list.Faults()); !strings.Contains(told, "/w/a has more than 65536 bytes") {
		t.Error(told)
	}
	for range 1000 {
		_ = list.Add("10.0.0.256", "here")
	}
	faults := list.Faults()
	if len(faults) > 40 || !strings.Contains(fmt.Sprint(faults), "and 980 more broken") {
		t.Error(faults)
	}
}

// TestDirThatIsNone: a folder that can't be read is reported.
func TestDirThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "10.0.0.1\n")
	var list whitelist.List
	list.AddDir(file)
	if faults := list.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), "reading whitelist folder: ") {
		t.Errorf("Faults: %q", faults)
	}
}

// TestLongFiles: a long file costs time but no memory, whatever is in it.
func TestLongFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads a file of a million lines")
	}
	for _, test := range []struct {
		name   string
		lines  int
		line   func(i int) string
		faults int
	}{
		{"networks", 1_000_000, func(i int) string { return fmt.Sprintf("10.%d.%d.%d/32 # customer\n", i>>16&255, i>>8&255, i&255) }, 0},
		{"broken", 300_000, func(int) string { return "10.0.0.0/33 # customer\n" }, 5},
		{"host names", 300_000, func(i int) string { return fmt.Sprintf("customer-%d.example.com\n", i) }, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			var content strings.Builder
			for i := range test.lines {
				content.WriteString(test.line(i))
			}
			content.WriteString("203.0.113.7\n")
			path := filepath.Join(t.TempDir(), "list")
			writeFile(t, path, content.String())
			content.Reset()
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var list whitelist.List
			list.AddFile(path)
			match, ok := list.Match(netip.MustParseAddr("203.0.113.7"))
			if want := fmt.Sprintf("%s:%d", path, test.lines+1); !ok || match.Source != want {
				t.Errorf("got %v, %v, want %s", match, ok, want)
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 16<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
			if got := len(list.Faults()); got != test.faults {
				t.Errorf("%d faults, want %d: %q", got, test.faults, list.Faults())
			}
		})
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
