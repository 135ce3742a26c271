// Package lease remembers on disk who holds a block on which address, so that two
// responses on one address do not undo one another and nothing stays blocked for
// ever. A lease is (program, address) in the file of one response; the address is
// free when its last lease is gone.
//
// The file is an array of slots, one lease each (table.go, slot.go), found by way of an
// index beside it that is made anew whenever it is in doubt (index.go). Its users take
// flock(2) on a sibling file. A damaged file is moved aside and a new one begun with what
// could be read of it. The package never decides whether an address is blocked: when it
// cannot do its work it says so, and the caller blocks all the same.
package lease

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
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
	bootID string
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
	// Elsewhere tells that other addresses of this family are leased. Acquire alone looks.
	Elsewhere bool
	// Witness is one of those, mostly, that has been leased for longer than it takes to put a
	// block in force: if it is not blocked, somebody took the blocks away.
	Witness netip.Addr
	// Complete tells that every block of this address family in force in this kernel has
	// a lease: see MarkComplete.
	Complete bool
}

// Fresh tells that nothing can be blocking the address: all blocks are known and none
// is on it.
func (h Held) Fresh() bool {
	return h.Complete && h.Mine == nil && len(h.Others) == 0 && len(h.Lifting) == 0
}

// count returns how many leases there are on the address.
func (h Held) count() int {
	n := len(h.Others) + len(h.Lifting)
	if h.Mine != nil {
		n++
	}
	return n
}

// Acquire takes the lease or renews it. kernel identifies where blocks are in force
// (see Kernel). What it returns stands for all other processes at once; settle waits
// until it is on the disk too, and must be called once at least. When the lease cannot be taken, what is
// held is not known.
func (s *Store) Acquire(l Lease, kernel string) (held Held, settle func() error) {
	synced := s.change(1, func(t *table) (err error) {
		if held, err = t.holders(l.Addr, l.Program); err != nil {
			return err
		}
		held.Elsewhere = int(t.index.header.live[family(l.Addr)]) > held.count()
		if held.Elsewhere {
			held.Witness = t.witness(l.Addr, l.Renewed.Add(-settled))
		}
		held.Complete = kernel != "" && t.index.header.complete[family(l.Addr)] == kernel
		if held.Mine != nil && !held.Mine.Lifting {
			l.Since = held.Mine.Since
		}
		return t.put(l)
	})
	return held, func() error {
		if err := synced(); err != nil {
			return fmt.Errorf("taking the lease on %s: %w", l.Addr, err)
		}
		return nil
	}
}

