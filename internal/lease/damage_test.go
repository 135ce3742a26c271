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

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// soundFile returns a lease file of several pages with many leases in it.
func soundFile(t *testing.T) []byte {
	t.Helper()
	s := newStore(t)
	for i := range 24 {
		l := taken(target.Of(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)})), "firewall-drop.sh", i)
		l.User = strings.Repeat("u", 300)
		mustPut(t, s, l)
	}
	for i := range 12 { // which leaves free pages among the used ones
		mustEnd(t, s, taken(target.Of(netip.AddrFrom4([4]byte{198, 18, 0, byte(i * 2)})), "firewall-drop.sh", i))
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
			spoilt := func() *lease.Store {
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
			s := spoilt()
			if err := put(s, mine); err != nil {
				t.Fatalf("Put: %v", err)
			}
			checkMovedAside(t, s, content)
			if len(s.Faults()) > 0 {
				moved++
				checkSaved(t, s, mine)
			}
			wantOn(t, s, v4, mine)

			// The other ways in.
			s = spoilt()
			if err := end(s, taken(target.MustParse("198.18.0.1"), "firewall-drop.sh", 1)); err != nil {
				t.Errorf("Delete: %v", err)
			}
			checkMovedAside(t, s, content)
			// Going through all finds damage of any kind.
			s = spoilt()
			if err := s.Update(func(tx *lease.Tx) error { return tx.All(func(lease.Lease) error { return nil }) }); err != nil {
				t.Errorf("All in an Update: %v", err)
			}
			checkMovedAside(t, s, content)
			if _, err := another(s).All(); err != nil {
				t.Errorf("after all were gone through: %v", err)
			}
			// Reading either fails or gives sound leases, and changes nothing.
			s = spoilt()
			if leases, err := s.All(); err == nil {
				for _, l := range leases {
					if l.Program != "firewall-drop.sh" || l.RuleID != "5712" {
						t.Errorf("All: %+v", l)
					}
				}
			}
			if got, err := os.ReadFile(s.Path()); err != nil || !bytes.Equal(got, content) {
				t.Errorf("reading changed the file (%v)", err)
			}
			// Having read it stands in nobody's way, within the same process either.
			mustPut(t, s, mine)
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
	leases, err := s.All()
	if err != nil || !slices.ContainsFunc(leases, func(l lease.Lease) bool { return l.Target == mine.Target && l.AlertID == mine.AlertID }) {
		t.Errorf("a new file holds %v, %v, want %v in it", leases, err, mine)
	}
	for _, l := range leases {
		if l.Target != mine.Target && (l.Program != "firewall-drop.sh" || l.RuleID != "5712") {
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
			if leases, err := s.All(); err == nil || !strings.Contains(err.Error(), "is no plain file") {
				t.Errorf("All: %v, %v", leases, err)
			}
			mine := taken(v4, "a", 1)
			mustPut(t, s, mine)
			if faults := s.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), "is no plain file") {
				t.Errorf("Faults: %q", faults)
			}
			want(t, another(s), mine)
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
	mustPut(t, s, mine)
	if faults := s.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), "it does not begin as one; it was moved to ") ||
		!strings.HasSuffix(faults[0].Error(), "and the leases in it are forgotten") {
		t.Errorf("Faults: %q", faults)
	}
	want(t, another(s), mine)
}

// TestSaved: of a damaged file, every lease that can still be read is kept.
func TestSaved(t *testing.T) {
	const count, at = 40, 4096 + 7*512 // the eighth slot
	var leases []lease.Lease
	for i := range count {
		leases = append(leases, taken(target.Of(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)})), "a", i))
	}
	for _, test := range []struct {
		name   string
		damage func(file []byte) []byte
		lost   int
		fault  string
	}{
		{"one byte", func(f []byte) []byte { f[at+30]++; return f }, 1, "1 places in it hold neither a lease nor nothing"},
		{"a zeroed slot", func(f []byte) []byte { clear(f[at : at+512]); return f }, 1, "1 leases are gone from it"},
		{"noise from a slot on", func(f []byte) []byte {
			for i := range f[at : at+3*512] {
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
			mustPut(t, s, leases...)
			file, err := os.ReadFile(s.Path())
			if err == nil {
				err = os.WriteFile(s.Path(), test.damage(file), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			later := taken(v6, "a", 1)
			mustPut(t, s, later)
			kept := fmt.Sprintf("%d leases in it were still to be read and are kept", count-test.lost)
			if faults := s.Faults(); len(faults) != 1 || !strings.Contains(faults[0].Error(), test.fault) || !strings.Contains(faults[0].Error(), kept) {
				t.Errorf("Faults: %q, want %q and %q", faults, test.fault, kept)
			}
			found, err := s.All()
			if err != nil || len(found) != count-test.lost+1 {
				t.Errorf("%d leases, %v", len(found), err)
			}
			for _, l := range found {
				if i := slices.IndexFunc(leases, func(o lease.Lease) bool { return o.Target == l.Target }); i >= 0 {
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
		mustPut(t, s, taken(v4, "a", i))
		if err := os.WriteFile(s.Path(), fmt.Appendf(nil, "damage %d", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustPut(t, s, taken(v4, "a", 9))
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
