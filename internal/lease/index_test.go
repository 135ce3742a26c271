package lease_test

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
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

// TestIndexSpoilt: whatever became of the index, all leases are found, and no fault is reported.
func TestIndexSpoilt(t *testing.T) {
	for name, spoil := range indexSpoilers {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			index := s.Path() + ".index"
			var leases []lease.Lease
			for i := range 100 {
				leases = append(leases, taken(numbered(0, i), "a", i))
				mustPut(t, s, leases[i])
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
				return another(s)
			}
			for _, l := range leases {
				wantOn(t, again(), l.Target, l)
			}
			mustEnd(t, again(), leases[7])
			other := taken(v6, "b", 1)
			s = again()
			mustPut(t, s, other)
			wantOn(t, s, leases[7].Target)
			want(t, s, append(slices.Delete(leases, 7, 8), other)...)
			again()
			err := s.View(func(tx *lease.Tx) error {
				if tx.Count(false) != 99 || tx.Count(true) != 1 {
					t.Errorf("count is %d and %d, want 99 and 1", tx.Count(false), tx.Count(true))
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
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
		mustPut(t, s, leases[i])
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
	wantOn(t, s, leases[3].Target, leases[3])
	added := taken(v6, "a", 1)
	err = s.Update(func(tx *lease.Tx) error { // found out after a change, which counts all the same
		return errors.Join(tx.Put(added), tx.Delete(leases[3].Target, "a"))
	})
	if err != nil {
		t.Fatal(err)
	}
	leases = append(leases, added)
	want(t, s, slices.Delete(leases, 3, 4)...)
}

// TestIndexCannotBeWritten: the leases do without, and that is a fault.
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
			mustPut(t, s, a)
			mustPut(t, s, b)
			wantOn(t, s, v4, a, b)
			mustEnd(t, s, a)
			if len(s.Faults()) == 0 || !strings.Contains(s.Faults()[0].Error(), "slower") {
				t.Errorf("Faults: %q", s.Faults())
			}
			want(t, another(s), b)
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
	mustPut(t, s, a)
	backup, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, b)
	mustEnd(t, s, a)
	if err := os.WriteFile(s.Path(), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	s = another(s)
	wantOn(t, s, a.Target, a)
	wantOn(t, s, b.Target)
	mustPut(t, s, b)
	want(t, s, a, b)
}

// TestManyLeases: the file grows and shrinks as leases come and go, and holds exactly them.
// A simple map does the same beside it; between the steps the index is spoilt now and then.
func TestManyLeases(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	s := newStore(t)
	model := map[string]lease.Lease{}
	key := func(l lease.Lease) string { return l.Target.String() + " " + l.Program }
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
		var changed []lease.Lease
		for range []int{1, 1, 1, 5, 150}[random.IntN(5)] {
			changed = append(changed, some())
		}
		switch random.IntN(8) {
		case 0, 1, 2, 3:
			mustPut(t, s, changed...)
			for _, l := range changed {
				model[key(l)] = l
			}
		case 4, 5:
			mustEnd(t, s, changed...)
			for _, l := range changed {
				delete(model, key(l))
			}
		case 6: // those of even minutes of some addresses
			err := s.Update(func(tx *lease.Tx) error {
				return endEven(tx, changed, func(l lease.Lease) { delete(model, key(l)) })
			})
			if err != nil {
				t.Fatal(err)
			}
		case 7:
			if err := spoilers[random.IntN(len(spoilers))](s.Path() + ".index"); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			s = another(s)
		}
		if step%25 == 0 {
			want(t, s, slices.SortedFunc(maps.Values(model), func(a, b lease.Lease) int {
				return cmp.Or(a.Target.Compare(b.Target), strings.Compare(a.Program, b.Program))
			})...)
			if t.Failed() {
				t.Fatalf("after step %d", step)
			}
		}
	}
}

// endEven ends the leases of even minutes on the addresses of some.
func endEven(tx *lease.Tx, some []lease.Lease, ended func(lease.Lease)) error {
	for _, l := range some {
		on, err := tx.On(l.Target)
		if err != nil {
			return err
		}
		for _, l := range on {
			if l.Renewed.Minute()%2 > 0 {
				continue
			}
			if err := tx.Delete(l.Target, l.Program); err != nil {
				return err
			}
			ended(l)
		}
	}
	return nil
}

// TestHundredThousand: that many are taken in one go, each is found, they are gone through in
// order in a short time, and ended in one go.
func TestHundredThousand(t *testing.T) {
	const count = 100_000
	s := newStore(t)
	addr := func(i int) target.Target {
		i = i * 7919 % count // out of order
		return target.Of(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	var leases []lease.Lease
	for i := range count {
		leases = append(leases, taken(addr(i), "a", i%60))
	}
	start := time.Now()
	step := func(name string) {
		t.Logf("%s: %s", name, time.Since(start))
		start = time.Now()
	}
	mustPut(t, s, leases...)
	step("put")
	for i := 0; i < count; i += 1 + i/50 {
		wantOn(t, s, addr(i), leases[i])
	}
	step("each")
	slices.SortFunc(leases, func(a, b lease.Lease) int { return a.Target.Compare(b.Target) })
	step("sort")
	var all []lease.Lease
	err := s.View(func(tx *lease.Tx) error {
		if tx.Count(false) != count || tx.Count(true) != 0 {
			t.Errorf("count is %d and %d", tx.Count(false), tx.Count(true))
		}
		return tx.All(func(l lease.Lease) error {
			all = append(all, l)
			return nil
		})
	})
	slices.SortFunc(all, lease.Lease.Compare)
	if err != nil || !slices.Equal(all, leases) {
		t.Fatalf("%d leases, or others than were put (%v)", len(all), err)
	}
	step("view")
	mustEnd(t, s, leases[1:]...)
	step("end")
	want(t, s, leases[0])
}
