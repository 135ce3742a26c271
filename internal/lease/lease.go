// Package lease remembers on disk who holds a block on which address, so that two
// responses on one address do not undo one another and nothing stays blocked for
// ever. A lease is (program, address) in the file of one response; the address is
// free when its last lease is gone.
//
// The file is bbolt. All its users first take flock(2) on a sibling file, which is
// fair and needs no polling where bbolt's own lock is neither. A damaged file is
// moved aside and a new one begun. The package never decides whether an address is
// blocked: when it cannot do its work it says so, and the caller blocks all the same.
package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/ossec-ar/ossec-ar/internal/filelock"
	"github.com/ossec-ar/ossec-ar/internal/statedir"
)

// DefaultWait is how long to wait for other processes before going on without.
const DefaultWait = 10 * time.Second

// Lease is one hold on an address.
type Lease struct {
	Addr    netip.Addr `json:"address"`
	Program string     `json:"program"` // base name as invoked
	RuleID  string     `json:"rule,omitempty"`
	AlertID string     `json:"alert,omitempty"`
	User    string     `json:"user,omitempty"`
	Since   time.Time  `json:"since"`   // of the first add
	Renewed time.Time  `json:"renewed"` // of the last one
	Daemon  *Daemon    `json:"daemon,omitempty"`
	// Lifting is set when the last delete could not lift the block: nobody wants it
	// any more, and whoever comes next should try again.
	Lifting bool `json:"lifting,omitempty"`
}

// Store is the lease file of one response. It is opened for each call and is not
// kept open, so that no process holds up another. It is not safe for concurrent use.
type Store struct {
	dir, response string
	// Wait bounds the waiting for other processes in each call.
	Wait time.Duration
	// Now is the clock, for the name of a damaged file.
	Now func() time.Time

	faults []error
}

// New returns the store of the response in dir. Nothing is touched yet.
func New(dir, response string) *Store {
	return &Store{dir: dir, response: response, Wait: DefaultWait, Now: time.Now}
}

// Path returns the path of the lease file.
func (s *Store) Path() string { return filepath.Join(s.dir, s.response+".db") }

// Faults returns what went wrong on the way though the call succeeded, such as a
// damaged file that was moved aside.
func (s *Store) Faults() []error { return s.faults }

// Held is what stands on an address.
type Held struct {
	Mine    *Lease  // of the asking program, as it was before the call
	Others  []Lease // of other programs
	Lifting []Lease // of other programs, already given back: lifting the block failed
	// Complete tells that every block of this address family in force in this kernel has
	// a lease: see MarkComplete.
	Complete bool
}

// Fresh tells that nothing can be blocking the address: all blocks are known and none
// is on it.
func (h Held) Fresh() bool {
	return h.Complete && h.Mine == nil && len(h.Others) == 0 && len(h.Lifting) == 0
}

// Acquire takes the lease or renews it. kernel identifies where blocks are in force
// (see Kernel). It returns as soon as it knows what stood before, while the lease is
// still on its way to the disk; settle waits for that and must be called before the
// Store is used again. When the lease cannot be taken, what is held is not known.
func (s *Store) Acquire(l Lease, kernel string) (held Held, settle func() error) {
	known := make(chan Held, 1)
	done := make(chan error, 1)
	go func() {
		done <- s.update(func(tx *bolt.Tx) error {
			held, err := holders(tx, l.Addr, l.Program)
			if err != nil {
				return err
			}
			held.Complete = kernel != "" && string(tx.Bucket(metaBucket).Get(completeKey(l.Addr))) == kernel
			if held.Mine != nil && !held.Mine.Lifting {
				l.Since = held.Mine.Since
			}
			if err := put(tx, l); err != nil {
				return err
			}
			known <- held
			return nil
		})
	}()
	settle = sync.OnceValue(func() error {
		if err := <-done; err != nil {
			return fmt.Errorf("taking the lease on %s: %w", l.Addr, err)
		}
		return nil
	})
	select {
	case held = <-known:
	case err := <-done:
		done <- err
		select {
		case held = <-known: // both were there before we looked
		default:
		}
	}
	return held, settle
}

