package hold

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Difference is what differs between what is wanted and what is in force.
type Difference struct {
	Place   []string        // what is wrong with the place that the blocks live in
	Missing []target.Target // leased, not in force
	Extra   []target.Target // in force, leased by nobody
	Never   []Never         // leased, and on the whitelist by now
}

// Never is a leased target that is on the whitelist.
type Never struct {
	Target target.Target
	By     string // the entry
}

// None reports whether nothing differs.
func (d Difference) None() bool {
	return len(d.Place)+len(d.Missing)+len(d.Extra)+len(d.Never) == 0
}

// Whitelisted returns the whitelist entry that covers a target.
type Whitelisted func(target.Target) (entry string, covered bool)

// Compare returns what differs. It changes nothing.
func (h *Holder) Compare(ctx context.Context, never Whitelisted) (Difference, error) {
	var d Difference
	stands, faults, err := h.standing(ctx) // those that nobody leases, in the end
	if err != nil {
		return d, err
	}
	d.Place = faults
	var last target.Target
	err = h.Each(func(l lease.Lease) error { // in order of address
		if l.Target == last || l.State == lease.Lifting {
			return nil
		}
		last = l.Target
		if entry, covered := never(l.Target); covered {
			d.Never = append(d.Never, Never{l.Target, entry})
		} else if !stands.inForce(l.Target) {
			d.Missing = append(d.Missing, l.Target)
		}
		delete(stands, l.Target)
		return nil
	})
	if err == nil {
		err = h.lookAgain(ctx, &d)
	}
	if err != nil || h.Kind.InFile { // there a line that nobody leases may be the administrator's own
		return d, err
	}
	d.Extra = slices.SortedFunc(maps.Keys(stands), target.Target.Compare)
	return d, nil
}

// lookAgain takes out of what is missing what calls have blocked since it was listed.
func (h *Holder) lookAgain(ctx context.Context, d *Difference) error {
	if len(d.Missing) == 0 {
		return nil
	}
	stands, _, err := h.standing(ctx)
	if err != nil {
		return err
	}
	d.Missing = slices.DeleteFunc(d.Missing, stands.inForce)
	return nil
}

// standing is what stands, each address with why packets come by, "" where none does.
type standing map[target.Target]string

// inForce reports whether an address stands and no packet comes by.
func (s standing) inForce(addr target.Target) bool {
	open, stands := s[addr]
	return stands && open == ""
}

// standing returns what stands and what is wrong with its place.
func (h *Holder) standing(ctx context.Context) (standing, []string, error) {
	listing, err := h.Enforcer.List(ctx)
	stands := make(standing, len(listing.Blocks))
	for _, b := range listing.Blocks {
		stands[b.Target] = b.Open
	}
	return stands, listing.Faults, err
}

// Repaired is what Repair changed.
type Repaired struct {
	Place   []string
	Blocked []target.Target
	// Waited holds those of Blocked that could not be blocked before.
	Waited map[target.Target]bool
	Lifted []target.Target // that nobody leased
	Never  []Never         // that are on the whitelist
	// Found is what differed before.
	Found Difference
}

// ErrBusy says that another process repairs this response.
var ErrBusy = errors.New("another process is repairing it")

// Repair makes the host match what is wanted. One address that cannot be blocked does not keep
// the others from it. Of two at once the second returns ErrBusy.
func (h *Holder) Repair(ctx context.Context, never Whitelisted) (Repaired, error) {
	var r Repaired
	lock, err := h.lockRepair()
	if err != nil {
		return r, err
	}
	defer lock.Release()
	d, err := h.Compare(ctx, never)
	r.Found = d
	if err != nil || d.None() {
		return r, err
	}
	b := batch{Holder: h, ctx: ctx}
	if len(d.Place) > 0 {
		if r.Place, err = h.Enforcer.Mend(ctx); err != nil {
			b.failed.Add(err)
		} else if d, err = h.Compare(ctx, never); err != nil {
			return r, err
		}
	}
	for _, n := range d.Never {
		released, err := h.Free(ctx, n.Target)
		b.failed.Add(errors.Join(err, released.LeaseErr))
		if err == nil {
			r.Never = append(r.Never, n)
		}
	}
	r.Blocked, r.Waited = b.blockLeased(d.Missing)
	r.Lifted = b.liftUnleased(d.Extra)
	return r, b.failed.All()
}

// PutBack blocks again what is leased and not in force, after a call found that its place was
// gone. Another process that is at it does the same.
func (h *Holder) PutBack(ctx context.Context) error {
	lock, err := h.lockRepair()
	if errors.Is(err, ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	d, err := h.Compare(ctx, func(target.Target) (string, bool) { return "", false })
	if err != nil {
		return err
	}
	b := batch{Holder: h, ctx: ctx}
	b.blockLeased(d.Missing)
	return b.failed.All()
}

// lockRepair takes the lock of the one process that compares and mends, without waiting.
func (h *Holder) lockRepair() (*state.Lock, error) {
	dir, err := state.MakeDir(h.Home.State())
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	lock, err := dir.Exclusive(h.Kind.Name+".repair.lock", 0)
	if errors.Is(err, state.ErrLocked) {
		err = ErrBusy
	}
	return lock, err
}
