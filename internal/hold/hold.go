// Package hold keeps the leases of one response and its enforcer in step: what is leased
// is blocked, and what nobody leases any more is free. Take and Release serve one call about
// one address; Repair compares everything that is wanted with everything that is in force.
//
// Protection comes first: when the leases cannot be read or written, the block is still made
// and still lifted, and the fault is returned beside the result. The package logs nothing.
package hold

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Holder is one response's leases and enforcer.
type Holder struct {
	Kind     enforcer.Kind
	Enforcer enforcer.Enforcer
	Leases   *lease.Store
	Home     ossec.Home
	Now      func() time.Time
	Proc     string // where procfs is mounted

	// OrphanTimeout is how long a lease lasts whose daemon is gone; zero means as long as
	// ar.conf lets its response last.
	OrphanTimeout time.Duration
}

// Options are what Open needs beside the kind.
type Options struct {
	Home     ossec.Home
	Settings config.Config
	Now      func() time.Time
	Proc     string
	// ReadOnly keeps Open from making the state folder.
	ReadOnly bool
}

// Open returns the holder of one response. Nothing but the state folder is made.
func Open(kind enforcer.Kind, o Options) (*Holder, error) {
	store := lease.New(o.Home.State(), kind.Name)
	store.Wait, store.Now, store.Durable = o.Settings.Lease.LockTimeout.Duration, o.Now, kind.InFile
	open := state.MakeDir
	if o.ReadOnly {
		open = state.OpenDir
	}
	path := ""
	if dir, err := open(o.Home.State()); err == nil { // the leases say why not
		dir.Close()
		path = o.Home.State()
	}
	e, err := kind.New(o.Settings, path)
	if err != nil {
		return nil, err
	}
	return &Holder{
		Kind: kind, Enforcer: e, Leases: store, Home: o.Home, Now: o.Now, Proc: o.Proc,
		OrphanTimeout: o.Settings.Lease.OrphanTimeout.Duration,
	}, nil
}

// Taken is what came of Take.
type Taken struct {
	enforcer.Outcome
	// Renewed reports that the program held the address already.
	Renewed bool
	// LeaseErr is what the leases suffered; the block does not depend on it.
	LeaseErr error
}

// Take leases an address and blocks it. The error is nil only when the block stands. A lease
// whose block could not be made stays and waits, so that Repair tries again; of what the enforcer
// refuses (enforcer.Refused) none stays.
func (h *Holder) Take(ctx context.Context, l lease.Lease) (Taken, error) {
	var t Taken
	lock, busy := h.Leases.LockTarget(l.Target)
	defer lock.Release()
	known, renewed, err := h.take(&l) // also beside one that holds the lock for too long: what has no lease does not last
	leased := err == nil
	t.Renewed, t.LeaseErr = renewed, cmp.Or(err, busy)
	if busy != nil {
		known = enforcer.Unknown
	}
	t.Outcome, err = h.Enforcer.Block(ctx, l.Target, known)
	if errors.Is(err, enforcer.ErrFull) && h.makeRoom(ctx, l.Target) {
		t.Outcome, err = h.Enforcer.Block(ctx, l.Target, enforcer.Unknown)
	}
	if err == nil || !leased {
		return t, err
	}
	var refused *enforcer.Refused
	if errors.As(err, &refused) {
		t.LeaseErr = cmp.Or(h.Leases.Update(func(tx *lease.Tx) error { return tx.Delete(l.Target, l.Program) }), busy)
		return t, err
	}
	l.State, l.Reason = lease.Waiting, err.Error()
	t.LeaseErr = cmp.Or(h.Leases.Update(func(tx *lease.Tx) error { return tx.Put(l) }), busy)
	return t, err
}

// take writes the lease down and returns what the leases know of its address.
func (h *Holder) take(l *lease.Lease) (known enforcer.Known, renewed bool, err error) {
	err = h.Leases.Update(func(tx *lease.Tx) error {
		on, err := tx.On(l.Target)
		if err != nil {
			return err
		}
		known = enforcer.Known{Leased: len(on) > 0, Others: tx.Count(l.Target.Is6()) - len(on)}
		for _, old := range on {
			if old.Program == l.Program && old.State != lease.Lifting {
				l.Since, renewed = old.Since, old.State == lease.Held
				if l.Daemon == nil && l.Until.IsZero() {
					l.Until = old.Until
				}
			}
		}
		return tx.Put(*l)
	})
	if err != nil {
		return enforcer.Unknown, false, err
	}
	return known, renewed, nil
}

// Released is what came of Release.
type Released struct {
	// Others still hold the address, so it stays blocked.
	Others []lease.Lease
	// Leased reports that somebody held it, or that lifting it had failed before.
	Leased bool
	// LeaseErr is what the leases suffered; the block was lifted all the same.
	LeaseErr error
	// StillLeased reports that a lease may be left of a block that was lifted.
	StillLeased bool
}

