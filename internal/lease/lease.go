// Package lease keeps on disk which program wants which address or account blocked, so that two
// responses on one target do not undo one another and nothing stays blocked for ever. A
// lease is (program, target) in the file of one response; the target is free when its last
// lease is gone.
//
// The file is an array of slots, one lease each (table.go, slot.go), found by way of an
// index beside it that is made anew whenever it is in doubt (index.go). View and Update
// take flock(2) on a sibling file. A damaged file is moved aside and a new one begun with
// what could be read of it. The package never decides whether a target is blocked: when it
// cannot do its work it returns why, and the caller blocks all the same.
package lease

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// DefaultWait is how long to wait for other processes before going on without.
const DefaultWait = 10 * time.Second

// State is how far a lease has come.
type State byte

// The states.
const (
	Held    State = iota // wanted, and blocked as far as is known
	Waiting              // wanted, and the block could not be made
	Lifting              // given back, and the block is yet to be lifted
)

func (s State) String() string {
	switch s {
	case Held:
		return "held"
	case Waiting:
		return "waiting"
	case Lifting:
		return "lifting"
	}
	return fmt.Sprintf("state %d", byte(s))
}

// Lease is one program's hold on a target. Texts that are too long for the file are cut off, but
// for Program and the name of an account, which is an error then.
type Lease struct {
	Target    target.Target // who is wanted blocked: an address or an account
	Net       netip.Prefix  // the network that is blocked for the address; zero: the address alone
	Program   string        // base name as invoked
	RuleID    string
	AlertID   string
	User      string    // of an account it is the account
	Reason    string    // a person's, or why it waits
	Since     time.Time // of the first add
	Renewed   time.Time // of the last one
	Until     time.Time // zero: not known
	Daemon    *Daemon   // nil: a person
	State     State
	Announced bool // of one that waits: a notice of its failure was queued
}

// Blocks returns what is blocked for the target.
func (l *Lease) Blocks() target.Target {
	if l.Net.IsValid() {
		return target.Network(l.Net)
	}
	return l.Target
}

// holdsNet reports whether l keeps a network blocked.
func (l *Lease) holdsNet() bool { return l.Net.IsValid() && l.State != Lifting }

// Store is the lease file of one response. It is opened for each call and is not kept open,
// so that no process holds up another. It is not safe for concurrent use.
type Store struct {
	path, response string     // of the folder, and of what in it
	dir            *state.Dir // nil until it is needed
	// Wait bounds the waiting for other processes in each call.
	Wait time.Duration
	// Now is the clock, for the name of a damaged file.
	Now func() time.Time
	// Durable has each Update end only when the leases that it took are on the disk, for blocks in
	// a file outlive a loss of power. What it gave back is only on its way there: it may be blocked
	// once more then, until maintain ends it. Without Durable changes outlive the process, and may
	// be lost with the power, as blocks in the kernel are.
	Durable bool

	faults []error
	bootID string
}

// New returns the store of the response in dir. Nothing is touched yet.
func New(dir, response string) *Store {
	return &Store{path: dir, response: response, Wait: DefaultWait, Now: time.Now}
}

// Path returns the path of the lease file.
func (s *Store) Path() string { return filepath.Join(s.path, s.file()) }

// Faults returns what went wrong on the way though the call succeeded, such as a damaged
// file that was moved aside; each fault once.
func (s *Store) Faults() []error { return s.faults }

func (s *Store) note(fault error) {
	if !slices.ContainsFunc(s.faults, func(old error) bool { return old.Error() == fault.Error() }) {
		s.faults = append(s.faults, fault)
	}
}

// View calls read with the leases as they are, and returns its error. Nobody can change them
// meanwhile, so read should not wait for anything. A missing file is an empty one.
func (s *Store) View(read func(*Tx) error) error {
	tx := &Tx{store: s}
	defer tx.close()
	if err := tx.openToRead(); err != nil {
		return fmt.Errorf("reading the leases: %w", err)
	}
	return read(tx)
}

