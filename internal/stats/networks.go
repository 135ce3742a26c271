package stats

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// networks adds addresses up by their networks: /24 for IPv4, /48 for IPv6. It is a
// hash table without pointers, since there may be as many as addresses.
type networks struct {
	of    *table // whose hash is used
	slots []networkSlot
}

type networkSlot struct {
	id        uint64 // see networkID; 0 is free
	blocks    uint64
	addresses uint32
}

// newNetworks has room for those of all addresses of the table.
func newNetworks(of *table) *networks {
	return &networks{of, make([]networkSlot, 1<<bits.Len(uint(len(of.entries)+len(of.entries)/4+8)))}
}

const (
	fourMark = 1 << 63 // in the id of an IPv4 network
	sixMark  = 1 << 62
)

func networkID(addr netip.Addr) uint64 {
	if addr.Is4() {
		b := addr.As4()
		return fourMark | uint64(binary.BigEndian.Uint32(b[:])&^0xff)
	}
	b := addr.As16()
	return sixMark | binary.BigEndian.Uint64(b[:8])>>16
}

func networkPrefix(id uint64) netip.Prefix {
	if id&fourMark != 0 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(id))
		return netip.PrefixFrom(netip.AddrFrom4(b), 24)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], id&^sixMark<<16)
	return netip.PrefixFrom(netip.AddrFrom16(b), 48)
}

func (n *networks) add(e *entry) {
	id := networkID(e.addr())
	mask := uint64(len(n.slots) - 1)
	for i := n.of.hash(key{Low: id}) >> 20; ; i++ {
		s := &n.slots[i&mask]
		if s.id == 0 {
			s.id = id
		}
		if s.id == id {
			s.blocks += uint64(e.blocks)
			s.addresses++
			return
		}
	}
}

// top returns the most blocked; 0 is all.
func (n *networks) top(most int) []NetworkCount {
	var least uint64
	var all []NetworkCount
	order := func(a, b NetworkCount) int {
		return cmp.Or(cmp.Compare(b.Blocks, a.Blocks), a.Network.Addr().Compare(b.Network.Addr()))
	}
	for _, s := range n.slots {
		if s.id == 0 || s.blocks < least {
			continue
		}
		all = append(all, NetworkCount{networkPrefix(s.id), s.blocks, uint64(s.addresses)})
		if most > 0 && len(all) >= 2*most+64 {
			all = top(all, most, order)
			least = all[most-1].Blocks
		}
	}
	return top(all, most, order)
}
