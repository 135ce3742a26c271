package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// The index holds in which slots the leases on a target stand, and which slots are free,
// so that a call costs the same with a hundred thousand leases as with one. It is a file
// beside the leases that can be made again from the slots, and is whenever there is doubt. It
// is never synced, so it counts only within the boot that it was written in. A process that is
// killed at its work leaves it marked unclean, and whatever else changes the lease file changes
// that file's ctime.
//
// It is a header page, a hash table with linear probing, and a stack of free slots:
//
//	0            header
//	page         places x 8 bytes: slot + 1, or 0 for empty, or counter; 32 bits of the hash
//	then         places/4 x 4 bytes: free slots
//
// A counter counts the leases that keep a network blocked, of which an attacker can cause any
// number. It is found by the hash alone: two networks of one hash, which nobody can cause and one in
// four thousand million has, are free together.
type index struct {
	fd     int // -1: it is in memory only
	header indexHeader
	pages  map[int64][]byte
	dirty  map[int64]bool
	built  bool  // the pages that are not in memory are empty, not to be read
	err    error // of the first read that failed
}

const (
	pageSize    = 4096
	indexMagic  = "ossec-ar index 4"
	counter     = 1 << 31 // and the count; without one it is a tombstone
	leastPlaces = 1024
	mostLifting = 128
)

var errIndex = errors.New("the index is not to be trusted")

// openIndex opens the index of a lease file. With an error it is one that has to be built.
func openIndex(dir *state.Dir, name string, flags int, t *table, boot string) (*index, error) {
	x := &index{fd: -1, pages: map[int64][]byte{}, dirty: map[int64]bool{}}
	fd, err := dir.Open(name, flags)
	if err != nil {
		return x, err
	}
	x.fd = fd
	var page [pageSize]byte
	if n, err := unix.Pread(fd, page[:], 0); err != nil || n < pageSize || !x.header.decode(page[:]) {
		return x, errIndex
	}
	h := &x.header
	if boot == "" || h.boot != boot || h.table != t.id || h.clean && h.ctime != t.ctime {
		return x, errIndex
	}
	if !h.clean || h.places != placesFor(t.capacity) || h.used > h.places/4*3 || h.next > t.capacity {
		return x, errIndex
	}
	return x, nil
}

// placesFor returns how many places serve a number of slots, each for a lease and its network.
func placesFor(slots uint32) uint32 {
	return max(leastPlaces, uint32(1)<<bits.Len32(4*slots-1))
}

// reset makes the index an empty one for a lease file.
func (x *index) reset(t *table, boot string) {
	x.header = indexHeader{table: t.id, places: placesFor(t.capacity), boot: boot}
	x.header.seeds = [2]uint64{rand.Uint64(), rand.Uint64()} // the runtime's ChaCha8: nobody can guess them
	x.pages, x.dirty, x.built, x.err = map[int64][]byte{}, map[int64]bool{}, true, nil
}

// room returns how many more leases find a slot.
func (x *index) room(capacity uint32) int { return int(x.header.free + capacity - x.header.next) }

// hash mixes a target with seeds that nobody outside knows: attackers choose addresses and names.
func (x *index) hash(t target.Target) uint64 {
	b := t.Addr().As16()
	h := x.mix(x.header.seeds[0]+uint64(max(0, t.Prefix().Bits())), b[:])
	for name := []byte(t.Account()); len(name) > 0; name = name[min(len(b), len(name)):] {
		var part [16]byte
		copy(part[:], name)
		h = x.mix(h, part[:])
	}
	return h
}

func (x *index) mix(h uint64, b []byte) uint64 {
	first, last := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	hi, lo := bits.Mul64(first^h, last^x.header.seeds[1]^0x9e3779b97f4a7c15)
	return (hi ^ lo) * 0xd6e8feb86659fd93
}

// place reads one place of the hash table.
func (x *index) place(i uint32) (slot uint32, tag uint32) {
	b := x.at(pageSize+8*int64(i), false)
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
}

func (x *index) setPlace(i, slot, tag uint32) {
	b := x.at(pageSize+8*int64(i), true)
	binary.LittleEndian.PutUint32(b, slot)
	binary.LittleEndian.PutUint32(b[4:], tag)
}

// at returns the bytes from an offset to the end of its page.
func (x *index) at(offset int64, change bool) []byte {
	n := offset / pageSize
	page, ok := x.pages[n]
	if !ok {
		page = make([]byte, pageSize)
		if !x.built {
			if got, err := unix.Pread(x.fd, page, n*pageSize); x.err == nil &&
				(err != nil || got < pageSize) {
				x.err = fmt.Errorf("%w: reading it: %w", errIndex, errors.Join(err, errShort(got < pageSize)))
			}
		}
		x.pages[n] = page
	}
	if change {
		x.dirty[n] = true
	}
	return page[offset%pageSize:]
}

func errShort(short bool) error {
	if short {
		return errors.New("it is cut off")
	}
	return nil
}

// slots calls visit with every slot that may hold a lease on a target, and the place that
// names it, until it returns false.
func (x *index) slots(t target.Target, visit func(slot, place uint32) bool) {
	x.probe(x.hash(t), func(value, place uint32) bool { return value&counter != 0 || visit(value-1, place) })
}

