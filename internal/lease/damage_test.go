package lease_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// soundFile returns a lease file of several pages with many leases in it.
func soundFile(t *testing.T) []byte {
	t.Helper()
	s := newStore(t)
	for i := range 24 {
		l := taken(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}), "firewall-drop.sh", i)
		l.User = strings.Repeat("u", 300)
		acquire(t, s, l)
	}
	for i := range 12 { // which leaves free pages among the used ones
		if err := s.Drop(netip.AddrFrom4([4]byte{198, 18, 0, byte(i * 2)})); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// damages are what can happen to a file of leases.
func damages(sound []byte) map[string][]byte {
	page := os.Getpagesize()
	all := map[string][]byte{
		"empty": {}, "a text": []byte("This is no lease file.\n"), "zeroed": make([]byte, len(sound)),
		"one byte": sound[:1], "almost a page": sound[:page-1],
	}
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, len(sound))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	all["noise"] = noise
	overwritten := func(at int, with []byte) []byte {
		out := slices.Clone(sound)
		copy(out[at:], with)
		return out
	}
	for at := 0; at < len(sound); at += page {
		n := at / page
		all[fmt.Sprintf("cut off at page %d", n)] = sound[:at]
		all[fmt.Sprintf("cut off within page %d", n)] = sound[:at+page/2]
		all[fmt.Sprintf("page %d zeroed", n)] = overwritten(at, make([]byte, page))
		all[fmt.Sprintf("page %d noise", n)] = overwritten(at, noise[at:at+page])
		all[fmt.Sprintf("zeroed from page %d on", n)] = overwritten(at, make([]byte, len(sound)-at))
	}
	return all
}

// TestDamaged: whatever became of the file, a lease can be taken, what could not be read
// was moved aside, and nothing panics or waits.
func TestDamaged(t *testing.T) {
	sound := soundFile(t)
	moved := 0
	for name, content := range damages(sound) {
		t.Run(name, func(t *testing.T) {
			put := func() *lease.Store {
				s := newStore(t)
				if err := os.MkdirAll(filepath.Dir(s.Path()), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(s.Path(), content, 0o600); err != nil {
					t.Fatal(err)
				}
				return s
			}
			mine := taken(v4, "a", 1)
			s := put()
			if _, settle := s.Acquire(mine, "kernel"); settle() != nil {
				t.Fatalf("Acquire: %v", settle())
			}
			checkMovedAside(t, s, content)
			if len(s.Faults()) > 0 {
				moved++
				checkSaved(t, s, mine)
			}
			if held, err := lease.New(filepath.Dir(s.Path()), "firewall-drop").Holders(v4, "a"); err != nil || held.Mine == nil || held.Mine.AlertID != mine.AlertID {
				t.Errorf("after Acquire: %+v, %v", held, err)
			}

			// The other ways in.
			s = put()
			if _, err := s.Release(netip.MustParseAddr("198.18.0.1"), "firewall-drop.sh"); err != nil {
				t.Errorf("Release: %v", err)
			}
			checkMovedAside(t, s, content)
			s = put()
			if err := s.Clear(); err != nil {
				t.Errorf("Clear: %v", err)
			}
			want(t, lease.New(filepath.Dir(s.Path()), "firewall-drop"))
			// Reading either tells of it or gives sound leases, and changes nothing.
			s = put()
			if all, err := s.All(); err == nil {
				for _, l := range all {
					if l.Program != "firewall-drop.sh" || l.RuleID != "5712" {
						t.Errorf("All: %+v", l)
					}
				}
			}
			if got, err := os.ReadFile(s.Path()); err != nil || !bytes.Equal(got, content) {
				t.Errorf("reading changed the file (%v)", err)
			}
			// Having read it stands in nobody's way, within the same process either.
			acquire(t, s, mine)
		})
	}
	if moved < 10 {
		t.Errorf("only %d files were found to be damaged", moved)
	}
}

// checkMovedAside checks that a damaged file is kept, and the fault names it.
func checkMovedAside(t *testing.T, s *lease.Store, content []byte) {
	t.Helper()
	aside, err := filepath.Glob(s.Path() + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	faults := s.Faults()
	if len(aside) != len(faults) || len(faults) > 1 {
		t.Fatalf("%d files moved aside, faults: %q", len(aside), faults)
	}
	if len(faults) == 0 {
		return
	}
	if text := faults[0].Error(); !strings.HasPrefix(text, "the lease file is damaged: ") || !strings.Contains(text, "it was moved to "+aside[0]) {
		t.Errorf("fault: %s", text)
	}
	if got, err := os.ReadFile(aside[0]); err != nil || !bytes.HasPrefix(got, content[:min(len(content), 16)]) {
		t.Errorf("what was moved aside is another file (%v)", err)
	}
}

// checkSaved checks that mine is held, and beside it only leases of soundFile.
func checkSaved(t *testing.T, s *lease.Store, mine lease.Lease) {
	t.Helper()
	all, err := s.All()
	if err != nil || !slices.ContainsFunc(all, func(l lease.Lease) bool { return l.Addr == mine.Addr && l.AlertID == mine.AlertID }) {
		t.Errorf("a new file holds %v, %v, want %v in it", all, err, mine)
	}
	for _, l := range all {
		if l.Addr != mine.Addr && (l.Program != "firewall-drop.sh" || l.RuleID != "5712") {
			t.Errorf("a lease that nobody took: %+v", l)
		}
	}
}

// TestNotAFile: what is no plain file is moved aside too.
func TestNotAFile(t *testing.T) {
	for _, test := range []struct {
		name string
		put  func(path string) error
	}{
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }},
		{"a folder with something in it", func(path string) error { return os.MkdirAll(path+"/x", 0o700) }},
		{"a link", func(path string) error { return os.Symlink("/dev/null", path) }},
		{"a link to nothing", func(path string) error { return os.Symlink("nothing", path) }},
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			if err := errors.Join(os.MkdirAll(filepath.Dir(s.Path()), 0o700), test.put(s.Path())); err != nil {
				t.Fatal(err)
			}
			if all, err := s.All(); err == nil || !strings.Contains(err.Error(), "is no plain file") {
				t.Errorf("All: %v, %v", all, err)
			}
			mine := taken(v4, "a", 1)
			acquire(t, s, mine)
			if faults := s.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), "is no plain file") {
				t.Errorf("Faults: %q", faults)
			}
			want(t, lease.New(filepath.Dir(s.Path()), "firewall-drop"), mine)
		})
	}
}

