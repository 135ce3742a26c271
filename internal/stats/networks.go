package stats

import (
	"cmp"
	"encoding/binary"
	"math"
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
	best := bestNetworks{most: most}
	fours := sortByNetwork(n.four)
	for i := 0; i < len(fours); {
		network, first, blocks := fours[i]>>32, i, uint64(0)
		for ; i < len(fours) && fours[i]>>32 == network; i++ {
			blocks += fours[i] & math.MaxUint32
		}
		if blocks >= best.least { // else it is not worth making
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], uint32(network))
			best.add(NetworkCount{netip.PrefixFrom(netip.AddrFrom4(b), 24), blocks, uint64(i - first)})
		}
	}
	slices.SortFunc(n.six, func(a, b sixNetwork) int { return cmp.Compare(a.network, b.network) })
	for i := 0; i < len(n.six); {
		network, first, blocks := n.six[i].network, i, uint64(0)
		for ; i < len(n.six) && n.six[i].network == network; i++ {
			blocks += uint64(n.six[i].blocks)
		}
		if blocks >= best.least {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:8], network)
			best.add(NetworkCount{netip.PrefixFrom(netip.AddrFrom16(b), 48), blocks, uint64(i - first)})
		}
	}
	return top(best.all, most, mostBlockedNetwork)
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

// bestNetworks keeps the most blocked networks, and some more.
type bestNetworks struct {
	most  int // 0 is all
	least uint64
	all   []NetworkCount
}

func (b *bestNetworks) add(n NetworkCount) {
	b.all = append(b.all, n)
	if b.most > 0 && len(b.all) >= 2*b.most+64 {
		b.all = top(b.all, b.most, mostBlockedNetwork)
		b.least = b.all[b.most-1].Blocks
	}
}
