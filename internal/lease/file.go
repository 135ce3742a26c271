package lease

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// change runs work on the file, with room for that many more leases. What work did is in
// force for all processes when change returns, and on the disk when settle does.
func (s *Store) change(more int, work func(*table) error) (settle func() error) {
	t, err := s.changed(more, work)
	if err != nil {
		t.close()
		return func() error { return err }
	}
	t.startSync()
	return sync.OnceValue(func() error {
		defer t.close()
		return t.sync()
	})
}

// update is change that has settled.
func (s *Store) update(more int, work func(*table) error) error { return s.change(more, work)() }

// changed runs work and writes what it did, for all other processes to see; the table is to
// be synced and closed. A damaged file is moved aside, told in Faults, and work runs on a new
// one that holds what could be saved.
func (s *Store) changed(more int, work func(*table) error) (*table, error) {
	if err := state.MakeDir(s.dir); err != nil {
		return nil, err
	}
	lock, err := state.Exclusive(s.fileLock(), s.Wait)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	t, err := s.transact(more, work)
	if !errors.Is(err, ErrDamaged) {
		return t, err
	}
	err = s.replace(t, err)
	t.close()
	if err != nil {
		return nil, err
	}
	return s.transact(more, work)
}

// transact opens the file, runs work and writes what it did. The table that it returns is
// to be closed, with an error too.
func (s *Store) transact(more int, work func(*table) error) (*table, error) {
	t, err := openTable(s.Path(), unix.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		if err := createTable(s.Path(), nil); err != nil {
			return nil, err
		}
		t, err = openTable(s.Path(), unix.O_RDWR)
	}
	if err != nil {
		return t, err
	}
	err = s.openIndex(t, unix.O_RDWR|unix.O_CREAT)
	if err == nil {
		err = t.reserve(more, s.boot())
	}
	if err == nil {
		err = work(t)
	}
	if errors.Is(err, errIndex) { // it looked sound, and is not
		if err = t.buildIndex(s.boot()); err == nil {
			err = t.reserve(more, s.boot())
		}
		if err == nil {
			err = work(t)
		}
	}
	if err != nil {
		return t, err
	}
	fault, err := t.commit()
	if fault != nil {
		s.faults = append(s.faults, fmt.Errorf("writing %s, which only makes calls slower: %w", s.indexPath(), fault))
	}
	return t, err
}

// openIndex opens the index of a table, or makes it anew where it cannot be trusted.
func (s *Store) openIndex(t *table, flags int) error {
	x, err := openIndex(s.indexPath(), flags, t, s.boot())
	t.index = x
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errIndex), errors.Is(err, os.ErrNotExist):
	case flags&unix.O_CREAT != 0:
		s.faults = append(s.faults, fmt.Errorf("opening the index of the leases, without which calls are slower: %w", err))
	}
	return t.buildIndex(s.boot())
}

// view runs read on the file as it is. A missing file is an empty one, for which read is
// not called.
func (s *Store) view(read func(*table) error) error {
	if err := state.CheckDir(s.dir); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	lock, err := state.Shared(s.fileLock(), s.Wait)
	if errors.Is(err, unix.EROFS) {
		err = nil // nobody can write there, so nobody can be in the way
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	t, err := openTable(s.Path(), unix.O_RDONLY)
	defer t.close()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return read(t)
}

// indexed is a view by way of the index.
func (s *Store) indexed(read func(*table) error) error {
	return s.view(func(t *table) error {
		err := s.openIndex(t, unix.O_RDONLY)
		if err == nil {
			err = read(t)
		}
		if errors.Is(err, errIndex) {
			if err = t.buildIndex(s.boot()); err == nil {
				err = read(t)
			}
		}
		return err
	})
}

func (s *Store) fileLock() string  { return s.Path() + ".lock" }
func (s *Store) indexPath() string { return s.Path() + ".index" }

// boot returns this boot's id, read once.
func (s *Store) boot() string {
	if s.bootID == "" {
		s.bootID = Boot("/proc")
	}
	return s.bootID
}

// replace moves the damaged file aside and begins a new one with what can still be read
// of it. t is nil when nothing can.
func (s *Store) replace(t *table, cause error) error {
	var saved []Lease
	if t != nil {
		if _, err := t.scan(func(_ uint32, l Lease) { saved = append(saved, l) }); err != nil {
			saved = nil // what a failing disk does not give is lost
		}
	}
	aside := fmt.Sprintf("%s.damaged-%s", s.Path(), s.Now().UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(s.Path(), aside); err != nil {
		return fmt.Errorf("moving the damaged lease file aside: %w (it is damaged: %w)", err, cause)
	}
	fate := "the leases in it are forgotten"
	if len(saved) > 0 {
		fate = fmt.Sprintf("%d leases in it were still to be read and are kept, any others are forgotten", len(saved))
	}
	s.faults = append(s.faults, fmt.Errorf("%w; it was moved to %s and %s", cause, aside, fate))
	s.keepFew()
	if len(saved) == 0 {
		return nil
	}
	return createTable(s.Path(), saved)
}

// keepDamaged is how many damaged files are kept for somebody to look at.
const keepDamaged = 5

func (s *Store) keepFew() {
	old, _ := filepath.Glob(s.Path() + ".damaged-*") // the pattern is well-formed
	for len(old) > keepDamaged {
		if err := os.RemoveAll(old[0]); err != nil {
			s.faults = append(s.faults, fmt.Errorf("removing an old damaged lease file: %w", err))
		}
		old = old[1:]
	}
}
