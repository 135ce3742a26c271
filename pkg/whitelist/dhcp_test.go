package whitelist_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// message is a DHCP message with these options.
func message(options ...byte) string {
	return strings.Repeat("\x02", 236) + "\x63\x82\x53\x63" + string(options)
}

const dhclient6 = "lease6 {\n  interface \"eth0\";\n  ia-na 11:22:33:44 {\n    iaaddr 2001:db8::50 {\n    }\n  }\n}\n"

// TestDHCPv6Servers: they answer from a link-local address, which no lease names.
func TestDHCPv6Servers(t *testing.T) {
	for _, test := range []struct {
		file, content string
		want          bool
	}{
		{"dhclient6.eth0.leases", dhclient6, true}, {"eth0.lease6", "\x07", true}, {"eth0.lease", "\x02", false},
		{"dhclient.leases", dhclient("eth0", "192.0.2.1"), false},
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, test.file), test.content)
		var list whitelist.List
		list.AddBuiltIn(whitelist.BuiltIn{DHCPServers: true, LeaseFolders: []string{dir}})
		match, ok := list.Match(netip.MustParseAddr("fe80::1"))
		if ok != test.want || ok && match.String() != "DHCPv6 servers fe80::/10 (built in)" {
			t.Errorf("%s: got %v, %v", test.file, match, ok)
		}
	}
}

func dhclient(device, server string) string {
	return fmt.Sprintf("lease {\n  interface \"%s\";\n  fixed-address 192.0.2.50;\n  option dhcp-server-identifier %s;\n  expire 4 2026/11/26 03:27:57;\n}\n", device, server)
}

// TestDHCPServers: the server of each client's current lease is covered, and nothing spoils others.
func TestDHCPServers(t *testing.T) {
	for _, test := range []struct {
		name, file, content string
		in, out             string
	}{
		{"systemd-networkd", "2", "# This is private data. Do not parse.\nADDRESS=192.0.2.50\nSERVER_ADDRESS=192.0.2.1\nROUTER=192.0.2.254\n", "192.0.2.1", "192.0.2.50 192.0.2.254"},
		{"NetworkManager", "internal-5a-eth0.lease", "SERVER_ADDRESS=192.0.2.1\n", "192.0.2.1", ""},
		{"dhclient", "dhclient.eth0.leases", dhclient("eth0", "192.0.2.9") + dhclient("eth0", "192.0.2.1"), "192.0.2.1", "192.0.2.9 192.0.2.50"},
		{"dhclient, two interfaces", "dhclient.leases", dhclient("eth0", "192.0.2.1") + dhclient("eth1", "198.51.100.1"), "192.0.2.1 198.51.100.1", ""},
		{"dhclient, years of it", "dhclient.leases", strings.Repeat(dhclient("eth0", "192.0.2.9"), 10_000) + dhclient("eth0", "192.0.2.1"), "192.0.2.1", "192.0.2.9"},
		{"dhcpcd", "eth0.lease", message(53, 1, 5, 0, 54, 4, 192, 0, 2, 1, 255), "192.0.2.1", "198.51.100.1"},
		{"dhcpcd, cut off", "eth0.lease", message(53, 1, 5, 54, 4, 192, 0), "", "192.0.2.1"},
		{"dhcpcd, no server", "eth0.lease", message(53, 1, 5, 255, 54, 4, 192, 0, 2, 1), "", "192.0.2.1"},
		{"not a lease", "secret", "SERVER_ADDRESS=192.0.2.1\n", "", "192.0.2.1"},
		{"no address", "2", "SERVER_ADDRESS=dhcp.example.com\n", "", "192.0.2.1"},
		{"empty", "2", "", "", "192.0.2.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, test.file), test.content)
			if err := syscall.Mkfifo(filepath.Join(dir, "7"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "8"), 0o700); err != nil {
				t.Fatal(err)
			}
			var list whitelist.List
			list.AddBuiltIn(whitelist.BuiltIn{DHCPServers: true, LeaseFolders: []string{"/nonexistent", dir}})
			for text := range strings.FieldsSeq(test.in) {
				if match, ok := list.Match(netip.MustParseAddr(text)); !ok || match.String() != "DHCP server "+text+" (built in)" {
					t.Errorf("%s: got %v, %v", text, match, ok)
				}
			}
			for text := range strings.FieldsSeq(test.out) {
				if match, ok := list.Match(netip.MustParseAddr(text)); ok {
					t.Errorf("%s is covered by %v", text, match)
				}
			}
			if faults := list.Faults(); len(faults) > 0 {
				t.Errorf("faults %q", faults)
			}
		})
	}
}

// BenchmarkDHCPServers is what the leases of a usual host cost each response.
func BenchmarkDHCPServers(b *testing.B) {
	folders := []string{b.TempDir(), "/nonexistent/1", "/nonexistent/2", "/nonexistent/3", b.TempDir()}
	for _, file := range []string{filepath.Join(folders[0], "2"), filepath.Join(folders[4], "internal-5a-eth0.lease")} {
		if err := os.WriteFile(file, []byte("ADDRESS=192.0.2.50\nSERVER_ADDRESS=192.0.2.1\n"), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		var list whitelist.List
		list.AddBuiltIn(whitelist.BuiltIn{DHCPServers: true, LeaseFolders: folders})
	}
}