// Holders returns who holds addr, seen from program. A missing file holds nothing.
func (s *Store) Holders(addr netip.Addr, program string) (Held, error) {
	var held Held
	err := s.view(func(tx *bolt.Tx) error {
		var err error
		held, err = holders(tx, addr, program)
		return err
	})
	if err != nil {
		return Held{}, fmt.Errorf("reading the leases on %s: %w", addr, err)
	}
	return held, nil
}

// StillHeld returns those of addrs that somebody holds.
func (s *Store) StillHeld(addrs []netip.Addr) ([]netip.Addr, error) {
	var held []netip.Addr
	err := s.view(func(tx *bolt.Tx) error {
		for _, addr := range addrs {
			h, err := holders(tx, addr, "")
			if err != nil {
				return err
			}
			if len(h.Others) > 0 {
				held = append(held, addr)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the leases: %w", err)
	}
	return held, nil
}

// Release gives the lease of program on addr back and returns who else holds it. When
// nobody does, the lease is marked as being lifted instead, so that the block is not
// forgotten should lifting it fail or the process be killed: Lifted ends it.
func (s *Store) Release(addr netip.Addr, program string) (Held, error) {
	var held Held
	err := s.update(func(tx *bolt.Tx) error {
		var err error
		if held, err = holders(tx, addr, program); err != nil || held.Mine == nil {
			return err
		}
		if len(held.Others) > 0 {
			return tx.Bucket(leaseBucket).Delete(key(addr, program))
		}
		l := *held.Mine
		l.Lifting = true
		return put(tx, l)
	})
	if err != nil {
		return Held{}, fmt.Errorf("releasing the lease on %s: %w", addr, err)
	}
	return held, nil
}

// Lifted ends the leases on addr that were being lifted: the block is gone.
func (s *Store) Lifted(addr netip.Addr) error {
	return s.remove(addr, func(l Lease) bool { return l.Lifting })
}

// Withdraw undoes an Acquire whose block could not be put in force. before is what
// Acquire returned.
func (s *Store) Withdraw(addr netip.Addr, program string, before Held) error {
	if before.Mine == nil {
		return s.remove(addr, func(l Lease) bool { return l.Program == program })
	}
	err := s.update(func(tx *bolt.Tx) error { return put(tx, *before.Mine) })
	if err != nil {
		return fmt.Errorf("withdrawing the lease on %s: %w", addr, err)
	}
	return nil
}

// Drop releases every lease on addr, whoever holds it.
func (s *Store) Drop(addr netip.Addr) error {
	return s.remove(addr, func(Lease) bool { return true })
}

func (s *Store) remove(addr netip.Addr, which func(Lease) bool) error {
	err := s.update(func(tx *bolt.Tx) error {
		leases, err := on(tx, addr)
		for _, l := range leases {
			if which(l) {
				err = errors.Join(err, tx.Bucket(leaseBucket).Delete(key(l.Addr, l.Program)))
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("releasing leases on %s: %w", addr, err)
	}
	return nil
}

// TakeAll takes or renews many leases in one transaction.
func (s *Store) TakeAll(leases []Lease) error {
	err := s.update(func(tx *bolt.Tx) error {
		for _, l := range leases {
			if v := tx.Bucket(leaseBucket).Get(key(l.Addr, l.Program)); v != nil {
				old, err := decode(key(l.Addr, l.Program), v)
				if err != nil {
					return err
				}
				if !old.Lifting {
					l.Since = old.Since
				}
			}
			if err := put(tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("taking %d leases: %w", len(leases), err)
	}
	return nil
}

// EndAll ends many leases in one transaction.
func (s *Store) EndAll(leases []Lease) error {
	err := s.update(func(tx *bolt.Tx) error {
		for _, l := range leases {
			if err := tx.Bucket(leaseBucket).Delete(key(l.Addr, l.Program)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ending %d leases: %w", len(leases), err)
	}
	return nil
}

// Clear releases every lease.
func (s *Store) Clear() error {
	err := s.update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket(leaseBucket); err != nil {
			return err
		}
		_, err := tx.CreateBucket(leaseBucket)
		return err
	})
	if err != nil {
		return fmt.Errorf("releasing all leases: %w", err)
	}
	return nil
}

// All returns every lease, in order of address and program. A missing file has none.
func (s *Store) All() ([]Lease, error) {
	var all []Lease
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(leaseBucket).ForEach(func(k, v []byte) error {
			l, err := decode(k, v)
			all = append(all, l)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the leases: %w", err)
	}
	return all, nil
}

// MarkComplete notes that from now on every block of addr's family in kernel has a lease
// here, because the place that they live in was made empty just now by a process that
// had leased. A reboot makes another kernel, and a lost file forgets the mark: then an
// enforcer has to look before it adds.
func (s *Store) MarkComplete(addr netip.Addr, kernel string) (already bool, err error) {
	err = s.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		already = string(meta.Get(completeKey(addr))) == kernel
		return meta.Put(completeKey(addr), []byte(kernel))
	})
	if err != nil {
		return already, fmt.Errorf("marking the leases complete: %w", err)
	}
	return already, nil
}

// LockAddr makes all who change the block on addr in this response go one by one.
func (s *Store) LockAddr(addr netip.Addr) (*filelock.Lock, error) {
	if err := statedir.Make(s.dir); err != nil {
		return nil, err
	}
	h := fnv.New32a()
	b := addr.As16()
	h.Write(b[:]) // a hash never fails to write
	return filelock.Slot(s.addrLock(), h.Sum32(), s.Wait)
}

// LockAll waits for, and keeps out, everybody who changes any block of this response.
func (s *Store) LockAll() (*filelock.Lock, error) {
	if err := statedir.Make(s.dir); err != nil {
		return nil, err
	}
	return filelock.All(s.addrLock(), s.Wait)
}

func (s *Store) addrLock() string { return filepath.Join(s.dir, s.response+".addr.lock") }

var (
	leaseBucket = []byte("leases")
	metaBucket  = []byte("meta")
)

func completeKey(addr netip.Addr) []byte {
	if addr.Is6() {
		return []byte("complete6")
	}
	return []byte("complete4")
}

// key orders leases by address, then program. Addresses are 16 bytes, IPv4 mapped.
func key(addr netip.Addr, program string) []byte {
	b := addr.As16()
	return append(b[:], program...)
}

func put(tx *bolt.Tx, l Lease) error {
	v, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return tx.Bucket(leaseBucket).Put(key(l.Addr, l.Program), v)
}

func decode(k, v []byte) (Lease, error) {
	var l Lease
	if err := json.Unmarshal(v, &l); err != nil || len(k) < 16 || !l.Addr.IsValid() {
		return l, fmt.Errorf("%w: record %x does not read as a lease", errDamaged, k)
	}
	return l, nil
}

// on returns all leases on addr.
func on(tx *bolt.Tx, addr netip.Addr) ([]Lease, error) {
	var out []Lease
	prefix := key(addr, "")
	c := tx.Bucket(leaseBucket).Cursor()
	for k, v := c.Seek(prefix); len(k) >= 16 && string(k[:16]) == string(prefix); k, v = c.Next() {
		l, err := decode(k, v)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func holders(tx *bolt.Tx, addr netip.Addr, program string) (Held, error) {
	var h Held
	leases, err := on(tx, addr)
	for _, l := range leases {
		switch {
		case l.Program == program:
			h.Mine = &l
		case l.Lifting:
			h.Lifting = append(h.Lifting, l)
		default:
			h.Others = append(h.Others, l)
		}
	}
	return h, err
}