// probe calls visit with every place of a hash that is not empty, until it returns false.
func (x *index) probe(h uint64, visit func(value, place uint32) bool) {
	mask := x.header.places - 1
	for i, n := uint32(h)&mask, uint32(0); n <= mask; i, n = (i+1)&mask, n+1 {
		value, tag := x.place(i)
		if value == 0 {
			return
		}
		if value != counter && tag == uint32(h>>32) && !visit(value, i) {
			return
		}
	}
}

// insert puts a value into a free place of a hash.
func (x *index) insert(h uint64, value uint32) {
	mask := x.header.places - 1
	i := uint32(h) & mask
	for n := uint32(0); n < mask; n++ { // there is room: two values for a slot, four places
		found, _ := x.place(i)
		if found == 0 {
			x.header.used++
			break
		}
		if found == counter {
			break
		}
		i = (i + 1) & mask
	}
	x.setPlace(i, value, uint32(h>>32))
}

// vacate empties a place.
func (x *index) vacate(place uint32) {
	mask := x.header.places - 1
	if next, _ := x.place((place + 1) & mask); next == 0 {
		x.setPlace(place, 0, 0) // nothing is looked for beyond, so no tombstone is needed
		x.header.used--
	} else {
		x.setPlace(place, counter, 0)
	}
}

// add notes a lease on a target in a slot.
func (x *index) add(t target.Target, slot uint32) {
	x.insert(x.hash(t), slot+1)
	x.header.live[familyOf(t.Is6())]++
}

// holders returns how many leases keep a network blocked, and the place of their counter.
func (x *index) holders(network target.Target) (count, place uint32) {
	x.probe(x.hash(network), func(value, at uint32) bool {
		if value > counter {
			count, place = value-counter, at
		}
		return value < counter
	})
	return count, place
}

// hold counts a lease that keeps its network blocked, and unhold counts it no more.
func (x *index) hold(l *Lease) {
	h := x.hash(l.Blocks())
	if count, place := x.holders(l.Blocks()); count > 0 {
		x.setPlace(place, counter+count+1, uint32(h>>32))
	} else {
		x.insert(h, counter+1)
	}
}

func (x *index) unhold(l *Lease) {
	switch count, place := x.holders(l.Blocks()); count {
	case 0: // it was not counted, which is for the next buildIndex to mend
	case 1:
		x.vacate(place)
	default:
		x.setPlace(place, counter+count-1, uint32(x.hash(l.Blocks())>>32))
	}
}

// remove forgets the lease on a target that a place names and has its slot free.
func (x *index) remove(t target.Target, place, slot uint32) {
	x.vacate(place)
	x.header.live[familyOf(t.Is6())]--
	x.push(slot)
}

func (x *index) stack(n uint32) int64 { return pageSize + 8*int64(x.header.places) + 4*int64(n) }

func (x *index) push(slot uint32) {
	binary.LittleEndian.PutUint32(x.at(x.stack(x.header.free), true), slot)
	x.header.free++
}

// take returns a free slot, of which there must be one.
func (x *index) take() uint32 {
	if x.header.free > 0 {
		x.header.free--
		return binary.LittleEndian.Uint32(x.at(x.stack(x.header.free), false))
	}
	x.header.next++
	return x.header.next - 1
}

// begin marks the file unclean: what follows is in it in part only.
func (x *index) begin() error {
	if x.fd < 0 {
		return nil
	}
	x.header.clean = false
	return x.writeHeader()
}

// finish writes what was changed and marks the file clean, as of the lease file's ctime.
func (x *index) finish(ctime int64) error {
	if x.fd < 0 {
		return nil
	}
	if x.built {
		if err := x.writeAll(); err != nil {
			return err
		}
	}
	for n := range x.dirty {
		if err := pwrite(x.fd, x.pages[n], n*pageSize); err != nil {
			return err
		}
	}
	x.header.clean, x.header.ctime = true, ctime
	return x.writeHeader()
}

func (x *index) writeHeader() error {
	page := x.header.encode()
	return pwrite(x.fd, page[:], 0)
}

// writeAll writes every page, the empty ones too: later changes then need no room.
func (x *index) writeAll() error {
	const chunk = 256
	last := (x.stack(x.header.places/4) + pageSize - 1) / pageSize
	if err := unix.Ftruncate(x.fd, last*pageSize); err != nil {
		return err
	}
	buf := make([]byte, 0, min(last, chunk)*pageSize)
	for n := int64(1); n < last; n++ {
		page := x.pages[n]
		if page == nil {
			page = empty[:]
		}
		buf = append(buf, page...)
		if len(buf) == cap(buf) || n == last-1 {
			if err := pwrite(x.fd, buf, (n+1)*pageSize-int64(len(buf))); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	clear(x.dirty)
	x.built = false
	return nil
}

var empty [pageSize]byte

func (x *index) close() {
	if x != nil && x.fd >= 0 {
		_ = unix.Close(x.fd) // it holds nothing of its own
	}
}

// familyOf returns in which place of two a family is counted.
func familyOf(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}
