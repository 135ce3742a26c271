package lease

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/filelock"
	"github.com/ossec-ar/ossec-ar/internal/statedir"
)

// errDamaged marks a lease file that cannot be used as it is and never will be again.
var errDamaged = errors.New("the lease file is damaged")

// update runs change in one synced transaction. A damaged file is moved aside, told
// in Faults, and change runs once more on a new one.
func (s *Store) update(change func(*bolt.Tx) error) error {
	if err := statedir.Make(s.dir); err != nil {
		return err
	}
	lock, err := filelock.Exclusive(s.fileLock(), s.Wait)
	if err != nil {
		return err
	}
	defer lock.Release()
	err = s.transact(change)
	if !errors.Is(err, errDamaged) {
		return err
	}
	if err := s.moveAside(err); err != nil {
		return err
	}
	return s.transact(change)
}

// view runs read in a read-only transaction. A missing file is an empty one.
func (s *Store) view(read func(*bolt.Tx) error) error {
	if err := statedir.Check(s.dir); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	lock, err := filelock.Shared(s.fileLock(), s.Wait)
	if errors.Is(err, unix.EROFS) {
		err = nil // nobody can write there, so nobody can be in the way
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	return guard(func(open openFile) error {
		if err := s.plain(); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		db, err := bolt.Open(s.Path(), 0o600, &bolt.Options{ReadOnly: true, Timeout: s.Wait, OpenFile: open})
		if err != nil {
			return err
		}
		err = db.View(whole(read))
		closeInto(db, &err)
		return err
	})
}

// whole lets work run only when the buckets are there.
func whole(work func(*bolt.Tx) error) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		if tx.Bucket(leaseBucket) == nil || tx.Bucket(metaBucket) == nil {
			return fmt.Errorf("%w: it has no leases in it", errDamaged)
		}
		return work(tx)
	}
}

func (s *Store) fileLock() string { return s.Path() + ".lock" }

func (s *Store) transact(change func(*bolt.Tx) error) error {
	return guard(func(open openFile) error {
		err := s.plain()
		if errors.Is(err, os.ErrNotExist) {
			err = s.create(open)
		}
		if err != nil {
			return err
		}
		db, err := openForWriting(s.Path(), open)
		if err != nil {
			return err
		}
		err = db.Update(whole(change))
		closeInto(db, &err)
		return err
	})
}

// plain checks that the file is one that we made. An empty one is damaged: bbolt
// would take it for a new one and nobody would hear that the leases are gone. So is one
// of less than two pages, for which bbolt has no error that can be told from others.
func (s *Store) plain() error {
	info, err := os.Lstat(s.Path())
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no plain file", errDamaged, s.Path())
	case info.Size() == 0:
		return fmt.Errorf("%w: it is empty", errDamaged)
	case info.Size() < int64(2*os.Getpagesize()):
		return fmt.Errorf("%w: it is cut off", errDamaged)
	}
	return nil
}

// create makes the file under another name first, so that a process that is killed
// meanwhile leaves no half-made one.
func (s *Store) create(open openFile) error {
	fresh := s.Path() + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := openForWriting(fresh, open)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(leaseBucket)
		if err == nil {
			_, err = tx.CreateBucket(metaBucket)
		}
		return err
	})
	closeInto(db, &err)
	if err != nil {
		return err
	}
	return os.Rename(fresh, s.Path())
}

// openForWriting leaves little time for bbolt's own lock: behind ours nobody else is there.
func openForWriting(path string, open openFile) (*bolt.DB, error) {
	return bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, OpenFile: open})
}

// closeInto is called in straight line and never deferred: after a panic the locks
// inside db may still be held, and closing it would wait for ever.
func closeInto(db *bolt.DB, err *error) {
	if cerr := db.Close(); *err == nil && cerr != nil {
		*err = fmt.Errorf("closing the lease file: %w", cerr)
	}
}

// openFile is how bbolt opens a file.
type openFile func(path string, flag int, mode os.FileMode) (*os.File, error)

// guard turns what bbolt does on a damaged file into errDamaged: its errors, its
// panics, and the fault that reading beyond a cut-off memory map is.
// After a panic it gives up bbolt's lock on the file, which would stand in the way of this
// process's next call.
func guard(work func(openFile) error) (err error) {
	var opened *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if opened != nil {
				_ = unix.Flock(int(opened.Fd()), unix.LOCK_UN) // closing does not suffice: the memory map holds the file
				_ = opened.Close()
			}
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	err = work(func(path string, flag int, mode os.FileMode) (file *os.File, err error) {
		opened, err = os.OpenFile(path, flag, mode)
		return opened, err
	})
	for _, broken := range []error{bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum, bolterrors.ErrInvalidMapping} {
		if errors.Is(err, broken) {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	return err
}

// keepDamaged is how many damaged files are kept for somebody to look at.
const keepDamaged = 5

func (s *Store) moveAside(cause error) error {
	aside := fmt.Sprintf("%s.damaged-%s", s.Path(), s.Now().UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(s.Path(), aside); err != nil {
		return fmt.Errorf("moving the damaged lease file aside: %w (it is damaged: %w)", err, cause)
	}
	s.faults = append(s.faults, fmt.Errorf("%w; it was moved to %s and the leases in it are forgotten", cause, aside))
	old, _ := filepath.Glob(s.Path() + ".damaged-*") // the pattern is well-formed
	for len(old) > keepDamaged {
		if err := os.RemoveAll(old[0]); err != nil {
			s.faults = append(s.faults, fmt.Errorf("removing an old damaged lease file: %w", err))
		}
		old = old[1:]
	}
	return nil
}