// ErrRenewed says that a lease is no longer what it was when it was read.
var ErrRenewed = errors.New("the lease was renewed or ended meanwhile")

// Release ends the lease of a program on an address and, when nobody else holds it, lifts the
// block. The error is nil when the block is gone or others hold it.
func (h *Holder) Release(ctx context.Context, addr target.Target, program string) (Released, error) {
	return h.release(ctx, addr, func(l lease.Lease) bool { return l.Program == program }, nil)
}

// ReleaseSeen is Release of a lease that was read before. With ErrRenewed nothing was done.
func (h *Holder) ReleaseSeen(ctx context.Context, seen lease.Lease) (Released, error) {
	r, err := h.release(ctx, seen.Target, func(l lease.Lease) bool { return l.Program == seen.Program }, &seen)
	if err == nil && r.LeaseErr != nil {
		return r, r.LeaseErr
	}
	return r, err
}

// Free ends all leases on an address and lifts its block.
func (h *Holder) Free(ctx context.Context, addr target.Target) (Released, error) {
	return h.release(ctx, addr, func(lease.Lease) bool { return true }, nil)
}

// release ends the leases on addr that mine chooses; with seen, only if that lease is still what
// it was. They are first marked as being lifted, so that the block is not forgotten should lifting
// it fail or the process be killed.
func (h *Holder) release(ctx context.Context, addr target.Target, mine func(lease.Lease) bool,
	seen *lease.Lease) (Released, error) {
	var r Released
	lock, busy := h.Leases.LockTarget(addr)
	defer lock.Release()
	if busy != nil && seen != nil {
		return r, busy
	}
	r.LeaseErr = h.Leases.Update(func(tx *lease.Tx) error { return r.give(tx, addr, mine, seen) })
	if len(r.Others) > 0 || r.LeaseErr != nil && seen != nil {
		r.LeaseErr = cmp.Or(r.LeaseErr, busy)
		return r, nil
	}
	if err := h.Enforcer.Unblock(ctx, addr); err != nil {
		return r, err
	}
	if r.LeaseErr == nil && r.Leased {
		r.LeaseErr = h.Leases.Update(func(tx *lease.Tx) error { return endLifted(tx, addr) })
	}
	r.StillLeased = r.LeaseErr != nil
	r.LeaseErr = cmp.Or(r.LeaseErr, busy)
	return r, nil
}

// give gives back the leases on addr that mine chooses.
func (r *Released) give(tx *lease.Tx, addr target.Target, mine func(lease.Lease) bool, seen *lease.Lease) error {
	on, err := tx.On(addr)
	if err != nil {
		return err
	}
	*r = Released{Leased: len(on) > 0}
	var back []lease.Lease
	for _, l := range on {
		if mine(l) {
			back = append(back, l)
		} else if l.State != lease.Lifting {
			r.Others = append(r.Others, l)
		}
	}
	if seen != nil && (len(back) != 1 || !back[0].Renewed.Equal(seen.Renewed) ||
		back[0].State != seen.State) {
		return ErrRenewed
	}
	for _, l := range back {
		l.State = lease.Lifting
		if len(r.Others) > 0 {
			err = tx.Delete(addr, l.Program)
		} else {
			err = tx.Put(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// endLifted deletes the leases on addr that were being lifted.
func endLifted(tx *lease.Tx, addr target.Target) error {
	on, err := tx.On(addr)
	if err != nil {
		return err
	}
	for _, l := range on {
		if l.State == lease.Lifting {
			if err := tx.Delete(addr, l.Program); err != nil {
				return err
			}
		}
	}
	return nil
}

func endAllLifted(tx *lease.Tx, addrs []target.Target) error {
	for _, addr := range addrs {
		if err := endLifted(tx, addr); err != nil {
			return err
		}
	}
	return nil
}

// Each calls visit with every lease, in order of address and program, until it returns an error,
// which is returned. Meanwhile nobody can change the leases.
func (h *Holder) Each(visit func(lease.Lease) error) error {
	return h.Leases.View(func(tx *lease.Tx) error { return tx.All(visit) })
}

// All returns every lease, in order of address and program.
func (h *Holder) All() (all []lease.Lease, err error) {
	err = h.Each(func(l lease.Lease) error {
		all = append(all, l)
		return nil
	})
	return all, err
}

// Salvage moves a damaged lease file aside, as any change of the leases does, and keeps what can
// still be read of it.
func (h *Holder) Salvage() error {
	nothing := func(lease.Lease) error { return nil }
	err := h.Each(nothing)
	if errors.Is(err, lease.ErrDamaged) {
		err = h.Leases.Update(func(tx *lease.Tx) error { return tx.All(nothing) })
	}
	return err
}

// On returns the leases on one address.
func (h *Holder) On(addr target.Target) (on []lease.Lease, err error) {
	err = h.Leases.View(func(tx *lease.Tx) error {
		on, err = tx.On(addr)
		return err
	})
	return on, err
}
