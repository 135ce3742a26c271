package lease_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// indexSpoilers are what can happen to the index. It holds nothing of its own, so nobody
// may notice any of it.
var indexSpoilers = map[string]func(path string) error{
	"removed":    os.RemoveAll,
	"emptied":    func(path string) error { return os.Truncate(path, 0) },
	"cut off":    func(path string) error { return os.Truncate(path, 4096) },
	"cut within": func(path string) error { return os.Truncate(path, 5000) },
	"noise":      overwrite(0, bytes.Repeat([]byte{0xa7, 3, 200}, 3000)),
	"no header":  overwrite(0, make([]byte, 4096)),
	"one bit":    overwrite(40, []byte{0xff}),
	"an older one": func(path string) error {
		old, err := os.ReadFile(path + ".old")
		return errors.Join(err, os.WriteFile(path, old, 0o600))
	},
}

func overwrite(at int64, with []byte) func(string) error {
	return func(path string) error {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.WriteAt(with, at)
		return errors.Join(err, file.Close())
	}
}

// TestIndexSpoilt: whatever became of the index, all leases are found, and no fault is told.
func TestIndexSpoilt(t *testing.T) {
	for name, spoil := range indexSpoilers {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			index := s.Path() + ".index"
			var leases []lease.Lease
			for i := range 100 {
				leases = append(leases, taken(numbered(0, i), "a", i))
				acquire(t, s, leases[i])
				if i == 50 {
					old, err := os.ReadFile(index)
					if err := errors.Join(err, os.WriteFile(index+".old", old, 0o600)); err != nil {
						t.Fatal(err)
					}
				}
			}
			again := func() *lease.Store {
				if err := spoil(index); err != nil {
					t.Fatal(err)
				}
				return lease.New(filepath.Dir(s.Path()), "firewall-drop")
			}
			for i, l := range leases {
				if held, err := again().Holders(l.Addr, "a"); err != nil || held.Mine == nil {
					t.Fatalf("lease %d: %+v, %v", i, held, err)
				}
			}
			s = again()
			compare(t, "release", lease.Held{Mine: &leases[7]}, release(t, s, leases[7].Addr, "a"))
			if err := s.Lifted(leases[7].Addr); err != nil {
				t.Fatal(err)
			}
			s = again()
			other := taken(v6, "b", 1)
			compare(t, "another", lease.Held{}, acquire(t, s, other))
			want(t, s, append(slices.Delete(leases, 7, 8), other)...)
		})
	}
}

// TestIndexNamesNothing: an index that looks sound and names slots that are not there, or
// hold another lease, is made anew.
func TestIndexNamesNothing(t *testing.T) {
	s := newStore(t)
	var leases []lease.Lease
	for i := range 60 {
		leases = append(leases, taken(numbered(0, i), "a", i))
		acquire(t, s, leases[i])
	}
	index := s.Path() + ".index"
	content, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	for at := 4096; at < 4096+1024*8; at += 8 { // each place now names a slot far beyond
		if !bytes.Equal(content[at:at+4], make([]byte, 4)) {
			content[at+2] = 0xff
		}
	}
	if err := os.WriteFile(index, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if held, err := s.Holders(leases[3].Addr, "a"); err != nil || held.Mine == nil {
		t.Errorf("reading: %+v, %v", held, err)
	}
	compare(t, "release", lease.Held{Mine: &leases[3]}, release(t, s, leases[3].Addr, "a"))
	if err := s.Lifted(leases[3].Addr); err != nil {
		t.Fatal(err)
	}
	want(t, s, slices.Delete(leases, 3, 4)...)
}

// TestIndexCannotBeWritten: the leases do without, and that is told.
func TestIndexCannotBeWritten(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":   func(path string) error { return os.Symlink("elsewhere", path) },
		"a pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			index := s.Path() + ".index"
			if err := errors.Join(os.MkdirAll(filepath.Dir(index), 0o700), put(index)); err != nil {
				t.Fatal(err)
			}
			a, b := taken(v4, "a", 1), taken(v4, "b", 2)
			acquire(t, s, a)
			compare(t, "second", lease.Held{Others: []lease.Lease{a}}, acquire(t, s, b))
			compare(t, "release", lease.Held{Mine: &a, Others: []lease.Lease{b}}, release(t, s, v4, "a"))
			if len(s.Faults()) == 0 || !strings.Contains(s.Faults()[0].Error(), "slower") {
				t.Errorf("Faults: %q", s.Faults())
			}
			want(t, lease.New(filepath.Dir(s.Path()), "firewall-drop"), b)
			if _, err := os.Lstat(filepath.Join(filepath.Dir(index), "elsewhere")); err == nil {
				t.Error("a link was followed")
			}
		})
	}
}

