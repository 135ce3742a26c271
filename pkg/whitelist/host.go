package whitelist

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// BuiltIn says which addresses of the host and its neighbourhood are never blocked,
// whatever is configured. Blocking any of them cuts the host off or does nothing.
type BuiltIn struct {
	Loopback     bool // 127.0.0.0/8, ::1
	Unspecified  bool // 0.0.0.0/8, ::
	Multicast    bool // 224.0.0.0/4, ff00::/8
	Broadcast    bool // 255.255.255.255 and that of each network of the host
	OwnAddresses bool // of all interfaces
	Gateways     bool // of the default routes, in every routing table
	DNSServers   bool // of the files in ResolvConf
	Metadata     bool // the metadata service of a cloud: 169.254.169.254, fd00:ec2::254
	DHCPServers  bool // that leases in the folders of LeaseFolders came from
	// ResolvConf are the files that name DNS servers; nil means /etc/resolv.conf
	// and, behind systemd-resolved's stub, /run/systemd/resolve/resolv.conf.
	ResolvConf []string
	// LeaseFolders are where DHCP clients keep their leases; nil means the usual places.
	LeaseFolders []string
}

// AllBuiltIn switches everything on.
func AllBuiltIn() BuiltIn {
	return BuiltIn{
		Loopback: true, Unspecified: true, Multicast: true, Broadcast: true,
		OwnAddresses: true, Gateways: true, DNSServers: true, Metadata: true, DHCPServers: true,
	}
}

const builtIn = "built in"

// AddBuiltIn adds the chosen addresses. The kernel is asked for the host's own and its gateways
// when they matter, and then as they are at that moment.
func (l *List) AddBuiltIn(b BuiltIn) {
	fixed := func(on bool, what string, prefixes ...string) {
		for _, p := range prefixes {
			if on {
				l.AddPrefix(netip.MustParsePrefix(p), what+" "+p, builtIn)
			}
		}
	}
	fixed(b.Loopback, "loopback", "127.0.0.0/8", "::1/128")
	fixed(b.Unspecified, "unspecified", "0.0.0.0/8", "::/128")
	fixed(b.Multicast, "multicast", "224.0.0.0/4", "ff00::/8")
	fixed(b.Broadcast, "broadcast", "255.255.255.255/32")
	fixed(b.Metadata, "metadata service", "169.254.169.254/32", "fd00:ec2::254/128")
	l.unasked = b
	if b.DNSServers {
		l.addDNSServers(b.ResolvConf)
	}
	if b.DHCPServers {
		l.addDHCPServers(b.LeaseFolders)
	}
}

func (l *List) addOne(addr netip.Addr, what string) {
	addr = addr.Unmap().WithZone("")
	l.AddPrefix(netip.PrefixFrom(addr, addr.BitLen()), what+" "+addr.String(), builtIn)
}

func (l *List) addDNSServers(files []string) {
	if files == nil {
		files = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}
	}
	for _, path := range files {
		file, err := state.Open(path)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				l.faults = append(l.faults, fmt.Errorf("reading DNS servers: %w", err))
			}
			continue
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 2 || fields[0] != "nameserver" {
				continue
			}
			if addr, err := netip.ParseAddr(fields[1]); err == nil {
				l.addOne(addr, "DNS server")
			}
		}
		if err := lines.Err(); err != nil {
			l.faults = append(l.faults, fmt.Errorf("reading DNS servers in %s: %w", path, err))
		}
		file.Close()
	}
}
