package whitelist_test

import (
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// zone is what was found out about names before.
func zone(name string) ([]netip.Addr, error) {
	switch name {
	case "office.example.com":
		return []netip.Addr{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("203.0.113.5")}, nil
	case "broken.example.com":
		return nil, errors.New("reading names: broken")
	}
	return nil, nil
}

func TestHostNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	writeFile(t, file, "Office.Example.COM. # the office\n")
	for name, list := range map[string]*whitelist.List{
		"added":     {Names: zone},
		"in a file": {Names: zone},
	} {
		t.Run(name, func(t *testing.T) {
			source := "here:1"
			if name == "added" {
				_ = list.Add("^Office.Example.COM.$", source)
			} else {
				list.AddFile(file)
				source = file + ":1"
			}
			_ = list.Add("empty.example.com, broken.example.com", "here:2") // the first has no address: no fault
			if got, want := list.HostNames(), []string{"broken.example.com", "empty.example.com", "office.example.com"}; !slices.Equal(got, want) {
				t.Errorf("names %q, want %q", got, want)
			}
			sieve := list.Sieve()
			for _, text := range []string{"203.0.113.5", "::ffff:203.0.113.5", "2001:db8::5"} {
				want := whitelist.Match{Entry: "office.example.com", Source: source}
				if match, ok := list.Match(netip.MustParseAddr(text)); !ok || match != want {
					t.Errorf("%s: got %v, %v, want %v", text, match, ok, want)
				}
				if match, ok := sieve.Match(netip.MustParseAddr(text)); !ok || match != want {
					t.Errorf("%s: sieve says %v, %v, want %v", text, match, ok, want)
				}
			}
			before := len(list.Faults())
			if match, ok := list.Match(netip.MustParseAddr("203.0.113.6")); ok {
				t.Errorf("203.0.113.6 is covered by %v", match)
			}
			if faults := list.Faults()[before:]; len(faults) != 1 || faults[0].Error() != "reading names: broken" {
				t.Errorf("Faults: %q", faults)
			}
			list.Names = nil
			if match, ok := list.Match(netip.MustParseAddr("203.0.113.5")); ok {
				t.Errorf("without names: covered by %v", match)
			}
		})
	}
}

// TestByteOrderMark: it is no part of the first line.
func TestByteOrderMark(t *testing.T) {
	for name, first := range map[string]string{"an entry": "203.0.113.5", "a comment": "# ours\n203.0.113.5", "a name": "office.example.com"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "list")
			writeFile(t, file, "\ufeff"+first+"\r\n\ufeff203.0.113.6\n")
			list := whitelist.List{Names: zone}
			list.AddFile(file)
			if _, ok := list.Match(netip.MustParseAddr("203.0.113.5")); !ok {
				t.Errorf("the first line does not count: %q", list.Faults())
			}
			if _, ok := list.Match(netip.MustParseAddr("203.0.113.6")); ok || len(list.Faults()) == 0 {
				t.Errorf("a mark in another line: covered %v, faults %q; want some", ok, list.Faults())
			}
		})
	}
}

// TestTranslated: NAT64 and 6to4 forms of an IPv4 address are that address, where it is asked for.
func TestTranslated(t *testing.T) {
	for _, translated := range []bool{true, false} {
		list := whitelist.List{Translated: translated, Names: zone}
		_ = list.Add("198.51.100.0/24, office.example.com", "here:1")
		sieve := list.Sieve()
		for text, want := range map[string]bool{
			"64:ff9b::198.51.100.7": true, "64:ff9b::203.0.113.5": true,
			"2002:c633:6407::1": true, "2002:cb00:7105:1:2:3:4:5": true,
			"64:ff9b::198.51.101.7": false, "64:ff9b:1::198.51.100.7": false, "2002:c633:6507::1": false, "2003:c633:6407::1": false,
		} {
			want = want && translated
			if match, ok := list.Match(netip.MustParseAddr(text)); ok != want {
				t.Errorf("translated %v, %s: got %v, %v", translated, text, match, ok)
			}
			if match, ok := sieve.Match(netip.MustParseAddr(text)); ok != want {
				t.Errorf("translated %v, %s: sieve says %v, %v", translated, text, match, ok)
			}
		}
	}
}
