package lease

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// table is the lease file: a header page, then slots. The header is written when
// the file is made and when it grows; a lease is one write of one slot.
type table struct {
	fd       int
	id       uint64 // of this file and no other
	capacity uint32 // slots
	ctime    int64  // nanoseconds
	index    *index
	pending  map[uint32][]byte // slots not written yet; a free one is empty
}

const (
	headerSize  = 4096 // a page, of which one sector is used
	magic       = "OSSEC-AR leases 2\n"
	atID        = 24
	atCapacity  = 32
	atHeaderSum = 40
	// leastSlots is how many a new file has, and mostGrowth by how many one grows at most.
	leastSlots = 64
	mostGrowth = 16 << 10
)

// ErrDamaged marks a lease file that is not what we wrote.
var ErrDamaged = errors.New("the lease file is damaged")

func offset(slot uint32) int64 { return headerSize + int64(slot)*slotSize }

// createTable makes an empty file, to be moved into its place when it is written. The caller
// holds the lock, so one that is there already was left by a killed process.
func createTable(dir *state.Dir, name string) (*table, error) {
	if err := dir.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	fd, err := dir.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	t := &table{fd: fd, id: rand.Uint64(), pending: map[uint32][]byte{}}
	if err := t.grow(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// openTable opens the file without its index. With ErrDamaged it may return what can still
// be read from.
func openTable(dir *state.Dir, name string, flags int) (*table, error) {
	path := dir.Path(name)
	fd, err := dir.Open(name, flags)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%w: %s is no plain file", ErrDamaged, path)
	case err != nil:
		return nil, err
	}
	t := &table{fd: fd, pending: map[uint32][]byte{}}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		t.close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		t.close()
		return nil, fmt.Errorf("%w: %s is no plain file", ErrDamaged, path)
	}
	t.ctime = stat.Ctim.Nano()
	var header [headerSize]byte
	n, err := pread(fd, header[:], 0)
	switch {
	case err != nil:
		t.close()
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	case n == 0:
		return t, fmt.Errorf("%w: it is empty", ErrDamaged)
	case n < headerSize:
		return t, fmt.Errorf("%w: it is cut off", ErrDamaged)
	case string(header[:len(magic)]) != magic:
		return t, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	case binary.LittleEndian.Uint64(header[atHeaderSum:]) != checksum(header[:atHeaderSum]):
		return t, fmt.Errorf("%w: its header is", ErrDamaged)
	}
	t.id, t.capacity = binary.LittleEndian.Uint64(header[atID:]),
		binary.LittleEndian.Uint32(header[atCapacity:])
	if stat.Size < offset(t.capacity) {
		return t, fmt.Errorf("%w: it is cut off", ErrDamaged)
	}
	return t, nil
}

func (t *table) close() {
	if t != nil {
		t.index.close()
		_ = unix.Close(t.fd) // what had to reach the disk was synced
	}
}

// grow makes room for more leases. The header counts the room only when that is on the
// disk, lest a loss of power leaves a file that looks cut off.
func (t *table) grow() error {
	more := max(leastSlots, min(t.capacity, mostGrowth))
	if err := pwrite(t.fd, make([]byte, more*slotSize), offset(t.capacity)); err != nil {
		return err
	}
	if err := t.sync(); err != nil {
		return err
	}
	t.capacity += more
	var header [headerSize]byte
	copy(header[:], magic)
	binary.LittleEndian.PutUint64(header[atID:], t.id)
	binary.LittleEndian.PutUint32(header[atCapacity:], t.capacity)
	binary.LittleEndian.PutUint64(header[atHeaderSum:], checksum(header[:atHeaderSum]))
	return pwrite(t.fd, header[:], 0)
}

// scan calls visit with every lease, of a damaged file too, until it returns an error, and counts the
// slots that are damaged. What lies beyond the capacity came from growing that was not finished.
func (t *table) scan(visit func(slot uint32, l Lease) error) (damaged int, err error) {
	buf := make([]byte, 512*slotSize)
	for slot := uint32(0); ; {
		n, err := pread(t.fd, buf, offset(slot))
		if err != nil {
			return 0, err
		}
		for b := buf[:n/slotSize*slotSize]; len(b) > 0; b = b[slotSize:] {
			if slot == t.capacity && t.capacity > 0 {
				return damaged, nil
			}
			content := b[:slotSize]
			if p, ok := t.pending[slot]; ok {
				content = p
			}
			switch l, used, err := decode(content); {
			case err != nil:
				damaged++
			case used:
				if err := visit(slot, l); err != nil {
					return damaged, err
				}
			}
			slot++
		}
		if n < len(buf) {
			return damaged, nil
		}
	}
}

