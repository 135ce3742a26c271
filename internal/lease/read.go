package lease

import (
	"cmp"
	"errors"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Each calls visit with every lease, in no set order, until it returns an error, which is returned.
// With another error it may have been called with some. Meanwhile nobody can change the leases.
func (s *Store) Each(visit func(Lease) error) error {
	return s.View(func(tx *Tx) error { return tx.All(visit) })
}

// All returns every lease, in order of target and program.
func (s *Store) All() (all []Lease, err error) {
	err = s.Each(func(l Lease) error {
		all = append(all, l)
		return nil
	})
	slices.SortFunc(all, Lease.Compare)
	return all, err
}

// Compare puts leases in order of target and program.
func (l Lease) Compare(other Lease) int {
	return cmp.Or(l.Target.Compare(other.Target), cmp.Compare(l.Program, other.Program))
}

// Salvage moves a damaged lease file aside, as any change of the leases does, and keeps what can
// still be read of it.
func (s *Store) Salvage() error {
	nothing := func(Lease) error { return nil }
	err := s.Each(nothing)
	if errors.Is(err, ErrDamaged) {
		err = s.Update(func(tx *Tx) error { return tx.All(nothing) })
	}
	return err
}

// On returns the leases on one target.
func (s *Store) On(t target.Target) (on []Lease, err error) {
	err = s.View(func(tx *Tx) error {
		on, err = tx.On(t)
		return err
	})
	return on, err
}
