package stats

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// networks adds addresses up by their networks: /24 for IPv4, /48 for IPv6. There may be
// as many as addresses, so they are sorted rather than looked up: that is several times as
// fast.
type networks struct {
	four []uint64 // of each IPv4 address, the upper half its network's, the lower its blocks
	six  []sixNetwork
}

// sixNetwork is the network of one IPv6 address, and its blocks.
type sixNetwork struct {
	network uint64
	blocks  uint32
}

func (n *networks) add(e *entry) {
	addr := e.addr()
	if addr.Is4() {
		b := addr.As4()
		n.four = append(n.four, uint64(binary.BigEndian.Uint32(b[:]))&^0xff<<32|uint64(e.blocks))
		return
	}
	b := addr.As16()
	n.six = append(n.six, sixNetwork{binary.BigEndian.Uint64(b[:8]) &^ 0xffff, e.blocks})
}

// top returns the most blocked; 0 is all.
func (n *networks) top(most int) []NetworkCount {
	sum := networkSums{most: most}
	fours := sortByNetwork(n.four)
	for i, four := range fours {
		if i == 0 || four>>32 != fours[i-1]>>32 {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], uint32(four>>32))
			sum.begin(netip.PrefixFrom(netip.AddrFrom4(b), 24))
		}
		sum.add(uint32(four))
	}
	slices.SortFunc(n.six, func(a, b sixNetwork) int { return cmp.Compare(a.network, b.network) })
	for i, six := range n.six {
		if i == 0 || six.network != n.six[i-1].network {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:8], six.network)
			sum.begin(netip.PrefixFrom(netip.AddrFrom16(b), 48))
		}
		sum.add(six.blocks)
	}
	sum.end()
	return top(sum.all, most, mostBlockedNetwork)
}

// sortByNetwork sorts by the 24 bits of the networks: by twelve, then by the other twelve
// (a radix sort).
func sortByNetwork(four []uint64) []uint64 {
	other := make([]uint64, len(four))
	for _, shift := range []int{40, 52} {
		var starts [1 << 12]int
		for _, x := range four {
			starts[x>>shift&0xfff]++
		}
		at := 0
		for i, count := range starts {
			starts[i] = at
			at += count
		}
		for _, x := range four {
			i := x >> shift & 0xfff
			other[starts[i]] = x
			starts[i]++
		}
		four, other = other, four
	}
	return four
}

func mostBlockedNetwork(a, b NetworkCount) int {
	return cmp.Or(cmp.Compare(b.Blocks, a.Blocks), a.Network.Addr().Compare(b.Network.Addr()))
}

// networkSums keeps the most blocked networks, and some more.
type networkSums struct {
	most  int // 0 is all
	least uint64
	all   []NetworkCount
	at    NetworkCount
}

// begin ends the network at hand and begins another one.
func (s *networkSums) begin(network netip.Prefix) {
	s.end()
	s.at = NetworkCount{Network: network}
}

func (s *networkSums) add(blocks uint32) {
	s.at.Blocks += uint64(blocks)
	s.at.Addresses++
}

func (s *networkSums) end() {
	if s.at.Addresses == 0 || s.at.Blocks < s.least {
		return
	}
	s.all = append(s.all, s.at)
	if s.most > 0 && len(s.all) >= 2*s.most+64 {
		s.all = top(s.all, s.most, mostBlockedNetwork)
		s.least = s.all[s.most-1].Blocks
	}
}
