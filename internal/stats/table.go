package stats

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/axiomhq/hyperloglog"
	"golang.org/x/sys/unix"
)

// maxAddresses is how many different addresses are counted exactly. A table of them
// takes 16 MiB.
const (
	maxAddresses = 200_000
	maxSlots     = 1 << 18
)

// holdsPerAddress is how many programs (on how many agents) may hold one address at once for their blocks'
// lengths to be known; of more, the oldest is forgotten.
const holdsPerAddress = 3

// entry is what is known of one address: 64 bytes, one cache line.
type entry struct {
	key
	blocks   uint32 // in the period
	unblocks uint32
	// The first and last block in the period, in seconds, 0 for none.
	first, last uint32
	rule        uint16 // of the last block
	used        bool
	before      bool // blocked before the period too
	holds       [holdsPerAddress]hold
}

// hold is a block that has not been lifted yet.
type hold struct {
	since uint32 // seconds; 0 is a free place
	holder
}

// holder is a program on an agent; of this host's own log, the agent is 0.
type holder struct{ program, agent uint16 }

// table counts addresses in bounded memory. Up to its limit it is exact. Beyond, it
// does as the "frequent items" sketch of Anderson et al. ("A High-Performance Algorithm
// for Identifying Frequent Items in Data Streams", 2017): the median count is taken off
// every address, those that are left with nothing are forgotten, and what was taken off
// is the most by which any count can be too low. So the most blocked addresses are
// always found, and how many there are is estimated by HyperLogLog.
//
// Addresses are the attackers' to choose, so their places are picked with random seeds.
type table struct {
	slots []entry
	count int
	limit int
	seeds [2]uint64
	// under is the most by which a count can be too low; 0 is exact.
	under    uint32
	distinct *hyperloglog.Sketch // of addresses blocked in the period, once inexact
	// full tells that something before the period was forgotten for want of room.
	full bool
	// spare, when set, is by how many slots this table and others may still grow.
	spare *int
}

// newTable returns a table for up to limit addresses, with room for the expected number.
func newTable(limit, expected int) *table {
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails: see its documentation
	return &table{
		slots: makeSlots(min(max(8, 1<<bits.Len(uint(expected))), maxSlots)), limit: limit,
		seeds: [2]uint64{binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])},
	}
}

// hugePage is from which size on the kernel is asked for huge pages, in bytes, all at
// once. With small ones that come when they are touched, a third of the counting goes
// into them.
const hugePage = 2 << 20

func makeSlots(n int) []entry {
	slots := make([]entry, n)
	if size := uintptr(n) * unsafe.Sizeof(entry{}); size >= hugePage {
		memory := unsafe.Slice((*byte)(unsafe.Pointer(&slots[0])), size) // page-aligned, as all that is so large
		// Both only save time: a kernel that knows neither does without.
		_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
		_ = unix.Madvise(memory, unix.MADV_POPULATE_WRITE)
	}
	return slots
}

func (t *table) hash(k key) uint64 {
	hi, lo := bits.Mul64(k.lo^t.seeds[0], k.hi^t.seeds[1]^0x9e3779b97f4a7c15)
	return (hi ^ lo) * 0xd6e8feb86659fd93
}

// touch has the processor fetch the place of k into its cache, for the find that follows
// shortly: several such waits pass at once where those within find would add up.
func (t *table) touch(k key) uint64 {
	return t.slots[t.hash(k)>>20&uint64(len(t.slots)-1)].lo
}

// find returns the place of k, which is unused if the table does not have it.
func (t *table) find(k key) *entry {
	mask := uint64(len(t.slots) - 1)
	for i := t.hash(k) >> 20; ; i++ {
		e := &t.slots[i&mask]
		if !e.used || e.key == k {
			return e
		}
	}
}

// at returns the entry of k, made if need be. It is good until the next call.
func (t *table) at(k key) *entry {
	e := t.find(k)
	if e.used {
		return e
	}
	if t.makeRoom() {
		e = t.find(k)
	}
	t.count++
	*e = entry{key: k, used: true}
	return e
}

