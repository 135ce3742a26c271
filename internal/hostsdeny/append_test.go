package hostsdeny

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"golang.org/x/sys/unix"
)

// TestAddedBehind: what fits behind the file within a sector is written there, and the file is
// replaced where it does not.
func TestAddedBehind(t *testing.T) {
	e, path := newFile(t, plain)
	want, replaced := plain, 0
	for i := range 200 {
		before := statFile(t, path)
		held, err := os.Open(path) // so that its inode number is not given out again
		if err != nil {
			t.Fatal(err)
		}
		addr := target.Of(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
		line := fmt.Sprintf("ALL:%s\n", addr)
		block(t, e, addr)
		fits := len(want)/512 == (len(want)+len(line)-1)/512
		if kept := statFile(t, path).Ino == before.Ino; kept != fits {
			t.Errorf("%d bytes behind %d: in the same file %v, want %v", len(line), len(want), kept, fits)
		}
		if !fits {
			replaced++
		}
		want += line
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantFile(t, path, want)
	wantAlone(t, path)
	if replaced < 4 {
		t.Errorf("replaced %d times", replaced)
	}
}

// TestPowerLoss: whatever an added line is after a loss of power, libwrap lets the others in, and
// the next edits make the file a whole one.
func TestPowerLoss(t *testing.T) {
	program(t, "tcpdmatch")
	other, late := target.MustParse("203.0.113.7"), target.MustParse("203.0.113.8")
	before := plain + "ALL:203.0.113.8\n"
	line := "ALL:1.2.3.4\n"
	for name, left := range map[string]string{
		"all of it": before + line, "nothing": before,
		"the size only": before + string(make([]byte, len(line))),
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "hosts.deny")
			writeFile(t, filepath.Join(folder, "hosts.allow"), "", 0o644)
			writeFile(t, path, left, 0o644)
			want := func(step, want string, addrs ...target.Target) {
				t.Helper()
				for _, addr := range addrs {
					if got := tcpdmatch(t, folder, addr); got != want {
						t.Errorf("%s: %s is %s, want %s", step, addr, got, want)
					}
				}
			}
			want("left", "granted", other)
			want("left", "denied", late)
			e := New(Options{Path: path})
			block(t, e, v4) // as maintain does: its lease is there
			block(t, e, v6)
			want("blocked again", "denied", v4, v6, late)
			want("blocked again", "granted", other)
			unblock(t, e, v4)
			unblock(t, e, v6)
			want("lifted", "granted", v4, v6, other)
			content, err := os.ReadFile(path)
			if err != nil || !bytes.HasPrefix(content, []byte(before)) || linefile.MissingEnd(content) != nil {
				t.Errorf("in the end there is %q, %v", content, err)
			}
		})
	}
}

// TestCutShort: a write that a full disk cuts short is taken back.
func TestCutShort(t *testing.T) {
	e, path := newFile(t, plain)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := old
	limit.Cur = uint64(len(plain) + 5)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	_, err := e.add(t.Context(), v4)
	if rerr := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); rerr != nil {
		t.Fatal(rerr)
	}
	if err == nil {
		t.Error("no error")
	}
	wantFile(t, path, plain)
}