// Update calls change, and writes what it did unless it returns an error, which is returned.
// No other process sees a part of it; when this one is killed while it writes, a part of many
// changes may be left, and each lease is the old or the new one. Changes are seen by all
// processes when Update returns.
func (s *Store) Update(change func(*Tx) error) error {
	tx := &Tx{store: s, writes: true}
	defer tx.close()
	if err := tx.openToWrite(); err != nil {
		return fmt.Errorf("changing the leases: %w", err)
	}
	if err := change(tx); err != nil {
		return err
	}
	if err := tx.commit(); err != nil {
		return fmt.Errorf("writing the leases: %w", err)
	}
	return nil
}

// openToRead locks and opens the file. A missing one leaves tx.table nil.
func (tx *Tx) openToRead() error {
	s := tx.store
	dir, err := s.open(state.OpenDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	tx.lock, err = dir.Shared(s.fileLock(), s.Wait)
	if err != nil && !errors.Is(err, unix.EROFS) { // nobody can write there, so nobody can be in the way
		return err
	}
	t, err := openTable(dir, s.file(), unix.O_RDONLY)
	if err != nil {
		t.close()
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	}
	tx.table = t
	return tx.openIndex(unix.O_RDONLY)
}

// openToWrite locks and opens the file. In the place of a missing or damaged one it begins
// another, which commit moves there.
func (tx *Tx) openToWrite() (err error) {
	s := tx.store
	dir, err := s.open(state.MakeDir)
	if err != nil {
		return err
	}
	if tx.lock, err = dir.Exclusive(s.fileLock(), s.Wait); err != nil {
		return err
	}
	tx.table, err = openTable(dir, s.file(), unix.O_RDWR)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = tx.begin()
	case errors.Is(err, ErrDamaged):
		return tx.salvage(err)
	}
	if err != nil {
		return err
	}
	err = tx.openIndex(unix.O_RDWR | unix.O_CREAT)
	if errors.Is(err, ErrDamaged) {
		return tx.salvage(err)
	}
	return err
}

// openIndex opens the index of the table, or makes it anew where it cannot be trusted.
func (tx *Tx) openIndex(flags int) error {
	s := tx.store
	x, err := openIndex(s.dir, s.index(), flags, tx.table, s.boot())
	tx.table.index = x
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errIndex), errors.Is(err, os.ErrNotExist):
	case tx.writes:
		s.note(fmt.Errorf("opening the index of the leases, without which calls are slower: %w", err))
	}
	return tx.table.buildIndex(s.boot())
}

// widest is the shortest prefix of a network that is blocked for an address, in bits.
const widest = 48

// lockPart is what LockTarget locks for t: of an IPv6 address the whole of what it may be blocked by.
func lockPart(t target.Target) target.Target {
	if t.Is6() {
		return target.Network(netip.PrefixFrom(t.Addr(), widest))
	}
	return t
}

// SameLock reports whether who holds the lock on a holds that on b too.
func SameLock(a, b target.Target) bool { return lockPart(a) == lockPart(b) }

// LockTarget makes all who change the block on t in this response, or on a network that it is in,
// go one by one.
func (s *Store) LockTarget(t target.Target) (*state.Lock, error) {
	dir, err := s.open(state.MakeDir)
	if err != nil {
		return nil, err
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, lockPart(t).String()) // a hash takes all
	return dir.LockSlot(s.targetLock(), h.Sum32(), s.Wait)
}

// LockAll waits for, and keeps out, everybody who changes any block of this response.
func (s *Store) LockAll() (*state.Lock, error) {
	dir, err := s.open(state.MakeDir)
	if err != nil {
		return nil, err
	}
	return dir.LockAll(s.targetLock(), s.Wait)
}

// open opens the folder, once: all files are reached by way of that one.
func (s *Store) open(open func(path string) (*state.Dir, error)) (dir *state.Dir, err error) {
	if s.dir == nil {
		s.dir, err = open(s.path)
	}
	return s.dir, err
}

func (s *Store) file() string       { return s.response + ".db" }
func (s *Store) targetLock() string { return s.response + ".target.lock" }
func (s *Store) fileLock() string   { return s.file() + ".lock" }
func (s *Store) index() string      { return s.file() + ".index" }
func (s *Store) fresh() string      { return s.file() + ".new" }

// boot returns this boot's id, read once.
func (s *Store) boot() string {
	if s.bootID == "" {
		s.bootID = ossec.BootID("/proc")
	}
	return s.bootID
}
