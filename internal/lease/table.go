package lease

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// table is the lease file: a header page, then slots. The header is written when
// the file is made and when it grows; a lease is one write of one slot.
type table struct {
	fd       int
	id       uint64 // tells it from every other one
	capacity uint32 // slots
	ctime    int64  // nanoseconds
	index    *index
	pending  map[uint32][]byte // slots that are to be written
}

const (
	headerSize  = 4096 // a page, of which one sector is used
	magic       = "OSSEC-AR leases 1\n"
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

// openFile opens a file without following a link or waiting for the other end of a pipe.
func openFile(path string, flags int) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// openTable opens the file without its index. With ErrDamaged it may return what can still
// be read from.
func openTable(path string, flags int) (*table, error) {
	fd, err := openFile(path, flags)
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
	n, err := unix.Pread(fd, header[:], 0)
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
	t.id, t.capacity = binary.LittleEndian.Uint64(header[atID:]), binary.LittleEndian.Uint32(header[atCapacity:])
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

// placed is a lease and its slot.
type placed struct {
	Lease
	slot uint32
}

// scan hands every lease there is to visit, of a damaged file too, and counts the slots that
// are damaged. What lies beyond the capacity came from growing that was not finished.
func (t *table) scan(visit func(slot uint32, l Lease)) (damaged int, err error) {
	buf := make([]byte, 1024*slotSize)
	for slot := uint32(0); ; {
		n, err := pread(t.fd, buf, offset(slot))
		if err != nil {
			return 0, err
		}
		for b := buf[:n/slotSize*slotSize]; len(b) > 0; b = b[slotSize:] {
			if slot == t.capacity && t.capacity > 0 {
				return damaged, nil
			}
			switch l, used, err := decode(b[:slotSize]); {
			case err != nil:
				damaged++
			case used:
				visit(slot, l)
			}
			slot++
		}
		if n < len(buf) {
			return damaged, nil
		}
	}
}

// sound is scan of a file in which nothing is damaged.
func (t *table) sound(visit func(slot uint32, l Lease)) error {
	damaged, err := t.scan(visit)
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%w: %d places in it hold neither a lease nor nothing", ErrDamaged, damaged)
	}
	return err
}

// byAddr is the order of address, then program.
func byAddr(a, b *Lease) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Program, b.Program))
}

// buildIndex makes the index anew from the slots. Should a lease stand twice, the later one
// counts.
func (t *table) buildIndex(boot string) error {
	// Of a hundred thousand, what the index needs is a third of all. Programs are few.
	type hold struct {
		addr    netip.Addr
		program string
		renewed time.Time
		slot    uint32
	}
	var leases []hold
	programs := map[string]string{}
	err := t.sound(func(slot uint32, l Lease) {
		leases = append(leases, hold{l.Addr, shared(programs, l.Program, l.Program), l.Renewed, slot})
	})
	if err != nil {
		return err
	}
	x := t.index
	known := x.header.live[0] + x.header.live[1]
	if x.header.clean && x.header.table == t.id && x.header.boot == boot && boot != "" && known > uint32(len(leases)) {
		return fmt.Errorf("%w: %d leases are gone from it", ErrDamaged, known-uint32(len(leases)))
	}
	t.pending = map[uint32][]byte{}
	x.reset(t, boot)
	slices.SortFunc(leases, func(a, b hold) int {
		return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.program, b.program), b.renewed.Compare(a.renewed), cmp.Compare(a.slot, b.slot))
	})
	used := make([]bool, t.capacity)
	for i, l := range leases {
		x.header.next = max(x.header.next, l.slot+1)
		if i > 0 && l.addr == leases[i-1].addr && l.program == leases[i-1].program {
			t.pending[l.slot] = empty[:slotSize]
			continue
		}
		used[l.slot] = true
		x.add(l.addr, l.slot)
	}
	for slot := x.header.next; slot > 0; slot-- {
		if !used[slot-1] {
			x.push(slot - 1)
		}
	}
	return nil
}

