package whitelist_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

func TestEntries(t *testing.T) {
	for _, test := range []struct {
		name, entry string
		in, out     string // addresses that it covers and does not, with blanks between
	}{
		{"address", "203.0.113.7", "203.0.113.7 ::ffff:203.0.113.7", "203.0.113.70 203.0.113.6 ::cb00:7107"},
		{"IPv6", "2001:DB8:0::7", "2001:db8::7", "2001:db8::70 2001:db8:1::7"},
		{"mapped", "::ffff:203.0.113.7", "203.0.113.7", "203.0.113.8"},
		{"CIDR", "10.0.0.0/8", "10.0.0.0 10.255.255.255", "11.0.0.0 9.255.255.255 ::a00:0"},
		{"CIDR, bits right of the mask", "192.168.1.77/24", "192.168.1.0 192.168.1.255", "192.168.2.0"},
		{"one host as CIDR", "203.0.113.7/32", "203.0.113.7", "203.0.113.8"},
		{"odd CIDR", "203.0.113.128/25", "203.0.113.128 203.0.113.255", "203.0.113.127"},
		{"all of IPv4", "0.0.0.0/0", "203.0.113.7", "2001:db8::7"},
		{"IPv6 CIDR", "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"},
		{"mapped CIDR", "::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"},
		{"dotted mask", "172.16.0.0/255.240.0.0", "172.16.0.1 172.31.255.255", "172.32.0.0"},
		{"dotted mask of one host", "172.16.0.1/255.255.255.255", "172.16.0.1", "172.16.0.2"},
		{"star", "10.0.0.*", "10.0.0.0 10.0.0.255", "10.0.1.0"},
		{"stars", "10.1.*.*", "10.1.0.0 10.1.255.255", "10.2.0.0"},
		{"short star", "10.*", "10.255.0.1", "11.0.0.1"},
		{"list", "10.0.0.1, 10.0.0.3 ,2001:db8::/64", "10.0.0.1 10.0.0.3 2001:db8::5", "10.0.0.2 2001:db8:0:1::5"},
		{"blanks around", " \t203.0.113.7\n", "203.0.113.7", "203.0.113.8"},
		{"localhost", "localhost", "127.0.0.1 127.8.9.1 ::1", "128.0.0.1 ::2"},
		{"localhost as OSSEC is installed", "localhost.localdomain", "127.0.0.1 127.8.9.1 ::1", "128.0.0.1 ::2"},
		{"localhost as Wazuh is installed", "^localhost.localdomain$", "127.0.0.1 ::1", "128.0.0.1 ::2"},
		{"localhost between anchors", "^localhost$, 10.0.0.1", "127.0.0.1 ::1 10.0.0.1", "10.0.0.2"},
		{"an address between anchors", "^203.0.113.7$", "203.0.113.7", "203.0.113.70 203.0.113.6"},
		{"an address between anchors, escaped", `^203\.0\.113\.7$`, "203.0.113.7", "203.0.113.70"},
		{"IPv6 between anchors", "^2001:db8::7$", "2001:db8::7", "2001:db8::70"},
		{"a network between anchors", "^10.0.0.0/8$", "10.1.2.3", "11.0.0.1"},
		{"how an address begins", "^10.", "10.0.0.0 10.255.255.255", "11.0.0.0 110.1.2.3"},
		{"how an address begins, escaped", `^192\.168\.`, "192.168.3.4", "192.169.0.1"},
		{"within a number", "^192.168.1", "192.168.1.1 192.168.10.1 192.168.199.1", "192.168.2.1 192.168.200.1"},
		{"within the last number", "^10.0.0.25", "10.0.0.25 10.0.0.250 10.0.0.255", "10.0.0.2 10.0.0.26"},
		{"two beginnings", "^10.|^192.168.", "10.1.2.3 192.168.1.1", "192.169.0.1"},
		{"localhost in other letters", "LocalHost.", "127.0.0.1 ::1", "::"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := whitelist.CheckEntry(strings.TrimSpace(test.entry)); err != nil {
				t.Errorf("CheckEntry: %v", err)
			}
			file := filepath.Join(t.TempDir(), "list")
			writeFile(t, file, "# a comment\n\n"+strings.TrimSpace(test.entry)+" # the office\r\n")
			var direct, fromFile whitelist.List
			if err := direct.Add(test.entry, "here:1"); err != nil {
				t.Errorf("Add: %v", err)
			}
			fromFile.AddFile(file)
			for source, list := range map[string]*whitelist.List{"here:1": &direct, file + ":3": &fromFile} {
				for text := range strings.FieldsSeq(test.in) {
					match, ok := list.Match(netip.MustParseAddr(text))
					if want := (whitelist.Match{Entry: strings.TrimSpace(test.entry), Source: source}); !ok || match != want {
						t.Errorf("%s: got %v, %v, want %v", text, match, ok, want)
					}
				}
				for text := range strings.FieldsSeq(test.out) {
					if match, ok := list.Match(netip.MustParseAddr(text)); ok {
						t.Errorf("%s is covered by %v", text, match)
					}
				}
				for _, err := range list.Faults() {
					t.Error(err)
				}
			}
		})
	}
}

