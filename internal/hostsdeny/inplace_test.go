package hostsdeny

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/isolate"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// newInPlace returns an enforcer for a file that a second hard link keeps from
// being replaced, which needs no privileges.
func newInPlace(t *testing.T, content string) (*Enforcer, string) {
	t.Helper()
	e, path := newFile(t, content)
	if err := os.Link(path, filepath.Join(t.TempDir(), "link")); err != nil {
		t.Fatal(err)
	}
	return e, path
}

func TestInPlaceContract(t *testing.T) {
	for _, allow := range []bool{false, true} {
		e, path := newInPlace(t, "")
		before := statFile(t, path)
		enforcertest.Contract(t, New(Options{Path: path, LockPath: e.file.LockPath, Allow: allow}))
		if after := statFile(t, path); after.Ino != before.Ino || after.Nlink != 2 {
			t.Error("the file was replaced")
		}
		if listing, err := e.List(t.Context()); err != nil || len(listing.Blocks) > 0 {
			t.Errorf("%v (%v) are left over", listing.Blocks, err)
		}
	}
}

func TestInPlace(t *testing.T) {
	e, path := newInPlace(t, "sshd: ALL")
	step := func(want string) {
		t.Helper()
		wantFile(t, path, want)
	}
	a, b, c := target.MustParse("1.2.3.4"), target.MustParse("1.2.3.5"), target.MustParse("10.20.30.40")
	block(t, e, a)
	step("sshd: ALL\nALL:1.2.3.4\n")
	block(t, e, b)
	step("sshd: ALL\nALL:1.2.3.4\nALL:1.2.3.5\n")
	unblock(t, e, a)
	step("sshd: ALL\n#ossec-ar  \nALL:1.2.3.5\n")
	unblock(t, e, a)
	block(t, e, c) // longer than the free line
	step("sshd: ALL\n#ossec-ar  \nALL:1.2.3.5\nALL:10.20.30.40\n")
	block(t, e, a)
	step("sshd: ALL\nALL:1.2.3.4\nALL:1.2.3.5\nALL:10.20.30.40\n")
	unblock(t, e, b)
	unblock(t, e, c)
	step("sshd: ALL\nALL:1.2.3.4\n#ossec-ar  \n#ossec-ar      \n")
	block(t, e, v6)
	step("sshd: ALL\nALL:1.2.3.4\n#ossec-ar  \n#ossec-ar      \nALL:[2001:db8::1]\n")
	block(t, e, b)
	block(t, e, target.MustParse("1.2.3.6"))
	step("sshd: ALL\nALL:1.2.3.4\nALL:1.2.3.5\nALL:1.2.3.6    \nALL:[2001:db8::1]\n")

	writeFile(t, path, "sshd: ALL\nALL:1.2.3.4", 0o644)
	unblock(t, e, a)
	step("sshd: ALL\n#ossec-ar  \n")

	writeFile(t, path, "sshd: ALL\nALL:1.2.3.4\n# the administrator's\n#ossec-ar stays", 0o644)
	unblock(t, e, a)
	step("sshd: ALL\n#ossec-ar  \n# the administrator's\n#ossec-ar stays")
	block(t, e, b)
	step("sshd: ALL\nALL:1.2.3.5\n# the administrator's\n#ossec-ar stays\n")
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	step("sshd: ALL\n#ossec-ar  \n# the administrator's\n#ossec-ar stays\n")
}

func TestInPlaceBeforeTheFirstRule(t *testing.T) {
	e, path := newInPlace(t, "# FreeBSD\r\nALL : ALL : allow")
	e.form = newForm("", true)
	block(t, e, v4)
	wantFile(t, path, "# FreeBSD\r\nALL : 1.2.3.4 : deny\r\nALL : ALL : allow\r\n")
	unblock(t, e, v4)
	wantFile(t, path, "# FreeBSD\r\n#ossec-ar           \r\nALL : ALL : allow\r\n")
	block(t, e, v4)
	wantFile(t, path, "# FreeBSD\r\nALL : 1.2.3.4 : deny\r\nALL : ALL : allow\r\n")
}

func TestEditorInBetweenInPlace(t *testing.T) {
	e, path := newInPlace(t, plain)
	saved := false
	e.file.BeforeSwap = func() {
		if !saved {
			writeFile(t, path, "sshd: ALL\n", 0o644)
		}
		saved = true
	}
	block(t, e, v4)
	wantFile(t, path, "sshd: ALL\nALL:1.2.3.4\n")
}

// TestBindMount runs in a mount namespace of its own, where the file is a mount
// point as in a container, and once more with a folder that is read-only.
func TestBindMount(t *testing.T) {
	if !isolate.Test(t) {
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	e, path := newFile(t, plain)
	_, other := newFile(t, plain)
	if err := unix.Mount(other, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	block(t, e, v4)
	block(t, e, v6)
	wantFile(t, other, plain+"ALL:1.2.3.4\nALL:[2001:db8::1]\n")
	unblock(t, e, v4)
	unblock(t, e, v6)
	wantFile(t, other, plain+"#ossec-ar  \n#ossec-ar        \n")
	wantAlone(t, path)

	folder := filepath.Dir(path)
	if err := unix.Mount(folder, folder, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", folder, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	block(t, e, v4)
	wantFile(t, other, plain+"ALL:1.2.3.4\n#ossec-ar        \n")
	if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
		t.Error(err)
	}
}

// skipUnlessRequired skips with a reason, or fails where continuous integration
// has to have what the test needs.
func skipUnlessRequired(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("AR_KERNEL_TESTS") == "require" {
		t.Fatalf("AR_KERNEL_TESTS=require: %s", reason)
	}
	t.Skip(reason)
}