// Holders returns who holds addr, seen from program. A missing file holds nothing.
func (s *Store) Holders(addr netip.Addr, program string) (held Held, err error) {
	err = s.indexed(func(t *table) (err error) {
		held, err = t.holders(addr, program)
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
	err := s.indexed(func(t *table) error {
		held = held[:0]
		for _, addr := range addrs {
			h, err := t.holders(addr, "")
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

// ErrRenewed says that a lease is no longer what it was when it was read.
var ErrRenewed = errors.New("it was renewed or ended meanwhile")

// Release gives the lease of program on addr back and returns who else holds it. When
// nobody does, the lease is marked as being lifted instead, so that the block is not
// forgotten should lifting it fail or the process be killed: Lifted ends it. The mark need
// not outlive a loss of power: then the block was not lifted, and the lease says so.
func (s *Store) Release(addr netip.Addr, program string) (Held, error) {
	return s.release(addr, program, func(*Lease) error { return nil })
}

// ReleaseSeen is Release of a lease that was read before. With ErrRenewed nothing was done.
func (s *Store) ReleaseSeen(seen Lease) (Held, error) {
	return s.release(seen.Addr, seen.Program, func(now *Lease) error {
		if now == nil || !now.Renewed.Equal(seen.Renewed) || now.Lifting != seen.Lifting {
			return ErrRenewed
		}
		return nil
	})
}

func (s *Store) release(addr netip.Addr, program string, allowed func(*Lease) error) (Held, error) {
	var held Held
	t, err := s.changed(0, func(t *table) (err error) {
		if held, err = t.holders(addr, program); err != nil {
			return err
		}
		if err := allowed(held.Mine); err != nil || held.Mine == nil {
			return err
		}
		if len(held.Others) > 0 {
			return t.end(addr, func(l Lease) bool { return l.Program == program })
		}
		l := *held.Mine
		l.Lifting = true
		return t.put(l)
	})
	defer t.close()
	if err == nil && held.Mine != nil && len(held.Others) > 0 {
		err = t.sync()
	}
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
	if err := s.update(1, func(t *table) error { return t.put(*before.Mine) }); err != nil {
		return fmt.Errorf("withdrawing the lease on %s: %w", addr, err)
	}
	return nil
}

// Drop releases every lease on addr, whoever holds it.
func (s *Store) Drop(addr netip.Addr) error {
	return s.remove(addr, func(Lease) bool { return true })
}

func (s *Store) remove(addr netip.Addr, which func(Lease) bool) error {
	if err := s.update(0, func(t *table) error { return t.end(addr, which) }); err != nil {
		return fmt.Errorf("releasing leases on %s: %w", addr, err)
	}
	return nil
}

// TakeAll takes or renews many leases, and sets the Since of those that it renews. When it
// fails, some may be taken.
func (s *Store) TakeAll(leases []Lease) error {
	err := s.update(len(leases), func(t *table) error {
		for i := range leases {
			l := &leases[i]
			held, err := t.holders(l.Addr, l.Program)
			if err != nil {
				return err
			}
			if held.Mine != nil && !held.Mine.Lifting {
				l.Since = held.Mine.Since
			}
			if err := t.put(*l); err != nil {
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

// LiftAll marks the leases of program on many addresses as being lifted, as Release does:
// LiftedAll ends them.
func (s *Store) LiftAll(addrs []netip.Addr, program string) error {
	err := s.update(0, func(t *table) error {
		for _, addr := range addrs {
			held, err := t.holders(addr, program)
			if err != nil {
				return err
			}
			if held.Mine == nil {
				continue
			}
			held.Mine.Lifting = true
			if err := t.put(*held.Mine); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("giving back %d leases: %w", len(addrs), err)
	}
	return nil
}

// LiftedAll ends those of them that were being lifted: the blocks are gone, or others hold
// them. When it fails, some may have ended.
func (s *Store) LiftedAll(addrs []netip.Addr, program string) error {
	err := s.update(0, func(t *table) error {
		for _, addr := range addrs {
			if err := t.end(addr, func(l Lease) bool { return l.Lifting && l.Program == program }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ending %d leases: %w", len(addrs), err)
	}
	return nil
}

// Clear releases every lease.
func (s *Store) Clear() error {
	if err := s.update(0, func(t *table) error { return t.clear(s.Path(), s.boot()) }); err != nil {
		return fmt.Errorf("releasing all leases: %w", err)
	}
	return nil
}

// Mend moves the file aside if it is damaged anywhere, and keeps what can be read of it, as
// changes do that find it so. All only tells.
func (s *Store) Mend() error {
	return s.update(0, func(t *table) error { return t.sound(func(uint32, Lease) {}) })
}

// All returns every lease, in order of address and program. A missing file has none.
func (s *Store) All() ([]Lease, error) {
	var all []Lease
	err := s.view(func(t *table) error {
		all = make([]Lease, 0, t.capacity)
		// A hundred thousand have few programs and rules among them, and fewer daemons.
		texts, daemons := map[string]string{}, map[Daemon]*Daemon{}
		return t.sound(func(_ uint32, l Lease) {
			l.Program, l.RuleID = shared(texts, l.Program, l.Program), shared(texts, l.RuleID, l.RuleID)
			if l.Daemon != nil {
				l.Daemon = shared(daemons, *l.Daemon, l.Daemon)
			}
			all = append(all, l)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the leases: %w", err)
	}
	slices.SortFunc(all, func(a, b Lease) int { return byAddr(&a, &b) })
	return all, nil
}

// shared returns what is known by that key, which is the value if nothing is yet.
func shared[K comparable, V any](known map[K]V, key K, value V) V {
	if v, ok := known[key]; ok {
		return v
	}
	known[key] = value
	return value
}

// MarkComplete notes that from now on every block of addr's family in kernel has a lease
// here, because the place that they live in was made empty just now by a process that
// had leased. A reboot makes another kernel, and a lost file forgets the mark: then an
// enforcer has to look before it adds.
func (s *Store) MarkComplete(addr netip.Addr, kernel string) (already bool, err error) {
	t, err := s.changed(0, func(t *table) error {
		complete := &t.index.header.complete[family(addr)]
		already = *complete == kernel
		*complete, t.index.noted = kernel, true
		return nil
	})
	t.close()
	if err != nil {
		return already, fmt.Errorf("marking the leases complete: %w", err)
	}
	return already, nil
}

// LockAddr makes all who change the block on addr in this response go one by one.
func (s *Store) LockAddr(addr netip.Addr) (*state.Lock, error) {
	if err := state.MakeDir(s.dir); err != nil {
		return nil, err
	}
	h := fnv.New32a()
	b := addr.As16()
	h.Write(b[:]) // a hash never fails to write
	return state.LockSlot(s.addrLock(), h.Sum32(), s.Wait)
}

// LockAll waits for, and keeps out, everybody who changes any block of this response.
func (s *Store) LockAll() (*state.Lock, error) {
	if err := state.MakeDir(s.dir); err != nil {
		return nil, err
	}
	return state.LockAll(s.addrLock(), s.Wait)
}

// LockRestore is for the one process that puts back what was taken away. It does not wait:
// while another one is at it, the error is state.ErrLocked.
func (s *Store) LockRestore() (*state.Lock, error) {
	return state.Exclusive(filepath.Join(s.dir, s.response+".restore.lock"), 0)
}

func (s *Store) addrLock() string { return filepath.Join(s.dir, s.response+".addr.lock") }
