package whitelist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Bounds of what is read about DHCP leases.
const (
	maxLeaseFiles = 32       // of one folder
	maxLease      = 16 << 10 // bytes at the end of one file, where dhclient adds the newest
)

// leaseFolders are where systemd-networkd, dhclient (Debian, Red Hat), dhcpcd and
// NetworkManager keep their leases.
var leaseFolders = []string{
	"/run/systemd/netif/leases", "/var/lib/dhcp", "/var/lib/dhclient", "/var/lib/dhcpcd",
	"/var/lib/NetworkManager",
}

// linkLocal is where servers of DHCPv6 answer from (RFC 8415, 18.4). No lease says from which address.
var linkLocal = netip.MustParsePrefix("fe80::/10")

// addDHCPServers adds the servers that this host's leases came from. Blocked, they renew
// none, and the host loses its address. Only root and the clients write in these folders.
func (l *List) addDHCPServers(folders []string) {
	if folders == nil {
		folders = leaseFolders
	}
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			l.faults = append(l.faults, fmt.Errorf("reading DHCP leases: %w", err))
		}
		n := 0
		for _, e := range entries {
			if !isLease(e) {
				continue
			}
			if n++; n > maxLeaseFiles {
				break
			}
			l.addDHCPServersOf(filepath.Join(dir, e.Name()))
		}
	}
}

// isLease reports whether a file is a lease by its name: networkd's is the number of the
// interface.
func isLease(e os.DirEntry) bool {
	name := e.Name()
	return e.Type().IsRegular() && (strings.Trim(name, "0123456789") == "" ||
		slices.Contains([]string{".lease", ".leases", ".lease6"}, filepath.Ext(name)))
}

func (l *List) addDHCPServersOf(path string) {
	tail, err := readTail(path, maxLease)
	if errors.Is(err, os.ErrNotExist) { // it ended meanwhile
		return
	}
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("reading DHCP leases: %w", err))
		return
	}
	for _, addr := range dhcpServers(tail) {
		l.addOne(addr, "DHCP server")
	}
	// As dhcpcd calls the file, and as dhclient begins it.
	if filepath.Ext(path) == ".lease6" || bytes.Contains(tail, []byte("lease6 {")) {
		l.AddPrefix(linkLocal, "DHCPv6 servers "+linkLocal.String(), builtIn)
	}
}

func readTail(path string, most int64) ([]byte, error) {
	file, err := state.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := file.SeekTail(most); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, most))
}

// dhcpServers returns the server of a lease: from dhcpcd's, which is the server's message as it
// came, or from the lines of the others. A file of dhclient holds many leases; the last one of
// each interface counts.
func dhcpServers(lease []byte) (servers []netip.Addr) {
	if addr, ok := serverOfMessage(lease); ok {
		return []netip.Addr{addr}
	}
	last := map[string]netip.Addr{}
	device := ""
	for line := range strings.Lines(string(lease)) {
		line = strings.TrimRight(strings.TrimSpace(line), ";")
		if name, ok := strings.CutPrefix(line, "interface "); ok {
			device = name
		}
		text, ok := strings.CutPrefix(line, "option dhcp-server-identifier ")
		if !ok {
			text, ok = strings.CutPrefix(line, "SERVER_ADDRESS=")
		}
		if addr, err := netip.ParseAddr(text); ok && err == nil {
			last[device] = addr
		}
	}
	for _, addr := range last {
		servers = append(servers, addr)
	}
	return servers
}

// serverOfMessage reads the server identifier of a DHCP message (RFC 2131, RFC 2132 9.7).
func serverOfMessage(message []byte) (netip.Addr, bool) {
	const header, magic, pad, serverID, end = 236, 0x63825363, 0, 54, 255
	if len(message) < header+4 || binary.BigEndian.Uint32(message[header:]) != magic {
		return netip.Addr{}, false
	}
	options := bytes.NewReader(message[header+4:])
	for {
		code, err := options.ReadByte()
		if err != nil || code == end {
			return netip.Addr{}, false
		}
		if code == pad {
			continue
		}
		size, _ := options.ReadByte() // cut off, it is found so below
		value := make([]byte, size)
		if _, err := io.ReadFull(options, value); err != nil {
			return netip.Addr{}, false
		}
		if code == serverID && size == 4 {
			return netip.AddrFrom4([4]byte(value)), true
		}
	}
}
