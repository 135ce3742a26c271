package kernel

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallForwardsByInterface: with forward = "auto", an interface that forwards is
// enough, though the host as a whole does not.
func TestFirewallForwardsByInterface(t *testing.T) {
	for _, tt := range []struct {
		name, sysctl, addr, program string
		want                        bool
	}{
		{"IPv4", "ipv4/conf/eth0/forwarding", "203.0.113.7", "iptables", true},
		{"IPv4, of interfaces to come", "ipv4/conf/default/forwarding", "203.0.113.7", "iptables", false},
		{"IPv6", "ipv6/conf/eth0/force_forwarding", "2001:db8::7", "ip6tables", true},
		{"IPv6, which does not forward by that", "ipv6/conf/eth0/forwarding", "2001:db8::7", "ip6tables", false},
	} {
		for _, variant := range variants {
			t.Run(tt.name+"/"+variant, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				Hosts(t)
				const sysctls = "/proc/sys/net/"
				for _, off := range []string{"ipv4/ip_forward", "ipv4/conf/default/forwarding", "ipv6/conf/all/forwarding"} {
					must(t, os.WriteFile(sysctls+off, []byte("0"), 0))
				}
				if err := os.WriteFile(sysctls+tt.sysctl, []byte("1"), 0); err != nil {
					needKernel(t, err.Error())
				}
				dir := chooseVariant(t, variant)
				e := newFirewall(t, dir, func(o *firewall.Options) { o.Forward = "auto" })
				blockOne(t, e, netip.MustParseAddr(tt.addr), 0)
				var here Host
				rules := here.Run(t, filepath.Join(dir, tt.program), "-S")
				if got := strings.Contains(rules, "-A FORWARD -j OSSEC_AR\n"); got != tt.want || !strings.Contains(rules, "-A INPUT -j OSSEC_AR\n") {
					t.Errorf("FORWARD jumps: %v, want %v:\n%s", got, tt.want, rules)
				}
			})
		}
	}
}
