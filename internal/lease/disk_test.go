package lease_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestStateFolderRefused: where the folder is not ours alone, no lease is taken or read,
// and the error says why.
func TestStateFolderRefused(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, taken(v4, "a", 1))
	dir := filepath.Dir(s.Path())
	spoil := func() error { return os.Chmod(dir, 0o770) }
	if os.Geteuid() == 0 {
		spoil = func() error { return os.Chown(dir, 54321, -1) }
	}
	if err := spoil(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	s = another(s)
	_, allErr := s.All()
	_, onErr := s.On(v4)
	lock, lockErr := s.LockTarget(v4)
	lock.Release()
	for what, err := range map[string]error{
		"Put": put(s, taken(v4, "b", 2)), "All": allErr, "On": onErr, "LockTarget": lockErr,
	} {
		if err == nil || !strings.Contains(err.Error(), "the state folder "+dir+" is not used") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after, err := os.ReadFile(s.Path()); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// TestFolderExchanged: the leases are those of the folder that was looked at, whatever takes its
// place meanwhile, and what others put there is not believed.
func TestFolderExchanged(t *testing.T) {
	s := newStore(t)
	a, b := taken(v4, "a", 1), taken(v6, "b", 2)
	mustPut(t, s, a)
	dir := filepath.Dir(s.Path())
	forged := lease.New(dir+".forged", "firewall-drop")
	mustPut(t, forged, taken(v4, "forged", 1))
	if err := errors.Join(os.Chmod(dir+".forged", 0o770), os.Rename(dir, dir+".moved"),
		os.Rename(dir+".forged", dir)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, b)
	got, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "leases", []lease.Lease{a, b}, got)
	if got, err := another(s).All(); err == nil {
		t.Errorf("the next process reads %v", got)
	}
	want(t, lease.New(dir+".moved", "firewall-drop"), a, b)
}

// mount puts a small file system at dir until the test ends. The test is in namespaces of its own.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o700), unix.Mount("tmpfs", dir, "tmpfs", 0, options)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill uses up the file system that dir is on, and returns what frees it again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	_ = file.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull: calls fail with the reason, no lease that was taken is lost, and all is
// well again when there is room.
func TestDiskFull(t *testing.T) {
	if !isolate.Test(t) {
		return
	}
	s := newStore(t)
	dir := filepath.Dir(s.Path())
	mount(t, dir, "size=256k,mode=700")
	free := fill(t, dir)
	if err := put(s, taken(v6, "a", 1)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("no file and no room: %v, want ENOSPC", err)
	}
	free()
	standing := map[string]bool{}
	take := func(i int) error {
		l := taken(target.Of(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})), "a", i)
		l.User = strings.Repeat("u", 500)
		err := put(s, l)
		if err == nil {
			standing[l.Target.String()] = true
		}
		return err
	}
	check := func(when string) {
		t.Helper()
		leases, err := another(s).All()
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		found := map[string]bool{}
		for _, l := range leases {
			found[l.Target.String()] = true
		}
		for addr := range standing {
			if !found[addr] {
				t.Errorf("%s: the lease on %s is lost", when, addr)
			}
		}
	}
	for i := range 20 {
		if err := take(i); err != nil {
			t.Fatal(err)
		}
	}
	free = fill(t, dir)
	full := 0
	for i := 20; i < 400 && full < 10; i++ {
		if err := take(i); errors.Is(err, unix.ENOSPC) {
			full++
		} else if err != nil {
			t.Errorf("full: %v, want ENOSPC", err)
		}
	}
	if full == 0 {
		t.Fatal("the file system was never full")
	}
	check("full")
	free()
	if err := take(1000); err != nil {
		t.Errorf("after there is room: %v", err)
	}
	check("after there is room")
	for _, err := range s.Faults() {
		t.Errorf("fault: %v", err)
	}
}

// TestReadOnly: what is there can be read, and taking a lease fails with the reason.
func TestReadOnly(t *testing.T) {
	if !isolate.Test(t) {
		return
	}
	s := newStore(t)
	dir := filepath.Dir(s.Path())
	mount(t, dir, "size=1m,mode=700")
	mine := taken(v4, "a", 1)
	mustPut(t, s, mine)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	want(t, s, mine)
	wantOn(t, s, v4, mine)
	for what, err := range map[string]error{"Put": put(s, taken(v4, "b", 2)), "Delete": end(s, mine)} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
	want(t, s, mine)
}
