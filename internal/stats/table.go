package stats

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/axiomhq/hyperloglog"
	"golang.org/x/sys/unix"
)

// maxAddresses is how many different addresses are counted exactly. They take 12.2 MiB,
// and the index in front of them 1 MiB.
const maxAddresses = 200_000

// entry is what is known of one address: 64 bytes, one cache line.
type entry struct {
	key
	blocks   uint32 // in the period
	unblocks uint32
	// The first and last block in the period, in seconds, 0 for none.
	first, last uint32
	rule        uint16 // of the last block
	before      bool   // blocked before the period too
	touched     uint8  // means nothing: see lookUp
	holds       [holdsPerAddress]hold
	four        [4]byte // the address, if it is an IPv4 one that is known
}

// know notes the address, if it is an IPv4 one, to spare reading it again.
func (e *entry) know(addr netip.Addr) {
	if addr.Is4() {
		e.four = addr.As4()
	}
}

func (e *entry) addr() netip.Addr {
	if e.four != [4]byte{} {
		return netip.AddrFrom4(e.four)
	}
	return e.key.addr()
}

// table counts addresses in bounded memory. Up to its limit it is exact. Beyond, it
// does as the "frequent items" sketch of Anderson et al. ("A High-Performance Algorithm
// for Identifying Frequent Items in Data Streams", 2017): the median count is taken off
// every address, those that are left with nothing are forgotten, and what was taken off
// is the most by which any count can be too low. So the most blocked addresses are
// always found, and how many there are is estimated by HyperLogLog.
//
// The entries lie in the order in which their addresses came: those that come most often
// come early, so they are near one another in the processor's cache. A hash table of
// four bytes a place finds them. Addresses are the attackers' to choose, so their places
// are picked with random seeds.
type table struct {
	entries []entry
	// index holds numbers of entries, counted from 1, in its places' lower bits, and in
	// the upper ones a part of the hash that spares looking at the wrong entry. 0 is free.
	index []uint32
	room  int // how many entries there may be before the index is too full
	limit int
	seeds [2]uint64
	// moves counts how often entries got other numbers.
	moves uint32
	// under is the most by which a count can be too low; 0 is exact.
	under    uint32
	distinct *hyperloglog.Sketch // of addresses blocked in the period, once inexact
	// full tells that something before the period was forgotten for want of room.
	full bool
	// spare, when set, is by how many entries this table and others may still grow.
	spare *int
	holds moreHolds
}

const (
	numberMask = 1<<18 - 1 // more than maxAddresses
	// placeShift leaves the bits of a hash that say where in the index its search begins;
	// those that stand there beside the number are others.
	placeShift = 32
	// leastRoom is for how many addresses a table has room at least.
	leastRoom = 4
)

// newTable returns a table for up to limit addresses, with room for the expected number.
func newTable(limit, expected int) *table {
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails: see its documentation
	t := &table{limit: limit, seeds: [2]uint64{binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])}}
	t.resize(min(max(leastRoom, expected), limit))
	return t
}

// resize makes room. Memory is taken only as it is filled.
func (t *table) resize(room int) {
	t.room = room
	t.entries = append(roomFor[entry](room), t.entries...)
	places := 1 << bits.Len(uint(room+room/4)) // a fifth is free at least
	t.index = roomFor[uint32](places)[:places]
	t.reindex()
}

// hugePage is the size of a huge page in bytes. What fills half of one at least is made of
// whole ones, and the kernel is asked for them: with small ones, a third of the counting
// goes into looking for pages.
const hugePage = 2 << 20

// roomFor returns an empty list with room for n at least. Memory is taken as it is filled.
func roomFor[T any](n int) []T {
	var element T
	size := unsafe.Sizeof(element)
	if uintptr(n)*size < hugePage/2 {
		return make([]T, 0, n)
	}
	more := int(hugePage / size)
	n = (n + more - 1) / more * more
	list := make([]T, n+more)
	if off := -uintptr(unsafe.Pointer(&list[0])) % hugePage; off%size == 0 {
		list = list[off/size:]
	}
	list = list[:n:n]
	// It only saves time: a kernel that does not know it does without.
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Pointer(&list[0])), uintptr(n)*size), unix.MADV_HUGEPAGE)
	return list[:0]
}

func (t *table) hash(k key) uint64 {
	hi, lo := bits.Mul64(k.Low^t.seeds[0], k.High^t.seeds[1]^0x9e3779b97f4a7c15)
	return (hi ^ lo) * 0xd6e8feb86659fd93
}

