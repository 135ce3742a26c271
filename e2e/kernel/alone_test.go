package kernel

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallAlone: a block that finds none before it in a chain that stands says so, for
// somebody may have flushed the chain; one that is not the first there does not.
func TestFirewallAlone(t *testing.T) {
	for _, variant := range variants {
		for _, target := range []string{"DROP", "REJECT"} {
			for _, backend := range []string{firewall.IPTables, firewall.Auto} {
				t.Run(variant+"/"+target+"/"+backend, func(t *testing.T) {
					if !Isolated(t) {
						return
					}
					dir := chooseVariant(t, variant)
					e := newFirewall(t, dir, func(o *firewall.Options) { o.Target, o.Backend, o.MaxRules = target, backend, 512 })
					alone(t, e, filepath.Join(dir, "iptables"), "192.0.2.1", "203.0.113.")
					alone(t, e, filepath.Join(dir, "ip6tables"), "2001:db8:1::1", "2001:db8::")
				})
			}
		}
	}
}

func alone(t *testing.T, e *firewall.Firewall, iptables, friend, net string) {
	t.Helper()
	var here Host
	block := func(step, last string, fresh, want bool) {
		t.Helper()
		out, err := e.Block(t.Context(), netip.MustParseAddr(net+last), fresh)
		if err != nil {
			t.Fatal(err)
		}
		if out.Alone != want {
			t.Errorf("%s: Block(%s%s) tells alone: %v, want %v", step, net, last, out.Alone, want)
		}
	}
	block("the chain is made", "1", true, false)
	block("a second", "2", true, false)
	block("it stands", "1", false, false)
	here.Run(t, iptables, "-F", "OSSEC_AR")
	block("after a flush", "3", true, true)
	block("after a flush and a block", "4", true, false)
	here.Run(t, iptables, "-F", "OSSEC_AR")
	block("after a flush", "1", false, true)
	block("after a flush and a block", "2", false, false)
	block("it stands first", "1", false, false)
	for _, last := range []string{"1", "2"} {
		if err := e.Unblock(t.Context(), netip.MustParseAddr(net+last)); err != nil {
			t.Fatal(err)
		}
	}
	block("after all were lifted", "5", true, true)
	// What the administrator put before all else is no block of ours.
	here.Run(t, iptables, "-F", "OSSEC_AR")
	here.Run(t, iptables, strings.Fields("-A OSSEC_AR -s "+friend+" -j ACCEPT")...)
	block("behind a friend", "6", true, true)
	block("behind a friend and a block", "7", true, false)
}