// makeRoom makes room for one more and reports whether entries moved.
func (t *table) makeRoom() bool {
	crowded := t.count*4 >= len(t.slots)*3 && len(t.slots) < maxSlots
	switch {
	case t.count >= t.limit:
		t.purge()
	case crowded && (t.spare == nil || *t.spare >= len(t.slots)):
		if t.spare != nil {
			*t.spare -= len(t.slots)
		}
		t.grow()
	case crowded:
		t.purge()
	default:
		return false
	}
	return true
}

// early is at for what lies before the period. That takes half of the room at most, so
// that the period itself stays exact: then the half that was blocked longest ago is
// forgotten.
func (t *table) early(k key, when uint32) *entry {
	e := t.find(k)
	if !e.used {
		if t.count >= t.limit/2 {
			t.forget()
		}
		e = t.at(k)
	}
	e.before, e.last = true, when
	return e
}

// forget drops half of what lies before the period.
func (t *table) forget() {
	t.full = true
	old := t.median(func(e *entry) uint32 { return e.last })
	t.keep(func(e *entry) bool { return e.blocks > 0 || e.last > old })
}

// seen notes the first block of an address in the period.
func (t *table) seen(k key) {
	if t.distinct != nil {
		t.distinct.InsertHash(t.hash(k))
	}
}

func (t *table) grow() {
	old := t.slots
	t.slots = makeSlots(2 * len(old))
	for i := range old {
		if old[i].used {
			*t.find(old[i].key) = old[i]
		}
	}
}

// purge makes room for about half of the limit.
func (t *table) purge() {
	if t.distinct == nil {
		t.distinct = hyperloglog.NewNoSparse()
		for i := range t.slots {
			if t.slots[i].blocks > 0 {
				t.seen(t.slots[i].key)
			}
		}
	}
	off := t.median(func(e *entry) uint32 { return e.blocks })
	t.keep(func(e *entry) bool {
		if e.blocks <= off {
			return false
		}
		e.blocks -= off
		return true
	})
	t.under += off
	t.full = true
}

// keep drops all but the entries that are wanted.
func (t *table) keep(wanted func(*entry) bool) {
	var left []entry
	for i := range t.slots {
		if e := &t.slots[i]; e.used && wanted(e) {
			left = append(left, *e)
		}
	}
	clear(t.slots)
	for i := range left {
		*t.find(left[i].key) = left[i]
	}
	t.count = len(left)
}

// median returns the median of a value in a sample of the addresses.
func (t *table) median(value func(*entry) uint32) uint32 {
	const sample = 2048
	values := make([]uint32, 0, sample)
	for i := 0; i < len(t.slots) && len(values) < sample; i++ {
		if t.slots[i].used {
			values = append(values, value(&t.slots[i]))
		}
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// blockedAddresses returns how many addresses were blocked in the period.
func (t *table) blockedAddresses() uint64 {
	if t.distinct != nil {
		return t.distinct.Estimate()
	}
	var n uint64
	for i := range t.slots {
		if t.slots[i].blocks > 0 {
			n++
		}
	}
	return n
}

// each calls do with every address that was blocked in the period.
func (t *table) each(do func(*entry)) {
	for i := range t.slots {
		if t.slots[i].blocks > 0 {
			do(&t.slots[i])
		}
	}
}

// hold notes that by blocks the address from now on, unless it does already.
func (e *entry) hold(by holder, when uint32) {
	if e.holds == [holdsPerAddress]hold{} { // mostly
		e.holds[0] = hold{when, by}
		return
	}
	free := 0
	for i := range e.holds {
		switch {
		case e.holds[i].since == 0:
			free = i
		case e.holds[i].holder == by:
			return
		case e.holds[free].since > e.holds[i].since:
			free = i
		}
	}
	e.holds[free] = hold{when, by}
}

// release ends the hold of by and returns since when it was, 0 for unknown.
func (e *entry) release(by holder) uint32 {
	for i := range e.holds {
		if h := &e.holds[i]; h.since != 0 && h.holder == by {
			since := h.since
			*h = hold{}
			return since
		}
	}
	return 0
}
