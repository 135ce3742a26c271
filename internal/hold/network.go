package hold

import (
	"fmt"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/config"
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

// Around returns a target and the networks that may be blocked for it.
func Around(t target.Target) []target.Target {
	all := []target.Target{t}
	if t.Is6() && t.IsSingle() {
		for _, bits := range config.NetworkBits {
			all = append(all, target.Network(netip.PrefixFrom(t.Addr(), bits)))
		}
	}
	return all
}

// networks returns those networks that an address is in and others than the leases back hold.
func networks(tx *lease.Tx, t target.Target, back []lease.Lease) (held []target.Target, err error) {
	for _, network := range Around(t)[1:] {
		holders, err := tx.Holders(network)
		if err != nil {
			return nil, err
		}
		for _, l := range back {
			if l.Blocks() == network && l.State != lease.Lifting {
				holders--
			}
		}
		if holders > 0 {
			held = append(held, network)
		}
	}
	return held, nil
}
