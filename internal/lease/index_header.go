package lease

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// indexHeader is the first page.
type indexHeader struct {
	clean  bool
	table  uint64 // the lease file's id
	ctime  int64  // and its change time when this was written, in nanoseconds
	seeds  [2]uint64
	places uint32    // a power of two
	used   uint32    // places that are not empty
	live   [2]uint32 // leases: of IPv6 addresses the second
	free   uint32    // slots on the stack
	next   uint32    // the first slot that was never used
	boot   string
	// lifting are the slots of leases whose blocks are being lifted, as far as there is room: a help for
	// Tx.Lifting, which looks at each.
	lifting []uint32
}

// setLifting notes whether the block of the lease in a slot is being lifted.
func (x *index) setLifting(slot uint32, is bool) {
	h := &x.header
	switch at := slices.Index(h.lifting, slot); {
	case at >= 0 && !is:
		h.lifting = slices.Delete(h.lifting, at, at+1)
	case at < 0 && is && len(h.lifting) < mostLifting:
		h.lifting = append(h.lifting, slot)
	}
}

// numbers are the header's, in their order in the file.
func (h *indexHeader) numbers() []*uint64 {
	return []*uint64{&h.table, &h.seeds[0], &h.seeds[1]}
}

func (h *indexHeader) counts() []*uint32 {
	return []*uint32{&h.places, &h.used, &h.live[0], &h.live[1], &h.free, &h.next}
}

// encode makes the page.
func (h *indexHeader) encode() (page [pageSize]byte) {
	b := append(page[:0], indexMagic...)
	b = binary.LittleEndian.AppendUint64(b, 0) // the checksum's place
	if h.clean {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(h.ctime))
	for _, n := range h.numbers() {
		b = binary.LittleEndian.AppendUint64(b, *n)
	}
	for _, n := range h.counts() {
		b = binary.LittleEndian.AppendUint32(b, *n)
	}
	b = append(append(b, byte(len(h.boot))), h.boot...)
	for _, slot := range h.lifting {
		b = binary.LittleEndian.AppendUint32(b, slot)
	}
	binary.LittleEndian.PutUint64(page[len(indexMagic):], checksum(b[len(indexMagic)+8:]))
	binary.LittleEndian.PutUint16(page[pageSize-2:], uint16(len(b)))
	return page
}

// decode reads the page and reports whether it is sound.
func (h *indexHeader) decode(page []byte) bool {
	const body = len(indexMagic) + 8
	end := int(binary.LittleEndian.Uint16(page[pageSize-2:]))
	least := body + 1 + 8 + 8*len(h.numbers()) + 4*len(h.counts()) + 1
	if string(page[:len(indexMagic)]) != indexMagic || end < least || end > pageSize-2 ||
		binary.LittleEndian.Uint64(page[len(indexMagic):]) != checksum(page[body:end]) {
		return false
	}
	b := page[body:end]
	h.clean = b[0] == 1
	h.ctime = int64(binary.LittleEndian.Uint64(b[1:]))
	b = b[9:]
	for _, n := range h.numbers() {
		*n, b = binary.LittleEndian.Uint64(b), b[8:]
	}
	for _, n := range h.counts() {
		*n, b = binary.LittleEndian.Uint32(b), b[4:]
	}
	text := 1 + int(b[0])
	if len(b) < text || (len(b)-text)%4 != 0 || (len(b)-text)/4 > mostLifting {
		return false
	}
	h.boot = string(b[1:text])
	for b = b[text:]; len(b) > 0; b = b[4:] {
		h.lifting = append(h.lifting, binary.LittleEndian.Uint32(b))
	}
	return h.places >= leastPlaces && bits.OnesCount32(h.places) == 1 &&
		max(h.used, 4*(h.live[0]+h.live[1]), 4*h.free) <= h.places
}
