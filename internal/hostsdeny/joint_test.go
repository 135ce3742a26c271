package hostsdeny

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestUnblockJoint: who has something to take out takes out what others wait to take out, too, while
// nobody else can edit the file. Who has nothing to do, or cannot keep others out, asks for none.
func TestUnblockJoint(t *testing.T) {
	const others = "ALL:203.0.113.9\n"
	e, path := newFile(t, plain+"ALL:1.2.3.4\n"+others+"ALL:[2001:db8::1]\n")
	asked := 0
	waiting := func() []target.Target {
		asked++
		if _, err := state.Exclusive(linefile.LockBeside(path), time.Millisecond); !errors.Is(err, state.ErrLocked) {
			t.Errorf("another process can edit the file meanwhile: %v", err)
		}
		return []target.Target{v6, target.MustParse("203.0.113.8")}
	}
	for range 2 {
		if err := e.UnblockJoint(t.Context(), v4, waiting); err != nil {
			t.Error(err)
		}
		wantFile(t, path, plain+others)
	}
	if asked != 1 {
		t.Errorf("asked %d times who waits, want once", asked)
	}

	if err := os.Remove(linefile.LockBeside(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", linefile.LockBeside(path)); err != nil { // which is refused
		t.Fatal(err)
	}
	e.file.LockPath = filepath.Join(t.TempDir(), "missing", "lock")
	_, blocked := e.Block(t.Context(), v4, enforcer.Unknown)
	err := e.UnblockJoint(t.Context(), v4, func() []target.Target {
		t.Error("asked who waits, without a lock")
		return nil
	})
	if blocked != nil || err != nil {
		t.Error(blocked, err)
	}
	if listing, err := e.List(t.Context()); err != nil || len(listing.Blocks) != 1 {
		t.Errorf("%v stand (%v), want only what stood before", listing.Blocks, err)
	}
}

// TestRemoveAlone: who waits alone looks through the file once: of many addresses each line is read as one.
func TestRemoveAlone(t *testing.T) {
	e, path := newFile(t, plain+"ALL:1.2.3.4\n")
	looked := 0
	_, err := e.file.Remove(t.Context(), []target.Target{v4}, func() []target.Target { return []target.Target{v4} },
		func(content []byte, targets []target.Target) []linefile.Entry {
			looked++
			return e.form.matching(content, targets)
		})
	if err != nil || looked != 1 {
		t.Errorf("looked %d times (%v), want once", looked, err)
	}
	wantFile(t, path, plain)
}
