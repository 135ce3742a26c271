package stats

import (
	"cmp"
	"net/netip"
	"slices"
)

// topNetworks returns the most blocked networks, /24 for IPv4 and /48 for IPv6; 0 is all.
func (t *table) topNetworks(most int) []NetworkCount {
	networks := newTable(max(len(t.entries), leastRoom)) // of each its blocks, and as unblocks its addresses
	networks.resize(networks.limit)
	t.each(func(e *entry) {
		k := key{e.high &^ 0xffff, 0}
		if e.addr().Is4() {
			k = key{e.high, e.low &^ 0xff}
		}
		n := networks.at(k)
		n.blocks += e.blocks
		n.unblocks++
	})
	best := best{most: most}
	networks.each(best.offer)
	all := []NetworkCount{}
	for _, n := range best.sorted() {
		size := 48
		if n.addr().Is4() {
			size = 24
		}
		all = append(all, NetworkCount{netip.PrefixFrom(n.addr(), size),
			uint64(n.blocks), uint64(n.unblocks)})
	}
	return all
}

func mostBlocked(a, b entry) int {
	return cmp.Or(cmp.Compare(b.blocks, a.blocks), a.compare(b.key))
}

// best keeps the most blocked entries, those with equal counts in order of address, and
// some more.
type best struct {
	most  int // 0 is all
	all   []entry
	bound bool // all[most-1] bounds what is worth keeping
}

func (b *best) offer(e *entry) {
	if b.bound && mostBlocked(*e, b.all[b.most-1]) > 0 {
		return
	}
	b.all = append(b.all, *e)
	if b.most > 0 && len(b.all) >= 2*b.most+64 {
		b.all, b.bound = b.sorted(), true
	}
}

func (b *best) sorted() []entry {
	slices.SortFunc(b.all, mostBlocked)
	if b.most > 0 && len(b.all) > b.most {
		return b.all[:b.most]
	}
	return b.all
}
