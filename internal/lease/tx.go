package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Tx is the leases during one View or Update, which see and change them by it.
type Tx struct {
	store  *Store
	lock   *state.Lock
	table  *table // nil where there is no file to read
	writes bool
	taken  bool // a lease was put that is not on its way out

	fresh  bool  // the table is a new file, not in its place yet
	damage error // what is wrong with the old one, which is moved aside
	saved  int   // leases of the old one
}

var errReadOnly = errors.New("the leases are only read here")

// On returns the leases on a target, in order of program.
func (tx *Tx) On(t target.Target) (leases []Lease, err error) {
	if tx.table == nil {
		return nil, nil
	}
	err = tx.mended(func() error {
		on, err := tx.table.on(t)
		leases = make([]Lease, len(on))
		for i, p := range on {
			leases[i] = p.Lease
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the leases on %s: %w", t, err)
	}
	return leases, nil
}

// Holders returns how many leases want what is blocked to stay so. It takes the same time however
// many there are on a network.
func (tx *Tx) Holders(block target.Target) (n int, err error) {
	if tx.table == nil {
		return 0, nil
	}
	if block.Account() == "" && !block.IsSingle() {
		err = tx.mended(func() error {
			count, _ := tx.table.index.holders(block)
			n = int(count)
			return tx.table.index.err
		})
		return n, err
	}
	on, err := tx.On(block)
	for _, l := range on {
		if l.State != Lifting && !l.Net.IsValid() {
			n++
		}
	}
	return n, err
}

// Lifting returns blocks that some process is lifting and nobody wants any more: of many the first.
func (tx *Tx) Lifting() (blocks []target.Target, err error) {
	if tx.table == nil {
		return nil, nil
	}
	for _, slot := range slices.Clone(tx.table.index.header.lifting) {
		l, used, err := tx.table.read(slot)
		if err != nil || !used || l.State != Lifting {
			continue // the list of them is only a help
		}
		holders, err := tx.Holders(l.Blocks())
		if err != nil {
			return nil, err
		}
		if holders == 0 {
			blocks = append(blocks, l.Blocks())
		}
	}
	return blocks, nil
}

// Put takes a lease, or changes the one that its program has on its target.
func (tx *Tx) Put(l Lease) error {
	err := errReadOnly
	if tx.writes {
		tx.taken = tx.taken || l.State != Lifting
		err = tx.mended(func() error { return tx.table.put(l, tx.store.boot()) })
	}
	if err != nil {
		return fmt.Errorf("taking the lease on %s: %w", l.Target, err)
	}
	return nil
}

// Delete ends the lease of program on a target. None is no error.
func (tx *Tx) Delete(t target.Target, program string) error {
	err := errReadOnly
	if tx.writes {
		err = tx.mended(func() error { return tx.table.end(t, program) })
	}
	if err != nil {
		return fmt.Errorf("ending the lease on %s: %w", t, err)
	}
	return nil
}

// Count returns how many leases there are on IPv6 addresses, or on all else. It looks at none.
func (tx *Tx) Count(v6 bool) int {
	if tx.table == nil {
		return 0
	}
	return int(tx.table.index.header.live[familyOf(v6)])
}

// All calls yield with each lease, in no set order, until it returns an error, which is returned. With
// another error it may have been called with some leases. In an Update yield may Put and Delete:
// what it deletes is not visited any more, what it puts on other targets may be.
func (tx *Tx) All(yield func(Lease) error) error {
	if tx.table == nil {
		return nil
	}
	var err, stopped error
	if tx.writes { // what is damaged is mended before anything is changed
		err = tx.mended(func() error { return tx.table.each(func(uint32, Lease) error { return nil }) })
	}
	if err == nil {
		err = tx.table.each(func(_ uint32, l Lease) error {
			stopped = yield(l)
			return stopped
		})
	}
	if err != nil && stopped == nil {
		return fmt.Errorf("reading the leases: %w", err)
	}
	return err
}

// mended runs work, and once more where the index or the file was found to be wrong and
// could be mended.
func (tx *Tx) mended(work func() error) error {
	err := work()
	if errors.Is(err, errIndex) {
		if err = tx.table.buildIndex(tx.store.boot()); err == nil {
			return work()
		}
	}
	if !errors.Is(err, ErrDamaged) || !tx.writes {
		return err
	}
	if err := tx.salvage(err); err != nil {
		return err
	}
	return work()
}

// begin has tx go on with an empty new file.
func (tx *Tx) begin() error {
	fresh, err := createTable(tx.store.dir, tx.store.fresh())
	if err != nil {
		return err
	}
	if old := tx.table; old != nil {
		fresh.index, old.index = old.index, nil
		old.close()
	}
	tx.table, tx.fresh = fresh, true
	if fresh.index != nil {
		fresh.index.reset(fresh, tx.store.boot())
	}
	return nil
}

// salvage has tx go on with a new file that holds what can still be read of the damaged one.
func (tx *Tx) salvage(cause error) error {
	var saved []Lease
	if tx.table != nil {
		keep := func(_ uint32, l Lease) error {
			saved = append(saved, l)
			return nil
		}
		if _, err := tx.table.scan(keep); err != nil {
			saved = nil // what a failing disk does not give is lost
		}
	}
	if err := tx.begin(); err != nil {
		return err
	}
	if tx.table.index == nil {
		if err := tx.openIndex(unix.O_RDWR | unix.O_CREAT); err != nil {
			return err
		}
	}
	// Should a lease stand twice, the later one counts.
	slices.SortStableFunc(saved, func(a, b Lease) int { return a.Renewed.Compare(b.Renewed) })
	for _, l := range saved {
		if err := tx.table.put(l, tx.store.boot()); err != nil {
			return err
		}
	}
	tx.damage, tx.saved = cause, len(saved)
	return nil
}

// commit writes what was changed, lets other processes go on, and syncs.
func (tx *Tx) commit() error {
	t := tx.table
	changed := len(t.pending) > 0 || tx.damage != nil
	if !changed && (tx.fresh || !t.index.built) {
		return nil
	}
	fault := t.index.begin()
	if err := t.write(); err != nil {
		return err
	}
	if tx.fresh {
		if err := tx.place(); err != nil {
			return err
		}
		tx.fresh = false
	}
	ctime, err := t.changeTime()
	if err != nil {
		return err
	}
	if fault == nil {
		fault = t.index.finish(ctime)
	}
	if s := tx.store; fault != nil {
		s.note(fmt.Errorf("writing %s, which only makes calls slower: %w", s.dir.Path(s.index()), fault))
	}
	tx.unlock()
	switch {
	case !changed || !tx.store.Durable:
		return nil
	case tx.taken || tx.damage != nil:
		return t.sync()
	}
	_ = unix.SyncFileRange(t.fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE) // nobody waits for it
	return nil
}

// place moves a new file into its place.
func (tx *Tx) place() error {
	if err := tx.table.sync(); err != nil {
		return err
	}
	if tx.damage != nil {
		if err := tx.moveAside(); err != nil {
			return err
		}
	}
	s := tx.store
	if err := s.dir.Rename(s.fresh(), s.file()); err != nil {
		return err
	}
	return s.dir.Sync()
}

// moveAside keeps the damaged file for somebody to look at.
func (tx *Tx) moveAside() error {
	s := tx.store
	aside := fmt.Sprintf("%s.damaged-%s", s.file(), s.Now().UTC().Format("20060102T150405.000000000"))
	if err := s.dir.Rename(s.file(), aside); err != nil {
		return fmt.Errorf("moving the damaged lease file aside: %w (it is damaged: %w)", err, tx.damage)
	}
	fate := "the leases in it are forgotten"
	if tx.saved > 0 {
		fate = fmt.Sprintf("%d leases in it were still to be read and are kept, any others are forgotten",
			tx.saved)
	}
	s.note(fmt.Errorf("%w; it was moved to %s and %s", tx.damage, s.dir.Path(aside), fate))
	if err := s.forgetOld(); err != nil {
		s.note(fmt.Errorf("removing an old damaged lease file: %w", err))
	}
	return nil
}

// forgetOld keeps the last few damaged files.
func (s *Store) forgetOld() error {
	const most = 5
	root, err := state.OpenRoot(s.path)
	if err != nil {
		return err
	}
	defer root.Close() // only looked into
	old, err := fs.Glob(root.FS(), s.file()+".damaged-*")
	for ; err == nil && len(old) > most; old = old[1:] {
		err = root.RemoveAll(old[0])
	}
	return err
}

func (tx *Tx) unlock() {
	tx.lock.Release()
	tx.lock = nil
}

func (tx *Tx) close() {
	tx.table.close()
	if tx.fresh {
		_ = tx.store.dir.Remove(tx.store.fresh()) // else the next one does
	}
	tx.unlock()
}
