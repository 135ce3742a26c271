package whitelist_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// TestSieveAgreesWithList: for every address around every entry, the two say the same.
func TestSieveAgreesWithList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte("198.51.100.16/28\n2001:db8:5::/48 # office\nbroken entry\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var list whitelist.List
	for _, entry := range []string{"10.0.0.0/8", "192.168.1.*", "203.0.113.10", "2001:db8::7", "::ffff:192.0.2.0/120"} {
		if err := list.Add(entry, "here"); err != nil {
			t.Fatal(err)
		}
	}
	list.AddFile(file)
	sieve := list.Sieve()
	covered := 0
	for _, text := range []string{
		"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "192.168.0.255", "192.168.1.0", "192.168.1.255", "192.168.2.0",
		"203.0.113.9", "203.0.113.10", "203.0.113.11", "::ffff:203.0.113.10", "198.51.100.15", "198.51.100.16", "198.51.100.31", "198.51.100.32",
		"192.0.2.77", "192.0.3.0", "2001:db8::6", "2001:db8::7", "2001:db8:5:ffff::1", "2001:db8:6::", "::1",
	} {
		addr := netip.MustParseAddr(text)
		want, wantOK := list.Match(addr)
		got, ok := sieve.Match(addr)
		if got != want || ok != wantOK {
			t.Errorf("%s: sieve says %v, %v; list says %v, %v", addr, got, ok, want, wantOK)
		}
		if ok {
			covered++
		}
	}
	if covered != 11 {
		t.Errorf("%d of the addresses are covered, want 11", covered)
	}
}
