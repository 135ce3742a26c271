package lease_test

import (
	"slices"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestLifting: blocks that are being lifted are found, also by other processes, unless somebody wants
// them or they are lifted by now, and also of more than are noted.
func TestLifting(t *testing.T) {
	s := newStore(t)
	lifting := func(want ...target.Target) {
		t.Helper()
		var got []target.Target
		err := another(s).View(func(tx *lease.Tx) (err error) {
			got, err = tx.Lifting()
			return err
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("being lifted: %v, want %v (%v)", got, want, err)
		}
	}
	lifting()
	first, second := taken(numbered(0, 1), "a", 0), taken(numbered(0, 2), "a", 0)
	mustPut(t, s, first, second, taken(numbered(0, 3), "a", 0))
	lifting()
	first.State, second.State = lease.Lifting, lease.Lifting
	mustPut(t, s, first, second)
	lifting(first.Target, second.Target)
	mustPut(t, s, taken(second.Target, "b", 1)) // somebody else wants it
	lifting(first.Target)
	mustEnd(t, s, taken(second.Target, "b", 1))
	lifting(first.Target, second.Target)
	first.State = lease.Held
	mustPut(t, s, first)
	lifting(second.Target)
	mustEnd(t, s, second)
	lifting()
	var many []lease.Lease
	for i := range 200 {
		l := taken(numbered(1, i), "a", 0)
		l.State = lease.Lifting
		many = append(many, l)
	}
	mustPut(t, s, many...)
	mustEnd(t, s, many[1:]...)
	lifting(many[0].Target)
}
