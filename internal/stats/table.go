package stats

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"

	"github.com/axiomhq/hyperloglog"
)

// maxAddresses is how many different addresses are counted exactly. They take 12.2 MiB,
// and the index 2 MiB.
const maxAddresses = 200_000

// key is an address in sixteen bytes, an IPv4 address as IPv6 maps it; zero for none.
type key struct{ high, low uint64 }

func keyOf(addr netip.Addr) key {
	if !addr.IsValid() {
		return key{}
	}
	if addr.Is4() { // nearly all
		b := addr.As4()
		return key{0, 0xffff<<32 | uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := addr.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.high)
	binary.BigEndian.PutUint64(b[8:], k.low)
	return netip.AddrFrom16(b).Unmap()
}

func (k key) compare(other key) int { return k.addr().Compare(other.addr()) }

// entry is what is known of one address: 64 bytes, one cache line.
type entry struct {
	key
	blocks   uint32 // in the period
	unblocks uint32
	// The first and last block in the period, in seconds, 0 for none.
	first, last uint32
	rule        uint16 // of the last block
	before      bool   // blocked before the period too
	touched     bool   // means nothing: see warm
	holds       [holdsPerAddress]hold
}

// table counts addresses in bounded memory. Up to its limit it is exact. Beyond, it
// does as the "frequent items" sketch of Anderson et al. ("A High-Performance Algorithm
// for Identifying Frequent Items in Data Streams", 2017): the median count is taken off
// every address, those that are left with nothing are forgotten, and what was taken off
// is the most by which any count can be too low. So the most blocked addresses are
// always found, and how many there are is estimated by HyperLogLog.
//
// A hash table of four bytes a place finds the entries: a Go map takes four times as long
// with so many addresses. Attackers choose the addresses, so the hash is seeded at random.
type table struct {
	entries []entry
	index   []uint32 // numbers of entries, counted from 1; 0 is free
	room    int      // how many entries there may be before entries and index grow
	limit   int
	seeds   [2]uint64
	// under is the most by which a count can be too low; 0 is exact.
	under    uint32
	distinct *hyperloglog.Sketch // of addresses blocked in the period, once inexact
	// full is set when something before the period was forgotten for want of room.
	full bool
	// spare, when set, is by how many entries this table and others may still grow.
	spare *int
	holds moreHolds
}

// leastRoom is for how many addresses a table has room at least.
const leastRoom = 4

func newTable(limit int) *table {
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails: see its documentation
	t := &table{limit: limit, seeds: [2]uint64{binary.LittleEndian.Uint64(seed[:8]),
		binary.LittleEndian.Uint64(seed[8:])}}
	t.resize(leastRoom)
	return t
}

func (t *table) resize(room int) {
	t.room = room
	t.entries = append(make([]entry, 0, room), t.entries...)
	t.index = make([]uint32, 2<<bits.Len(uint(room))) // at most half of it is taken
	t.reindex()
}

func (t *table) hash(k key) uint64 {
	high, low := bits.Mul64(k.high^t.seeds[0], k.low^t.seeds[1])
	return (high ^ low) * 0xd6e8feb86659fd93
}

// place returns the place of k in the index, or the free one where it would be.
func (t *table) place(k key) *uint32 {
	mask := uint64(len(t.index) - 1)
	for i := t.hash(k) >> 32; ; i++ {
		place := &t.index[i&mask]
		if *place == 0 || t.entries[*place-1].key == k {
			return place
		}
	}
}

// warmed is how many events are looked up ahead.
const warmed = 64

// warm loads the entries of events into the processor's cache. Looked up one by one, each
// would be waited for; a processor does not wait for what it only writes to.
func (t *table) warm(events []event) {
	var numbers [warmed]uint32
	mask := uint64(len(t.index) - 1)
	for i := range events {
		numbers[i&(warmed-1)] = t.index[t.hash(events[i].addr)>>32&mask]
	}
	for _, n := range numbers[:min(len(t.entries), warmed)] {
		t.entries[max(n, 1)-1].touched = true // where there is none, any one will do
	}
}

// find returns the entry of k, nil if the table does not have it. It is valid until the
// next one is made.
func (t *table) find(k key) *entry {
	if n := *t.place(k); n != 0 {
		return &t.entries[n-1]
	}
	return nil
}

// at returns the entry of k, made when it is missing. It is valid until the next one is made.
func (t *table) at(k key) *entry {
	if e := t.find(k); e != nil {
		return e
	}
	t.makeRoom()
	t.entries = append(t.entries, entry{key: k})
	*t.place(k) = uint32(len(t.entries))
	return &t.entries[len(t.entries)-1]
}

// early is at for what lies before the period. That takes half of the room at most, so
// that the period itself stays exact: then the half that was blocked longest ago is
// forgotten.
func (t *table) early(k key) *entry {
	if len(t.entries) >= t.limit/2 && t.find(k) == nil {
		t.full = true
		old := t.median(func(e *entry) uint32 { return e.last })
		t.keep(func(e *entry) bool { return e.blocks > 0 || e.last > old })
	}
	return t.at(k)
}

// reindex enters all entries into the index, which is empty.
func (t *table) reindex() {
	for i := range t.entries {
		*t.place(t.entries[i].key) = uint32(i + 1)
	}
}

// makeRoom makes room for one more.
func (t *table) makeRoom() {
	switch {
	case len(t.entries) < t.room:
	case t.room < t.limit && (t.spare == nil || *t.spare >= t.room):
		if t.spare != nil {
			*t.spare -= t.room
		}
		t.resize(min(2*t.room, t.limit))
	default:
		t.purge()
	}
}

// block counts a block in the period.
func (t *table) block(e *entry, by *event) {
	when := clock(by.when)
	if e.blocks++; e.blocks == 1 {
		e.first = when
		if t.distinct != nil {
			t.distinct.InsertHash(t.hash(e.key))
		}
	}
	e.last, e.rule = max(e.last, when), by.rule
}

// purge makes room for about half of the limit.
func (t *table) purge() {
	if t.distinct == nil {
		t.distinct = hyperloglog.NewNoSparse()
		t.each(func(e *entry) { t.distinct.InsertHash(t.hash(e.key)) })
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
	left := t.entries[:0]
	for i := range t.entries {
		e := &t.entries[i]
		if !wanted(e) {
			t.holds.forgotten += e.held()
			continue
		}
		left = append(left, *e)
	}
	t.entries = left
	clear(t.index)
	t.reindex()
}

// median returns the median of a value in a random sample of the addresses.
func (t *table) median(value func(*entry) uint32) uint32 {
	const sample = 2048
	values := make([]uint32, 0, sample)
	for range min(sample, len(t.entries)) {
		values = append(values, value(&t.entries[mathrand.IntN(len(t.entries))]))
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
	t.each(func(*entry) { n++ })
	return n
}

// each calls do with every address that was blocked in the period.
func (t *table) each(do func(*entry)) {
	for i := range t.entries {
		if t.entries[i].blocks > 0 {
			do(&t.entries[i])
		}
	}
}
