// Package target has the value that blocks and leases are about: an address, the network that an
// attacker has its addresses of, or an account.
package target

import (
	"cmp"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// Target is what is blocked. It can be compared by == and be the key of a map. The zero Target is
// none.
type Target struct {
	prefix  netip.Prefix // masked; of an address as long as the address
	account string
}

// Of returns the target of one address, which is unmapped and without a zone. Of the zero Addr it
// is none.
func Of(addr netip.Addr) Target {
	return Target{prefix: netip.PrefixFrom(addr, addr.BitLen())}
}

// Network returns the target of all addresses of a network.
func Network(network netip.Prefix) Target { return Target{prefix: network.Masked()} }

// Account returns the target of an account of this host. Of "" it is none.
func Account(name string) Target { return Target{account: name} }

// MustParse returns the target of an address or network, and panics where text is none.
func MustParse(text string) Target {
	if network, err := netip.ParsePrefix(text); err == nil {
		return Network(network)
	}
	return Of(netip.MustParseAddr(text))
}

// IsValid reports whether t is one.
func (t Target) IsValid() bool { return t.prefix.IsValid() || t.account != "" }

// Addr returns the address, or the first one of a network; the zero Addr of an account.
func (t Target) Addr() netip.Addr { return t.prefix.Addr() }

// Prefix returns the network, of which an address is the only one; the zero Prefix of an account.
func (t Target) Prefix() netip.Prefix { return t.prefix }

// Account returns the name of the account, "" of anything else.
func (t Target) Account() string { return t.account }

// Is6 reports whether t is an IPv6 address or network.
func (t Target) Is6() bool { return t.prefix.Addr().Is6() }

// IsSingle reports whether t is one address.
func (t Target) IsSingle() bool { return t.prefix.IsSingleIP() }

// Contains reports whether an address is blocked where t is.
func (t Target) Contains(addr netip.Addr) bool { return t.prefix.Contains(addr) }

// Compare puts targets in order: IPv4, IPv6, accounts; a network stands before its addresses.
func (t Target) Compare(other Target) int {
	if t.account != other.account {
		return cmp.Compare(t.account, other.account)
	}
	return cmp.Or(t.prefix.Addr().Compare(other.prefix.Addr()),
		cmp.Compare(t.prefix.Bits(), other.prefix.Bits()))
}

// maxShown bounds what is shown of an account's name, in bytes. Attackers choose it; useradd(8) takes 32.
const maxShown = 64

// String returns an address or a network as it is written, and an account's name as it can be shown.
func (t Target) String() string {
	switch {
	case !t.IsValid():
		return "nobody"
	case t.account != "":
		return printable.Short(t.account, maxShown)
	case t.IsSingle():
		return t.prefix.Addr().String()
	}
	return t.prefix.String()
}
