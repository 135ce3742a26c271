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
