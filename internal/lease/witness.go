package lease

import (
	"iter"
	"math/rand/v2"
	"net/netip"
	"time"
)

// settled is how long after its lease a block is in force, but when the host is busiest.
const settled = time.Second

// witness returns another address of addr's family that has been leased since before: one at
// random whose place in the index is in the page that is read for addr anyway. It looks at a
// few only, and any doubt is none.
func (t *table) witness(addr netip.Addr, before time.Time) netip.Addr {
	const few = 4
	looked := 0
	for slot := range t.index.near(addr) {
		l, err := t.read(slot)
		if err == nil && l.Addr != addr && family(l.Addr) == family(addr) && !l.Lifting && l.Renewed.Before(before) {
			return l.Addr
		}
		if looked++; looked == few {
			break
		}
	}
	return netip.Addr{}
}

// near returns the slots whose places are in the same page as that of addr, from one at random on.
func (x *index) near(addr netip.Addr) iter.Seq[uint32] {
	const perPage = pageSize / 8
	return func(yield func(slot uint32) bool) {
		first := uint32(x.hash(addr)) & (x.header.places - 1) &^ (perPage - 1)
		at := rand.Uint32N(perPage)
		for i := range uint32(perPage) {
			slot, _ := x.place(first + (at+i)%perPage)
			if slot != 0 && slot != tombstone && !yield(slot-1) {
				return
			}
		}
	}
}
