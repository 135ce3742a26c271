package lease

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// createTable makes a file with these leases in it under another name first, so that a
// process that is killed meanwhile leaves no half-made one.
func createTable(path string, leases []Lease) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fd, err := openFile(fresh, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // synced below
	t := &table{fd: fd}
	t.id = rand.Uint64()
	for t.capacity < max(leastSlots, uint32(len(leases))) {
		if err := t.grow(); err != nil {
			return err
		}
	}
	for i, l := range leases {
		slot, err := encode(l)
		if err == nil {
			err = pwrite(fd, slot[:], offset(uint32(i)))
		}
		if err != nil {
			return err
		}
	}
	if err := unix.Fdatasync(fd); err != nil {
		return os.NewSyscallError("fdatasync", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	dir, err := openFile(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)                               // only synced
	return os.NewSyscallError("fsync", unix.Fsync(dir)) // nil for nil
}

// grow makes room for more leases. The header tells of the room only when that is on the
// disk, lest a loss of power leaves a file that looks cut off.
func (t *table) grow() error {
	more := max(leastSlots, min(t.capacity, mostGrowth))
	if err := pwrite(t.fd, make([]byte, more*slotSize), offset(t.capacity)); err != nil {
		return err
	}
	if err := unix.Fdatasync(t.fd); err != nil {
		return os.NewSyscallError("fdatasync", err)
	}
	t.capacity += more
	var header [headerSize]byte
	copy(header[:], magic)
	binary.LittleEndian.PutUint64(header[atID:], t.id)
	binary.LittleEndian.PutUint32(header[atCapacity:], t.capacity)
	binary.LittleEndian.PutUint64(header[atHeaderSum:], checksum(header[:atHeaderSum]))
	return pwrite(t.fd, header[:], 0)
}

// reserve makes room for that many more leases.
func (t *table) reserve(more int, boot string) error {
	for t.index.room(t.capacity) < more {
		if err := t.grow(); err != nil {
			return err
		}
	}
	if t.index.header.places != placesFor(t.capacity) {
		return t.buildIndex(boot)
	}
	return nil
}

// clear puts an empty file in the place of this one, and keeps what the index knows of
// completeness: what nobody holds any more is known too.
func (t *table) clear(path, boot string) error {
	if err := createTable(path, nil); err != nil {
		return err
	}
	fresh, err := openTable(path, unix.O_RDWR)
	if err != nil {
		fresh.close()
		return err
	}
	fresh.index, t.index = t.index, nil
	t.close()
	*t = *fresh
	t.index.reset(t, boot)
	return nil
}
