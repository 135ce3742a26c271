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

// TestOverlap: a network is on the list where a part of it is.
func TestOverlap(t *testing.T) {
	list := whitelist.List{Translated: true}
	for _, entry := range []string{"2001:db8::7", "2001:db8:5::/48", "2001:db8:7::/120", "192.0.2.7"} {
		if err := list.Add(entry, "here"); err != nil {
			t.Fatal(err)
		}
	}
	sieve := list.Sieve()
	for network, want := range map[string]string{
		"2001:db8::/64": "2001:db8::7", "2001:db8::/48": "2001:db8::7", "2001:db8:0:1::/64": "",
		"2001:db8:5:6::/64": "2001:db8:5::/48", "2001:db8:4::/48": "", "2001:db8:7::/56": "2001:db8:7::/120",
		"2001:db8:7:1::/64": "", "2001:db9::/48": "", "2001:db7:ffff::/48": "",
		"64:ff9b::/64": "64:ff9b::/96", "2002:c000:207::/48": "192.0.2.7", "2002:c000:208::/64": "",
	} {
		match, found := sieve.Overlap(netip.MustParsePrefix(network))
		if match.Entry != want || found != (want != "") {
			t.Errorf("%s: %v, %v, want %q", network, match, found, want)
		}
	}
}
