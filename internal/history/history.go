// Package history remembers what was blocked when, so that who comes back is held longer. It is
// a ring of the last blocks of one response, and lasts over restarts and reboots. It is kept only
// where that is configured.
package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

const (
	// most is how many blocks are remembered.
	most = 1 << 16
	// A record is the key of a target and a time in nanoseconds since 1970. Before the first stands the
	// number of the next one to write.
	keySize    = 16
	recordSize = keySize + 8
	headerSize = 8
	// wait bounds the waiting for other processes.
	wait = 5 * time.Second
)

// Book is the history of one response.
type Book struct {
	Dir      string // the state folder
	Response string
}

// Add notes that t is blocked now, and returns when it was before, in no set order. What cannot be
// read is taken for empty.
func (b Book) Add(t target.Target, now time.Time) (before []time.Time, err error) {
	err = b.open(os.O_RDWR|os.O_CREATE, func(file *os.File) error {
		ring := read(file)
		before = ring.of(t)[t]
		r := make([]byte, recordSize)
		copy(r, key(t))
		binary.LittleEndian.PutUint64(r[keySize:], uint64(now.UnixNano()))
		if _, err := file.WriteAt(r, headerSize+int64(ring.next)*recordSize); err != nil {
			return err
		}
		next := make([]byte, headerSize)
		binary.LittleEndian.PutUint64(next, uint64((ring.next+1)%most))
		_, err := file.WriteAt(next, 0)
		return err
	})
	return before, err
}

// Of returns when each of the targets was blocked, in no set order.
func (b Book) Of(targets ...target.Target) (at map[target.Target][]time.Time, err error) {
	err = b.open(os.O_RDONLY, func(file *os.File) error {
		at = read(file).of(targets...)
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return at, err
}

// open calls use with the file, which nobody else has meanwhile.
func (b Book) open(flags int, use func(*os.File) error) error {
	dir, err := state.OpenDir(b.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	lock, err := dir.Exclusive(b.Response+".history.lock", wait)
	if err != nil {
		return fmt.Errorf("the history of blocks: %w", err)
	}
	defer lock.Release()
	fd, err := dir.Open(b.Response+".history", flags)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), dir.Path(b.Response+".history"))
	defer file.Close() // each write reports its own error
	return use(file)
}

// ring is the file as it was read.
type ring struct {
	records []byte
	next    int
}

func read(file *os.File) ring {
	data := make([]byte, headerSize+most*recordSize)
	n, _ := unix.Pread(int(file.Fd()), data, 0) // what is missing is empty
	if n < headerSize {
		return ring{}
	}
	next := binary.LittleEndian.Uint64(data)
	return ring{records: data[headerSize:n], next: int(next % most)}
}

// of returns the times of targets.
func (r ring) of(targets ...target.Target) map[target.Target][]time.Time {
	wanted := make(map[string]target.Target, len(targets))
	for _, t := range targets {
		wanted[string(key(t))] = t
	}
	at := map[target.Target][]time.Time{}
	for i := 0; i+recordSize <= len(r.records); i += recordSize {
		if t, is := wanted[string(r.records[i:i+keySize])]; is {
			at[t] = append(at[t], time.Unix(0, int64(binary.LittleEndian.Uint64(r.records[i+keySize:]))))
		}
	}
	return at
}

// key stands for a target: an address as it is, anything else by a hash (FNV-1a of 128 bits). Who
// finds two that share one is held longer, too.
func key(t target.Target) []byte {
	if t.Account() == "" && t.IsSingle() {
		addr := t.Addr().As16()
		return addr[:]
	}
	h := fnv.New128a()
	_, _ = h.Write([]byte(t.String())) // it never fails
	return h.Sum(nil)
}