// TestForeignFile: a file that somebody else made holds no leases.
func TestForeignFile(t *testing.T) {
	s := newStore(t)
	if err := os.MkdirAll(filepath.Dir(s.Path()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(), bytes.Repeat([]byte("somebody else's"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := taken(v4, "a", 1)
	acquire(t, s, mine)
	if faults := s.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), "it does not begin as one; it was moved to ") ||
		!strings.HasSuffix(faults[0].Error(), "and the leases in it are forgotten") {
		t.Errorf("Faults: %q", faults)
	}
	want(t, lease.New(filepath.Dir(s.Path()), "firewall-drop"), mine)
}

// TestSaved: of a damaged file, every lease that can still be read is kept.
func TestSaved(t *testing.T) {
	const count, at = 40, 4096 + 7*256 // the eighth slot
	var leases []lease.Lease
	for i := range count {
		leases = append(leases, taken(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}), "a", i))
	}
	for _, test := range []struct {
		name   string
		damage func(file []byte) []byte
		lost   int
		fault  string
	}{
		{"one byte", func(f []byte) []byte { f[at+30]++; return f }, 1, "1 places in it hold neither a lease nor nothing"},
		{"a zeroed slot", func(f []byte) []byte { clear(f[at : at+256]); return f }, 1, "1 leases are gone from it"},
		{"noise from a slot on", func(f []byte) []byte {
			for i := range f[at : at+3*256] {
				f[at+i] = byte(i*i) | 1
			}
			return f
		}, 3, "3 places in it"},
		{"no header", func(f []byte) []byte { clear(f[:4096]); return f }, 0, "it does not begin as one"},
		{"a broken header", func(f []byte) []byte { f[33]++; return f }, 0, "its header is"},
		{"cut off", func(f []byte) []byte { return f[:at] }, count - 7, "it is cut off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			if err := s.TakeAll(leases); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(s.Path())
			if err == nil {
				err = os.WriteFile(s.Path(), test.damage(file), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			later := taken(v6, "a", 1)
			acquire(t, s, later)
			kept := fmt.Sprintf("%d leases in it were still to be read and are kept", count-test.lost)
			if faults := s.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), test.fault) || !strings.Contains(faults[0].Error(), kept) {
				t.Errorf("Faults: %q, want %q and %q", faults, test.fault, kept)
			}
			all, err := s.All()
			if err != nil || len(all) != count-test.lost+1 {
				t.Errorf("%d leases, %v", len(all), err)
			}
			for _, l := range all {
				if i := slices.IndexFunc(leases, func(o lease.Lease) bool { return o.Addr == l.Addr }); i >= 0 {
					compare(t, "kept", leases[i], l)
				} else {
					compare(t, "later", later, l)
				}
			}
		})
	}
}