func TestBrokenEntries(t *testing.T) {
	for _, test := range []struct{ name, entry, want string }{
		{"empty", "", "it is empty"},
		{"too many bits", "10.0.0.0/33", "the mask does not fit"},
		{"too many bits, IPv6", "2001:db8::/129", "does not fit"},
		{"negative", "10.0.0.0/-1", "no mask behind the /"},
		{"negative nothing", "10.0.0.0/-0", "no mask behind the /"},
		{"with a sign", "10.0.0.0/+8", "no mask behind the /"},
		{"all of IPv4, mapped, and more", "::ffff:10.0.0.0/8", "the mask does not fit an IPv4 address that is mapped"},
		{"no mask", "10.0.0.0/", "no mask behind the /"},
		{"a word for a mask", "10.0.0.0/all", "no mask behind the /"},
		{"a mask with holes", "10.0.0.0/255.0.255.0", "no mask behind the /"},
		{"an IPv4 mask on IPv6", "2001:db8::/255.0.0.0", "no mask behind the /"},
		{"a name with a mask", "office.example.com/24", "no address before the /"},
		{"no address", "/24", "no address before the /"},
		{"pattern of everything", "^", "of patterns only how an IPv4 address begins"},
		{"pattern to the end", "^10.0$", "a mistyped address?"},
		{"pattern without a beginning", "office.example.com$", "means no address"},
		{"pattern without an end", "^office.example.com", "write it as a network (10.0.0.0/16)"},
		{"pattern of what is no address", "^10.300.", "of patterns only"},
		{"pattern with too many numbers", "^10.0.0.1.", "of patterns only"},
		{"pattern of IPv6", "^2001:db8:", "of patterns only"},
		{"anchors around one of two", "^a.example.com|10.1.1.1", "of patterns only"},
		{"anchors around nothing", "^$", "it is empty"},
		{"anchors twice", "^^localhost$$", "of patterns only"},
		{"exception", "!10.0.0.1", "exceptions with ! are not known"},
		{"zone", "fe80::1%eth0", "a zone cannot be matched"},
		{"zone in a network", "fe80::1%eth0/64", "a zone cannot be matched"},
		{"star before a number", "10.*.0.1", "a star stands for whole numbers at the end"},
		{"star in a number", "10.0.0.1*", "a star stands for whole numbers at the end"},
		{"star alone", "*", "a star stands for whole numbers at the end"},
		{"only stars", "*.*.*.*", "a star stands for whole numbers at the end"},
		{"five parts with a star", "10.0.0.0.*", "a star stands for whole numbers at the end"},
		{"star after what is too large", "256.*", "a star stands for whole numbers at the end"},
		{"mistyped", "10.0.0.256", "a mistyped address?"},
		{"three numbers", "10.0.0", "a mistyped address?"},
		{"range", "10.0.0.1-10.0.0.9", "means no address"},
		{"two words", "one two", "means no address"},
		{"shell", "$(id)", "means no address"},
		{"a name that begins with a minus", "-a.example.com", "means no address"},
		{"an empty label", "a..example.com", "means no address"},
		{"a long label", strings.Repeat("a", 64) + ".example.com", "means no address"},
		{"a long name", strings.Repeat("a.", 127) + "example", "longer than a host name"},
		{"other letters", "büro.example.com", "means no address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var list whitelist.List
			err := list.Add(test.entry, "here:1")
			if !errors.Is(err, whitelist.ErrBadEntry) || !strings.HasPrefix(err.Error(), "here:1: whitelist entry ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Add: %v, want %q", err, test.want)
			}
			if faults := list.Faults(); len(faults) != 1 || faults[0].Error() != err.Error() {
				t.Errorf("Faults: %q, want what Add said", faults)
			}
			if err := whitelist.CheckEntry(test.entry); !errors.Is(err, whitelist.ErrBadEntry) {
				t.Errorf("CheckEntry: %v", err)
			}
			if match, ok := list.Match(netip.MustParseAddr("10.0.0.1")); ok {
				t.Errorf("it covers 10.0.0.1: %v", match)
			}
		})
	}
}

