package whitelist

import (
	"net/netip"
	"slices"
)

// Sieve answers for many addresses: it holds all entries of a List, files and resolved
// host names included, so that each answer costs the same however many there are.
type Sieve struct {
	entries map[netip.Prefix]Match
	bits4   []int // the mask lengths that occur, in bits
	bits6   []int
	sorted6 []netip.Prefix // the IPv6 entries in order of address
	// translated is List.Translated.
	translated bool
}

// Sieve reads all files and asks for the addresses of all host names once.
func (l *List) Sieve() *Sieve {
	s := &Sieve{entries: map[netip.Prefix]Match{}, translated: l.Translated}
	l.addHost(netip.Addr{})
	for _, n := range l.networks {
		s.add(n)
	}
	l.eachHost(s.add, func(h host) {
		for _, a := range l.addresses(h.name) {
			s.add(network{netip.PrefixFrom(a, a.BitLen()), h.name, h.source, 0})
		}
	})
	slices.SortFunc(s.sorted6, netip.Prefix.Compare)
	return s
}

func (s *Sieve) add(n network) {
	p := n.prefix.Masked()
	if _, known := s.entries[p]; known {
		return
	}
	s.entries[p] = n.match()
	bits := &s.bits6
	if p.Addr().Is4() {
		bits = &s.bits4
	} else {
		s.sorted6 = append(s.sorted6, p)
	}
	if !slices.Contains(*bits, p.Bits()) {
		*bits = append(*bits, p.Bits())
	}
}

// Match returns an entry that covers addr.
func (s *Sieve) Match(addr netip.Addr) (Match, bool) {
	match, found := s.match(addr.Unmap())
	if v4, translated := translatedFrom(addr); !found && s.translated && translated {
		match, found = s.match(v4)
	}
	return match, found
}

// Overlap returns an entry that covers an IPv6 network of at least 48 bits, or a part of it.
func (s *Sieve) Overlap(network netip.Prefix) (Match, bool) {
	if match, found := s.Match(network.Addr()); found {
		return match, true
	}
	if s.translated && network.Overlaps(nat64) {
		return Match{nat64.String(), "IPv4 addresses by NAT64"}, true
	}
	i, _ := slices.BinarySearchFunc(s.sorted6, network.Addr(),
		func(p netip.Prefix, addr netip.Addr) int { return p.Addr().Compare(addr) })
	if i < len(s.sorted6) && network.Contains(s.sorted6[i].Addr()) {
		return s.entries[s.sorted6[i]], true
	}
	return Match{}, false
}

func (s *Sieve) match(addr netip.Addr) (Match, bool) {
	bits := s.bits6
	if addr.Is4() {
		bits = s.bits4
	}
	for _, n := range bits {
		p, err := addr.Prefix(n)
		if err != nil {
			continue // not reached: the lengths are of this family
		}
		if m, ok := s.entries[p]; ok {
			return m, true
		}
	}
	return Match{}, false
}
