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
// random from that part of the index that is read for addr anyway, or the next. It looks at
// a few only, and any doubt is none.
func (t *table) witness(addr netip.Addr, before time.Time) netip.Addr {
	const few = 16
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

// near returns the slots whose places are in the same page as that of addr, from one at random
// on, and then those in the next page: a small index has no more.
func (x *index) near(addr netip.Addr) iter.Seq[uint32] {
	const perPage = pageSize / 8
	return func(yield func(slot uint32) bool) {
		mask := x.header.places - 1
		first := uint32(x.hash(addr)) & mask &^ (perPage - 1)
		at := rand.Uint32N(perPage)
		for i := range uint32(2 * perPage) {
			page := (first + i&perPage) & mask
			slot, _ := x.place(page + (at+i)%perPage)
			if slot != 0 && slot != tombstone && !yield(slot-1) {
				return
			}
		}
	}
}