// TestRestoredFromABackup: a lease file that somebody put back is what counts, in the same
// boot too.
func TestRestoredFromABackup(t *testing.T) {
	s := newStore(t)
	a, b := taken(numbered(0, 1), "a", 1), taken(numbered(0, 2), "a", 2)
	acquire(t, s, a)
	if err := mark(s, v4, "kernel"); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	acquire(t, s, b)
	release(t, s, a.Addr, "a")
	if err := s.Lifted(a.Addr); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	s = lease.New(filepath.Dir(s.Path()), "firewall-drop")
	compare(t, "what was put back", lease.Held{Mine: &a}, acquire(t, s, a))
	if held := acquire(t, s, b); held.Mine != nil || held.Complete {
		t.Errorf("what was taken later: %+v; want nothing held, and not all known", held)
	}
	want(t, s, a, b)
}

// TestManyLeases: the file grows and shrinks as leases come and go, and holds exactly them.
// A simple map does the same beside it; between the steps the index is spoilt now and then.
func TestManyLeases(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	s := newStore(t)
	model := map[string]lease.Lease{}
	key := func(l lease.Lease) string { return l.Addr.String() + " " + l.Program }
	spoilers := slices.Collect(func(yield func(func(string) error) bool) {
		for _, name := range []string{"removed", "cut off", "noise", "no header"} {
			if !yield(indexSpoilers[name]) {
				return
			}
		}
	})
	some := func() lease.Lease {
		return taken(numbered(0, random.IntN(300)), []string{"a", "b"}[random.IntN(2)], random.IntN(60))
	}
	for step := range 1500 {
		switch l := some(); random.IntN(12) {
		case 0, 1, 2, 3:
			held := acquire(t, s, l)
			old, had := model[key(l)]
			if had != (held.Mine != nil) {
				t.Fatalf("step %d: held %+v, want %v", step, held.Mine, had)
			}
			if had && !old.Lifting {
				l.Since = old.Since
			}
			model[key(l)] = l
		case 4, 5, 6:
			held := release(t, s, l.Addr, l.Program)
			if old, had := model[key(l)]; had {
				delete(model, key(l))
				if len(held.Others) == 0 {
					old.Lifting = true
					model[key(l)] = old
				}
			}
		case 7:
			if err := s.Lifted(l.Addr); err != nil {
				t.Fatal(err)
			}
			for _, program := range []string{"a", "b"} {
				if l.Program = program; model[key(l)].Lifting {
					delete(model, key(l))
				}
			}
		case 8:
			if err := s.Drop(l.Addr); err != nil {
				t.Fatal(err)
			}
			for _, program := range []string{"a", "b"} {
				l.Program = program
				delete(model, key(l))
			}
		case 9:
			var many []lease.Lease
			for range random.IntN(150) {
				l := some()
				l.Since = l.Renewed
				if old, had := model[key(l)]; had && !old.Lifting {
					l.Since = old.Since
				}
				model[key(l)] = l
				many = append(many, l)
			}
			if err := s.TakeAll(many); err != nil {
				t.Fatal(err)
			}
		case 10:
			var many []lease.Lease
			for range random.IntN(100) {
				l := some()
				delete(model, key(l))
				many = append(many, l)
			}
			if err := giveBack(s, many); err != nil {
				t.Fatal(err)
			}
			if random.IntN(20) == 0 {
				clear(model)
				if err := s.Clear(); err != nil {
					t.Fatal(err)
				}
			}
		case 11:
			if step > 0 {
				if err := spoilers[random.IntN(len(spoilers))](s.Path() + ".index"); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			s = lease.New(filepath.Dir(s.Path()), "firewall-drop")
		}
		if step%25 == 0 {
			var all []lease.Lease
			for _, l := range model {
				all = append(all, l)
			}
			slices.SortFunc(all, func(a, b lease.Lease) int {
				return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Program, b.Program))
			})
			want(t, s, all...)
			if t.Failed() {
				t.Fatalf("after step %d", step)
			}
		}
	}
}

// giveBack ends leases of several programs.
func giveBack(s *lease.Store, leases []lease.Lease) (err error) {
	addrs := map[string][]netip.Addr{}
	for _, l := range leases {
		addrs[l.Program] = append(addrs[l.Program], l.Addr)
	}
	for program, held := range addrs {
		err = errors.Join(err, s.LiftAll(held, program), s.LiftedAll(held, program))
	}
	return err
}

// TestGrowth: tens of thousands of leases are each found, and each given back.
func TestGrowth(t *testing.T) {
	const count = 40_000
	s := newStore(t)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for from := 0; from < count; from += 5000 {
		var leases []lease.Lease
		for i := range 5000 {
			leases = append(leases, taken(addr(from+i), "a", i%60))
		}
		if err := s.TakeAll(leases); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < count; i += 1 + i/50 {
		if held, err := s.Holders(addr(i), "a"); err != nil || held.Mine == nil || held.Mine.AlertID != fmt.Sprint(i%5000%60) {
			t.Fatalf("lease %d: %+v, %v", i, held.Mine, err)
		}
	}
	all, err := s.All()
	if err != nil || len(all) != count {
		t.Fatalf("%d leases, %v", len(all), err)
	}
	if err := giveBack(s, all[1:]); err != nil {
		t.Fatal(err)
	}
	want(t, s, all[0])
}