// each is scan of a file in which nothing is damaged.
func (t *table) each(visit func(slot uint32, l Lease) error) error {
	damaged, err := t.scan(visit)
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%w: %d places in it hold neither a lease nor nothing", ErrDamaged, damaged)
	}
	return err
}

// placed is a lease and where it stands: its slot, and the place of the index that names it.
type placed struct {
	Lease
	slot, place uint32
}

// on returns all leases on a target, in order of program.
func (t *table) on(on target.Target) ([]placed, error) {
	var leases []placed
	var err error
	t.index.slots(on, func(slot, place uint32) bool {
		var l Lease
		if l, err = t.named(slot); err == nil && l.Target == on {
			leases = append(leases, placed{l, slot, place})
		}
		return err == nil
	})
	slices.SortFunc(leases, func(a, b placed) int { return cmp.Compare(a.Program, b.Program) })
	return leases, errors.Join(err, t.index.err)
}

// named returns the lease in a slot that the index names.
func (t *table) named(slot uint32) (Lease, error) {
	if slot >= t.capacity {
		return Lease{}, errIndex
	}
	l, used, err := t.read(slot)
	if err != nil || !used {
		return l, errors.Join(errIndex, err)
	}
	return l, nil
}

// read returns what is in a slot.
func (t *table) read(slot uint32) (l Lease, used bool, err error) {
	if b, ok := t.pending[slot]; ok {
		return decode(b)
	}
	var b [slotSize]byte
	if n, err := pread(t.fd, b[:], offset(slot)); err != nil || n < slotSize {
		return l, false, errors.Join(errNoLease, err)
	}
	return decode(b[:])
}

// put takes or renews a lease.
func (t *table) put(l Lease, boot string) error {
	content, err := encode(l)
	if err != nil {
		return err
	}
	leases, err := t.on(l.Target)
	if err != nil {
		return err
	}
	for _, old := range leases {
		if old.Program == l.Program {
			t.pending[old.slot] = content
			t.note(old.slot, &old.Lease, &l)
			return t.index.err
		}
	}
	if t.index.room(t.capacity) == 0 {
		if err := t.grow(); err != nil {
			return err
		}
		if t.index.header.places != placesFor(t.capacity) {
			if err := t.buildIndex(boot); err != nil {
				return err
			}
		}
	}
	n := t.index.take()
	if n >= t.capacity || t.index.err != nil {
		return errors.Join(errIndex, t.index.err)
	}
	t.pending[n] = content
	t.index.add(l.Target, n)
	t.note(n, nil, &l)
	return t.index.err
}

// note has the index know that one lease took the place of another in a slot; nil is none.
func (t *table) note(slot uint32, before, after *Lease) {
	if before != nil && before.holdsNet() {
		t.index.unhold(before)
	}
	if after != nil && after.holdsNet() {
		t.index.hold(after)
	}
	t.index.setLifting(slot, after != nil && after.State == Lifting)
}

// end ends the lease of program on a target.
func (t *table) end(on target.Target, program string) error {
	leases, err := t.on(on)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if l.Program == program {
			t.index.remove(on, l.place, l.slot)
			t.note(l.slot, &l.Lease, nil)
			t.pending[l.slot] = nil
		}
	}
	return t.index.err
}

// write writes the slots that were changed.
func (t *table) write() error {
	for _, slot := range slices.Sorted(maps.Keys(t.pending)) {
		var b [slotSize]byte
		copy(b[:], t.pending[slot])
		if err := pwrite(t.fd, b[:], offset(slot)); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) changeTime() (int64, error) {
	var stat unix.Stat_t
	err := os.NewSyscallError("fstat", unix.Fstat(t.fd, &stat))
	return stat.Ctim.Nano(), err
}

func (t *table) sync() error { return os.NewSyscallError("fdatasync", unix.Fdatasync(t.fd)) }

func pwrite(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("pwrite", err)
		}
		b, at = b[max(n, 0):], at+int64(max(n, 0))
	}
	return nil
}

// pread reads up to the end of b or of the file.
func pread(fd int, b []byte, at int64) (int, error) {
	for total := 0; ; {
		n, err := unix.Pread(fd, b[total:], at+int64(total))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return total, os.NewSyscallError("pread", err)
		}
		total += max(n, 0)
		if err == nil && n == 0 || total == len(b) {
			return total, nil
		}
	}
}