// TestBrokenPieces: what is broken in a list does not spoil the rest of it.
func TestBrokenPieces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	const entry = "10.0.0.1, 10.0.0.256,, 10.0.0.3"
	writeFile(t, file, entry+"\n")
	var list, fromFile whitelist.List
	if err := list.Add(entry, "here:1"); err == nil || strings.Count(err.Error(), "here:1: ") != 2 {
		t.Errorf("Add: %v, want two faults", err)
	}
	fromFile.AddFile(file)
	for _, l := range []*whitelist.List{&list, &fromFile} {
		for text, want := range map[string]bool{"10.0.0.1": true, "10.0.0.3": true, "10.0.0.2": false} {
			if _, ok := l.Match(netip.MustParseAddr(text)); ok != want {
				t.Errorf("%s is covered: %v, want %v", text, ok, want)
			}
		}
		if faults := l.Faults(); len(faults) < 2 {
			t.Errorf("Faults: %q, want two at least", faults)
		}
	}
}

func TestBuiltIn(t *testing.T) {
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	writeFile(t, resolv, "# nameserver 198.51.100.1\nsearch example.com\nnameserver 198.51.100.53 # ours\nnameserver fe80::53%eth0\nnameserver\nnameserver junk\noptions rotate\n")
	for _, test := range []struct {
		name string
		set  func(*whitelist.BuiltIn)
		in   string
		out  string
	}{
		{"loopback", func(b *whitelist.BuiltIn) { b.Loopback = true }, "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1", "128.0.0.0 126.255.255.255 ::2"},
		{"unspecified", func(b *whitelist.BuiltIn) { b.Unspecified = true }, "0.0.0.0 0.1.2.3 ::", "1.0.0.0 ::1"},
		{"multicast", func(b *whitelist.BuiltIn) { b.Multicast = true }, "224.0.0.1 239.255.255.255 ff02::1", "223.255.255.255 240.0.0.0 fe80::1"},
		{"broadcast", func(b *whitelist.BuiltIn) { b.Broadcast = true }, "255.255.255.255", "255.255.255.254"},
		{"own addresses", func(b *whitelist.BuiltIn) { b.OwnAddresses = true }, "127.0.0.1", "127.0.0.2 198.51.100.53"},
		{"DNS servers", func(b *whitelist.BuiltIn) { b.DNSServers, b.ResolvConf = true, []string{"/nonexistent", resolv} }, "198.51.100.53 fe80::53", "198.51.100.1"},
		{"metadata service", func(b *whitelist.BuiltIn) { b.Metadata = true }, "169.254.169.254 fd00:ec2::254", "169.254.169.253 fd00:ec2::253"},
		{"none", func(*whitelist.BuiltIn) {}, "", "127.0.0.1 ::1 224.0.0.1 255.255.255.255 0.0.0.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b whitelist.BuiltIn
			test.set(&b)
			var list whitelist.List
			list.AddBuiltIn(b)
			for text := range strings.FieldsSeq(test.in) {
				if match, ok := list.Match(netip.MustParseAddr(text)); !ok || match.Source != "built in" {
					t.Errorf("%s: got %v, %v", text, match, ok)
				}
			}
			for text := range strings.FieldsSeq(test.out) {
				if match, ok := list.Match(netip.MustParseAddr(text)); ok {
					t.Errorf("%s is covered by %v", text, match)
				}
			}
			for _, err := range list.Faults() {
				t.Error(err)
			}
		})
	}
}

func BenchmarkWhitelistMatch(b *testing.B) {
	addr := netip.MustParseAddr("203.0.113.7")
	b.Run("built in", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var list whitelist.List
			list.AddBuiltIn(whitelist.AllBuiltIn())
			if _, ok := list.Match(addr); ok {
				b.Fatal("covered")
			}
		}
	})
	for _, lines := range []int{100, 10_000} {
		path := filepath.Join(b.TempDir(), "list")
		var content strings.Builder
		for i := range lines {
			fmt.Fprintf(&content, "10.0.%d.%d\n", i>>8, i&255)
		}
		if err := os.WriteFile(path, []byte(content.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("a file of %d lines", lines), func(b *testing.B) {
			b.ReportAllocs()
			var list whitelist.List
			list.AddFile(path)
			for b.Loop() {
				if _, ok := list.Match(addr); ok {
					b.Fatal("covered")
				}
			}
		})
	}
}