// on returns all leases on addr, in order of program.
func (t *table) on(addr netip.Addr) ([]placed, error) {
	var leases []placed
	var err error
	t.index.slots(addr, func(slot, _ uint32) bool {
		var l Lease
		if l, err = t.read(slot); err == nil && l.Addr == addr {
			leases = append(leases, placed{l, slot})
		}
		return err == nil
	})
	slices.SortFunc(leases, func(a, b placed) int { return byAddr(&a.Lease, &b.Lease) })
	return leases, errors.Join(err, t.index.err)
}

// read returns the lease in a slot that the index names.
func (t *table) read(slot uint32) (Lease, error) {
	b, ok := t.pending[slot]
	if !ok {
		if slot >= t.capacity {
			return Lease{}, errIndex
		}
		b = make([]byte, slotSize)
		if n, err := pread(t.fd, b, offset(slot)); err != nil || n < slotSize {
			return Lease{}, errors.Join(errIndex, err)
		}
	}
	l, used, err := decode(b)
	if err != nil || !used {
		return l, errIndex
	}
	return l, nil
}

// put takes or renews a lease.
func (t *table) put(l Lease) error {
	slot, err := encode(l)
	if err != nil {
		return err
	}
	leases, err := t.on(l.Addr)
	if err != nil {
		return err
	}
	for _, old := range leases {
		if old.Program == l.Program {
			t.pending[old.slot] = slot[:]
			return nil
		}
	}
	n := t.index.take()
	if n >= t.capacity || t.index.err != nil {
		return errors.Join(errIndex, t.index.err)
	}
	t.pending[n] = slot[:]
	t.index.add(l.Addr, n)
	return nil
}

// end ends the leases on addr that are chosen.
func (t *table) end(addr netip.Addr, which func(Lease) bool) error {
	var err error
	t.index.slots(addr, func(slot, place uint32) bool {
		var l Lease
		if l, err = t.read(slot); err == nil && l.Addr == addr && which(l) {
			t.index.remove(addr, place, slot)
			t.pending[slot] = empty[:slotSize]
		}
		return err == nil
	})
	return errors.Join(err, t.index.err)
}

// commit writes what was changed, in the order that a kill at any point leaves no doubt:
// the index says that it is unclean before the first slot changes. What goes wrong with the
// index alone is told in fault, and costs the next call the time to make it anew.
func (t *table) commit() (fault, err error) {
	if x := t.index; len(t.pending) == 0 && len(x.dirty) == 0 && !x.built && !x.noted {
		return nil, nil
	}
	fault = t.index.begin()
	for _, slot := range slices.Sorted(maps.Keys(t.pending)) {
		if err := pwrite(t.fd, t.pending[slot], offset(slot)); err != nil {
			return fault, err
		}
	}
	var stat unix.Stat_t
	if err := unix.Fstat(t.fd, &stat); err != nil {
		return fault, os.NewSyscallError("fstat", err)
	}
	if fault == nil {
		fault = t.index.finish(stat.Ctim.Nano())
	}
	return fault, nil
}

// startSync has the kernel begin to write, without waiting.
func (t *table) startSync() {
	_ = unix.SyncFileRange(t.fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE) // not every file system can; the sync that follows does
}

func (t *table) sync() error {
	return os.NewSyscallError("fdatasync", unix.Fdatasync(t.fd))
}

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

// holders tells who holds addr, seen from program.
func (t *table) holders(addr netip.Addr, program string) (Held, error) {
	var h Held
	leases, err := t.on(addr)
	for _, l := range leases {
		switch {
		case l.Program == program:
			h.Mine = &l.Lease
		case l.Lifting:
			h.Lifting = append(h.Lifting, l.Lease)
		default:
			h.Others = append(h.Others, l.Lease)
		}
	}
	return h, err
}
