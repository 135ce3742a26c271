package kernel

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// TestFirewallAutoAtTheMost: with just max_rules rules, who has one already gets no set,
// though the jump has to be made again.
func TestFirewallAutoAtTheMost(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			w := way{variant: variant, change: func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, 3 }}
			e, iptables := w.on(t)
			var here Host
			for i := range 3 {
				blockAddr(t, e, address(i))
			}
			here.Run(t, iptables, "-D", "INPUT", "-j", "OSSEC_AR")
			if !blockAddr(t, e, address(1)).Remade {
				t.Error("Block does not make the jump again")
			}
			if sets := here.Run(t, Program(t, "ipset"), "list", "-n"); sets != "" {
				t.Errorf("there is a set: %s", sets)
			}
			if got := here.Run(t, iptables, "-S"); strings.Count(got, " -s ") != 3 || strings.Count(got, "-A INPUT -j OSSEC_AR\n") != 1 {
				t.Errorf("want three rules and a jump:\n%s", got)
			}
		})
	}
}

// TestFirewallFoundsNothingBesideASet: who makes the chain anew, while another backend's set
// has members, has not founded the place of all blocks.
func TestFirewallFoundsNothingBesideASet(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			of := func(backend string) (*firewall.Firewall, string) {
				return way{variant: variant, change: func(o *firewall.Options) { o.Backend = backend }}.on(t)
			}
			old, iptables := of(firewall.IPSet)
			blockAddr(t, old, address(1))
			var here Host
			here.Run(t, iptables, "-F")
			here.Run(t, iptables, "-X")
			e, _ := of(firewall.IPTables)
			if out := blockAddr(t, e, address(2)); out.Founded || !out.Remade {
				t.Errorf("Block tells %+v, want that it made the chain again and founded nothing", out)
			}
			v6 := netip.MustParseAddr("2001:db8::1")
			if out := blockAddr(t, e, v6); !out.Founded {
				t.Errorf("Block of the first of IPv6 tells %+v, want that it founded the place", out)
			}
		})
	}
}

// TestFirewallLockIsHeld: iptables gives up waiting for its lock before its time is over, so
// that it can say what it waited for.
func TestFirewallLockIsHeld(t *testing.T) {
	if !Isolated(t) {
		return
	}
	e := newFirewall(t, chooseVariant(t, "legacy"), func(o *firewall.Options) { o.Timeout = 12 * time.Second })
	blockAddr(t, e, address(1))
	fd, err := unix.Open("/run/xtables.lock", unix.O_RDONLY|unix.O_CREAT, 0o600)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Flock(fd, unix.LOCK_EX))
	unblocked := make(chan error, 1)
	go func() { unblocked <- e.Unblock(t.Context(), address(1)) }()
	_, err = e.Block(t.Context(), address(2), true)
	for name, err := range map[string]error{"Block": err, "Unblock": <-unblocked} {
		if err == nil || !strings.Contains(err.Error(), "xtables lock") || strings.Contains(err.Error(), "killed") {
			t.Errorf("%s: %v, want what iptables says of its lock", name, err)
		}
	}
}
