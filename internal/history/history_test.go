package history_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/history"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var now = time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC)

func book(t *testing.T) history.Book {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return history.Book{Dir: dir, Response: "firewall-drop"}
}

// TestRemembers: each target has a history of its own, and nobody else's.
func TestRemembers(t *testing.T) {
	b := book(t)
	for i, text := range []string{"203.0.113.7", "203.0.113.70", "2001:db8::7", "2001:db8::/64"} {
		of := target.MustParse(text)
		for n := range 3 {
			before, err := b.Add(of, now.Add(time.Duration(i*10+n)*time.Hour))
			if err != nil || len(before) != n {
				t.Fatalf("block %d of %s: before %v, %v", n+1, of, before, err)
			}
		}
		at, err := b.Of(of)
		if err != nil || len(at[of]) != 3 || !at[of][0].Equal(now.Add(time.Duration(i*10)*time.Hour)) {
			t.Errorf("of %s: %v, %v", of, at, err)
		}
	}
	address, network := target.MustParse("2001:db8::7"), target.MustParse("2001:db8::/64")
	if at, err := b.Of(address, network); err != nil || len(at[address]) != 3 || len(at[network]) != 3 {
		t.Errorf("of an address and its network: %v, %v", at, err)
	}
	if at, err := b.Of(target.Account("mallory")); err != nil || len(at) != 0 {
		t.Errorf("of an account: %v, %v", at, err)
	}
	if at, err := book(t).Of(target.MustParse("203.0.113.7")); err != nil || len(at) != 0 {
		t.Errorf("of no history: %v, %v", at, err)
	}
}

// TestBounded: the file stops growing, and what is oldest goes first.
func TestBounded(t *testing.T) {
	b := book(t)
	path := filepath.Join(b.Dir, "firewall-drop.history")
	of := target.MustParse("203.0.113.7")
	if _, err := b.Add(of, now); err != nil {
		t.Fatal(err)
	}
	const most = 1 << 16
	if err := os.Truncate(path, 8+24*most); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{0xff, 0xff, 0, 0, 0, 0, 0, 0}, 0); err != nil { // the last one is next
		t.Fatal(err)
	}
	_ = file.Close()
	for _, text := range []string{"203.0.113.8", "203.0.113.9"} {
		if _, err := b.Add(target.MustParse(text), now); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 8+24*most {
		t.Errorf("%v: the file has %d bytes", err, info.Size())
	}
	if at, err := b.Of(of); err != nil || len(at) != 0 {
		t.Errorf("the oldest is still there: %v, %v", at, err)
	}
	if at, err := b.Of(target.MustParse("203.0.113.8")); err != nil || len(at) != 1 {
		t.Errorf("the last one of the ring: %v, %v", at, err)
	}
}

// TestDamaged: a file of anything is no reason to fail.
func TestDamaged(t *testing.T) {
	b := book(t)
	for _, text := range []string{"", "x", "12345678", "\xff\xff\xff\xff\xff\xff\xff\xffrubbish"} {
		if err := os.WriteFile(filepath.Join(b.Dir, "firewall-drop.history"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		of := target.MustParse("203.0.113.7")
		if _, err := b.Add(of, now); err != nil {
			t.Errorf("after %q: %v", text, err)
		}
		if at, err := b.Of(of); err != nil || len(at[of]) != 1 {
			t.Errorf("after %q: %v, %v", text, at, err)
		}
	}
}

// TestAtOnce: many at the same time lose nothing.
func TestAtOnce(t *testing.T) {
	b := book(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := b.Add(target.MustParse(fmt.Sprintf("203.0.113.%d", i+1)), now); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	for i := range 50 {
		of := target.MustParse(fmt.Sprintf("203.0.113.%d", i+1))
		if at, err := b.Of(of); err != nil || len(at[of]) != 1 {
			t.Errorf("%s: %v, %v", of, at, err)
		}
	}
}