// TestDamagedFilesAreFew: not more than five are kept for somebody to look at.
func TestDamagedFilesAreFew(t *testing.T) {
	s := newStore(t)
	minute := 0
	s.Now = func() time.Time { minute++; return at(minute) }
	for i := range 8 {
		acquire(t, s, taken(v4, "a", i))
		if err := os.WriteFile(s.Path(), fmt.Appendf(nil, "damage %d", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	acquire(t, s, taken(v4, "a", 9))
	aside, err := filepath.Glob(s.Path() + ".damaged-*")
	if err != nil || len(aside) != 5 {
		t.Fatalf("%q, %v, want five", aside, err)
	}
	if got, _ := os.ReadFile(aside[0]); string(got) != "damage 3" {
		t.Errorf("the oldest that is kept is %q, want damage 3", got)
	}
	if n := len(s.Faults()); n != 8 {
		t.Errorf("%d faults, want 8", n)
	}
}

// TestStateFolderRefused: where the folder is not ours alone, no lease is taken or read,
// and the error says why.
func TestStateFolderRefused(t *testing.T) {
	s := newStore(t)
	acquire(t, s, taken(v4, "a", 1))
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
	held, settle := s.Acquire(taken(v4, "b", 2), "kernel")
	_, allErr := s.All()
	_, releaseErr := s.Release(v4, "a")
	lock, lockErr := s.LockAddr(v4)
	lock.Release()
	for what, err := range map[string]error{
		"Acquire": settle(), "All": allErr, "Release": releaseErr, "LockAddr": lockErr, "Clear": s.Clear(), "Drop": s.Drop(v4), "MarkComplete": mark(s, v4, "kernel"),
	} {
		if err == nil || !strings.Contains(err.Error(), "the state folder "+dir+" is not used") {
			t.Errorf("%s: %v", what, err)
		}
	}
	compare(t, "Acquire", lease.Held{}, held)
	if after, err := os.ReadFile(s.Path()); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// mount puts a small file system at dir, or ends the test.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, options)
	}
	if err != nil {
		reason := fmt.Sprintf("mounting a tmpfs: %v", err)
		if os.Getenv("AR_KERNEL_TESTS") == "require" {
			t.Fatalf("AR_KERNEL_TESTS=require: %s", reason)
		}
		t.Skip(reason)
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
	s := newStore(t)
	dir := filepath.Dir(s.Path())
	mount(t, dir, "size=256k,mode=700")
	free := fill(t, dir)
	if _, settle := s.Acquire(taken(v6, "a", 1), "kernel"); !errors.Is(settle(), unix.ENOSPC) {
		t.Errorf("no file and no room: %v, want ENOSPC", settle())
	}
	free()
	standing := map[string]bool{}
	take := func(i int) error {
		l := taken(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), "a", i)
		l.User = strings.Repeat("u", 500)
		_, settle := s.Acquire(l, "kernel")
		if settle() == nil {
			standing[l.Addr.String()] = true
		}
		return settle()
	}
	check := func(when string) {
		t.Helper()
		all, err := lease.New(dir, "firewall-drop").All()
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		found := map[string]bool{}
		for _, l := range all {
			found[l.Addr.String()] = true
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
	s := newStore(t)
	dir := filepath.Dir(s.Path())
	mount(t, dir, "size=1m,mode=700")
	mine := taken(v4, "a", 1)
	acquire(t, s, mine)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	want(t, s, mine)
	held, err := s.Holders(v4, "a")
	if err != nil {
		t.Error(err)
	}
	compare(t, "holders", lease.Held{Mine: &mine}, held)
	_, settle := s.Acquire(taken(v4, "b", 2), "kernel")
	_, releaseErr := s.Release(v4, "a")
	for what, err := range map[string]error{"Acquire": settle(), "Release": releaseErr} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
	want(t, s, mine)
}