// found is what is known of where a key is in a table.
type found struct {
	hash   uint64
	number uint32 // of its entry; 0 is none, or not looked for
}

// lookUp looks for the addresses of up to lookUps events at once. The processor waits for
// many places in memory together where it would else wait for one after the other, if it
// sees them coming: it looks a few hundred instructions ahead. So what is far is asked for
// first, in loops as short as can be, and the entries by writing to them, as a processor
// goes on after what it writes without waiting: several times as many are on their way then.
// What is found is good until t.moves changes.
func (t *table) lookUp(events []event, places *[lookUps]found) {
	mask, index, entries := uint64(len(t.index)-1), t.index, t.entries
	var likely [lookUps]uint32 // what is at the first place that is looked at
	for i := range min(len(events), lookUps) {
		places[i].hash = t.hash(events[i].addr)
	}
	for i := range likely { // those beyond the events do no harm
		likely[i] = index[places[i].hash>>placeShift&mask]
	}
	if len(entries) > 0 {
		for i := range likely { // not over its values: they would be copied first
			entries[max(likely[i]&numberMask, 1)-1].touched = 0 // of none, any one will do
		}
	}
	for i := range min(len(events), lookUps) {
		at, hash := likely[i], places[i].hash
		if (at^uint32(hash))&^numberMask == 0 && at != 0 && entries[at&numberMask-1].key == events[i].addr {
			places[i].number = at & numberMask
		} else {
			places[i].number = t.number(events[i].addr, hash)
		}
	}
}

const lookUps = 128

// number returns the number of the entry of k, 0 for none.
func (t *table) number(k key, hash uint64) uint32 {
	mask := uint64(len(t.index) - 1)
	for i := hash >> placeShift; ; i++ {
		at := t.index[i&mask]
		if (at^uint32(hash))&^numberMask == 0 && at != 0 && t.entries[at&numberMask-1].key == k {
			return at & numberMask
		}
		if at == 0 {
			return 0
		}
	}
}

// find returns the entry of k, nil if the table does not have it. It is good until the
// next one is made.
func (t *table) find(k key, f found) *entry {
	if f.number != 0 {
		return &t.entries[f.number-1]
	}
	return t.search(k, f.hash) // it may have come since
}

func (t *table) search(k key, hash uint64) *entry {
	if n := t.number(k, hash); n != 0 {
		return &t.entries[n-1]
	}
	return nil
}

// insert makes an entry of k, which has none, and returns it. It is good until the next
// one is made.
func (t *table) insert(k key, hash uint64) *entry {
	t.makeRoom()
	t.entries = append(t.entries, entry{key: k})
	t.enter(hash, len(t.entries))
	return &t.entries[len(t.entries)-1]
}

// enter puts the number of an entry into the index.
func (t *table) enter(hash uint64, number int) {
	mask := uint64(len(t.index) - 1)
	i := hash >> placeShift
	for t.index[i&mask] != 0 {
		i++
	}
	t.index[i&mask] = uint32(hash)&^numberMask | uint32(number)
}

// reindex enters all entries into the index, which is empty.
func (t *table) reindex() {
	for i := range t.entries {
		t.enter(t.hash(t.entries[i].key), i+1)
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

// insertEarly is insert for what lies before the period. That takes half of the room at
// most, so that the period itself stays exact: then the half that was blocked longest ago
// is forgotten.
func (t *table) insertEarly(k key, hash uint64) *entry {
	if len(t.entries) >= t.limit/2 {
		t.forget()
	}
	return t.insert(k, hash)
}

// forget drops half of what lies before the period.
func (t *table) forget() {
	t.full = true
	old := t.median(func(e *entry) uint32 { return e.last })
	t.keep(func(e *entry) bool { return e.blocks > 0 || e.last > old })
}

// block counts a block in the period.
func (t *table) block(e *entry, by *event) {
	when := clock(by.when)
	if e.blocks++; e.blocks == 1 {
		e.first = when
		t.seen(e.key)
	}
	e.last, e.rule = max(e.last, when), by.rule
}

// seen notes the first block of an address in the period.
func (t *table) seen(k key) {
	if t.distinct != nil {
		t.distinct.InsertHash(t.hash(k))
	}
}

// purge makes room for about half of the limit.
func (t *table) purge() {
	if t.distinct == nil {
		t.distinct = hyperloglog.NewNoSparse()
		t.each(func(e *entry) { t.seen(e.key) })
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
	t.moves++
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
