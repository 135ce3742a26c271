package hold

import (
	"fmt"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Widen has the network blocked for the address of a new lease, as it is configured, unless an
// entry of the whitelist lies in it, which it returns as a warning.
func (h *Holder) Widen(l *lease.Lease, never Whitelisted) (warning error) {
	network := networkOf(l.Target, h.IPv6Prefix)
	if network == l.Target {
		return nil
	}
	if entry, inside := never(network); inside {
		return fmt.Errorf("only %s is blocked, and not %s: %s is on the whitelist", l.Target, network, entry)
	}
	l.Net = network.Prefix()
	return nil
}

// networkOf returns what is blocked for a target where IPv6 networks have that many bits.
func networkOf(t target.Target, bits int) target.Target {
	if t.Is6() && t.IsSingle() && bits > 0 && bits < t.Addr().BitLen() {
		return target.Network(netip.PrefixFrom(t.Addr(), bits))
	}
	return t
}
