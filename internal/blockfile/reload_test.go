package blockfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestReloadsAreFew: of many calls at once each returns only when its line was read, and the reloads
// keep their distance.
func TestReloadsAreFew(t *testing.T) {
	l, read := newTestList(t, theirs)
	l.every = 200 * time.Millisecond
	var calls sync.WaitGroup
	for i := range 40 {
		calls.Go(func() {
			of := target.MustParse(fmt.Sprintf("198.51.100.%d", i))
			if _, err := l.Block(t.Context(), of, enforcer.Unknown); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(read); err != nil || !strings.Contains(string(got), l.line(of)+"\n") {
				t.Errorf("%s is reported as blocked before it was read (%v)", of, err)
			}
		})
	}
	calls.Wait()
	text, err := os.ReadFile(filepath.Dir(read) + "/times")
	if err != nil {
		t.Fatal(err)
	}
	var before int64
	for _, word := range strings.Fields(string(text)) {
		at, err := strconv.ParseInt(word, 10, 64)
		if err != nil || time.Duration(at-before) < l.every {
			t.Errorf("reloaded %s after the last time (%v)", time.Duration(at-before), err)
		}
		before = at
	}
}

// TestReloadFails: a block is one only when the list was read; Mend tries again.
func TestReloadFails(t *testing.T) {
	l, read := newTestList(t, theirs)
	block(t, l, v6)
	good := l.argv
	l.argv = []string{"/bin/sh", "-c", "echo broken >&2; exit 3"}
	for range 2 {
		_, err := l.Block(t.Context(), v4, enforcer.Unknown)
		if err == nil || !strings.Contains(err.Error(), "sh: exit status 3: broken") {
			t.Errorf("Block: %v", err)
		}
	}
	listing, err := l.List(t.Context())
	if err != nil || len(listing.Faults) != 1 {
		t.Errorf("List = %+v, %v; want one fault", listing, err)
	}
	if found := l.Inspect(t.Context(), "/"); found[len(found)-1].Verdict != enforcer.Fault {
		t.Errorf("Inspect: %+v", found)
	}
	if changes, err := l.Mend(t.Context()); err == nil {
		t.Errorf("Mend = %q, nil; want an error", changes)
	}
	l.argv = good
	changes, err := l.Mend(t.Context())
	if err != nil || len(changes) != 1 || !strings.HasPrefix(changes[0], "had "+l.file.Path+" read again") {
		t.Errorf("Mend = %q, %v", changes, err)
	}
	want(t, read, theirs+"deny 2001:db8::7;\ndeny 203.0.113.7;\n")
	if changes, err := l.Mend(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("a second Mend = %q, %v", changes, err)
	}
	// A process that was killed between the edit and the reload.
	write(t, l.file.Path, theirs)
	if changes, err := l.Mend(t.Context()); err != nil || len(changes) != 1 {
		t.Errorf("Mend after an edit = %q, %v", changes, err)
	}
	want(t, read, theirs)
}

// TestWithoutState: each change is followed by a reload where nothing can be recorded.
func TestWithoutState(t *testing.T) {
	for _, dir := range []string{"", "/nowhere"} {
		l, read := newTestList(t, "")
		l.dir = dir
		block(t, l, v4)
		if err := l.Unblock(t.Context(), v4); err != nil {
			t.Fatal(err)
		}
		want(t, read, "")
	}
}

// TestClockPutBack: a last reload in the future does not hold a block up, and one that failed is tried again.
func TestClockPutBack(t *testing.T) {
	l, read := newTestList(t, "")
	write(t, filepath.Join(l.dir, recordName), `{"List":"x","Ended":"2999-01-01T00:00:00Z"}`)
	block(t, l, v4)
	want(t, read, "deny 203.0.113.7;\n")
	if files, err := os.ReadDir(l.dir); err != nil || !slices.ContainsFunc(files,
		func(f os.DirEntry) bool { return f.Name() == "ip-customblock.reload" }) {
		t.Errorf("in the state folder are %v, %v", files, err)
	}
	write(t, filepath.Join(l.dir, recordName),
		fmt.Sprintf(`{"List":%q,"Ended":"2999-01-01T00:00:00Z","Err":"it was not up"}`, l.stamp()))
	if changes, err := l.Mend(t.Context()); err != nil || len(changes) != 1 {
		t.Errorf("Mend = %q, %v", changes, err)
	}
}
