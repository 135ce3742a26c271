package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
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
	Narrow  []Never         // leased networks, in which an entry of the whitelist lies by now

	waiting map[target.Target]bool // of what a lease waits to be blocked
}

// Never is a leased target that is on the whitelist, or a network with a part of it.
type Never struct {
	Target target.Target
	By     string // the entry
}

// once returns each target once, in order.
func once(all []Never) []Never {
	slices.SortStableFunc(all, func(a, b Never) int { return a.Target.Compare(b.Target) })
	return slices.CompactFunc(all, func(a, b Never) bool { return a.Target == b.Target })
}

// None reports whether nothing differs.
func (d Difference) None() bool {
	return len(d.Place)+len(d.Missing)+len(d.Extra)+len(d.Never)+len(d.Narrow) == 0
}

// Whitelisted returns the whitelist entry that covers an address, or a part of a network.
type Whitelisted func(target.Target) (entry string, covered bool)

// Compare returns what differs. It changes nothing.
func (h *Holder) Compare(ctx context.Context, never Whitelisted) (Difference, error) {
	d := Difference{waiting: map[target.Target]bool{}}
	stands, faults, err := standingIn(ctx, h.Enforcer)
	if err != nil {
		return d, err
	}
	d.Place = faults
	err = h.Leases.Each(func(l lease.Lease) error {
		if l.State != lease.Lifting {
			d.add(l, stands, never)
		}
		return nil
	})
	if err == nil {
		slices.SortFunc(d.Missing, target.Target.Compare)
		d.Missing = slices.Compact(d.Missing)
		d.Never, d.Narrow = once(d.Never), once(d.Narrow)
		err = h.lookAgain(ctx, &d)
	}
	if err != nil || h.Kind.Mixed() { // there a line that nobody leases may be the administrator's own
		return d, err
	}
	for i, b := range stands.blocks {
		if !stands.leased[i] && !b.Shared {
			d.Extra = append(d.Extra, b.Target)
		}
	}
	return d, nil
}

// add compares what a lease wants with what stands.
func (d *Difference) add(l lease.Lease, stands standing, never Whitelisted) {
	block := l.Blocks()
	at, stood := stands.find(block)
	if stood {
		stands.leased[at] = true
	}
	if l.State == lease.Waiting {
		d.waiting[block] = true
	}
	entry, covered := never(l.Target)
	if stood && !covered && stands.blocks[at].Never != "" {
		entry, covered = stands.blocks[at].Never, true
	}
	if covered {
		d.Never = append(d.Never, Never{l.Target, entry})
		return
	}
	if l.Net.IsValid() {
		if entry, inside := never(block); inside {
			d.Narrow = append(d.Narrow, Never{block, entry})
			return
		}
	}
	if l.State == lease.Waiting || !stood || stands.blocks[at].Open != "" {
		d.Missing = append(d.Missing, block)
	}
}

// lookAgain takes out of what is missing what calls have blocked since it was listed. What a lease
// waits for stays, though it may stand by now: it has to be marked and reported.
func (h *Holder) lookAgain(ctx context.Context, d *Difference) error {
	if len(d.Missing) == 0 {
		return nil
	}
	stands, _, err := standingIn(ctx, h.Enforcer)
	if err != nil {
		return err
	}
	d.Missing = slices.DeleteFunc(d.Missing, func(block target.Target) bool {
		return stands.open(block) == "" && !d.waiting[block]
	})
	return nil
}

// standing is what stands.
type standing struct {
	blocks []enforcer.Block // in order of target
	leased []bool           // somebody wants it
}

// find returns where a target stands.
func (s standing) find(t target.Target) (at int, stands bool) {
	return slices.BinarySearchFunc(s.blocks, t, func(b enforcer.Block, t target.Target) int {
		return b.Target.Compare(t)
	})
}

// open returns why packets of a target come by, "" where it stands and none does.
func (s standing) open(t target.Target) string {
	at, stands := s.find(t)
	if !stands {
		return "somebody removed it"
	}
	return s.blocks[at].Open
}

// standingIn returns what stands and what is wrong with its place.
func standingIn(ctx context.Context, e enforcer.Enforcer) (standing, []string, error) {
	listing, err := e.List(ctx)
	slices.SortFunc(listing.Blocks, func(a, b enforcer.Block) int { return a.Target.Compare(b.Target) })
	return standing{listing.Blocks, make([]bool, len(listing.Blocks))}, listing.Faults, err
}

// Repaired is what Repair changed.
type Repaired struct {
	Place   []string
	Blocked []target.Target
	// Waited holds those of Blocked that could not be blocked before.
	Waited map[target.Target]bool
	Lifted []target.Target // that nobody leased
	Never  []Never         // that are on the whitelist
	// Narrowed are networks in whose place their leased addresses are blocked.
	Narrowed []Never
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
		released, err := h.release(ctx, n.Target, anybody, nil)
		b.failed.Add(errors.Join(err, released.LeaseErr))
		if err == nil {
			r.Never = append(r.Never, n)
		}
	}
	for _, n := range d.Narrow {
		if err := b.narrow(n.Target); err != nil {
			b.failed.Add(fmt.Errorf("blocking addresses in the place of %s: %w", n.Target, err))
			continue
		}
		r.Narrowed = append(r.Narrowed, n)
	}
	r.Blocked, r.Waited = b.blockLeased(d.Missing), d.waiting
	b.failed.Add(b.markHeld(r.Blocked, d.waiting))
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
	b.failed.Add(b.markHeld(b.blockLeased(d.Missing), d.waiting))
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
