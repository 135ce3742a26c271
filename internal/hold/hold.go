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
	"slices"
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

	// IPv6Prefix is how many bits the network has that is blocked for an IPv6 address; 128, or
	// 0, blocks the address alone.
	IPv6Prefix int
	// Escalate are the steps of holding longer who was blocked before; none keeps no history. Open sets
	// none: a person says how long.
	Escalate []config.Step
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
	folder := o.Home.State()
	store := lease.New(folder, kind.Name)
	store.Wait, store.Now, store.Durable = o.Settings.Lease.LockTimeout.Duration, o.Now, kind.InFile
	open := state.MakeDir
	if o.ReadOnly {
		open = state.OpenDir
	}
	path := ""
	if dir, err := open(folder); err == nil { // the leases say why not
		dir.Close()
		path = folder
	}
	e, err := kind.New(o.Settings, path)
	if err != nil {
		return nil, err
	}
	return &Holder{
		Kind: kind, Enforcer: e, Leases: store, Home: o.Home, Now: o.Now, Proc: o.Proc,
		IPv6Prefix: o.Settings.Block.IPv6Prefix, OrphanTimeout: o.Settings.Lease.OrphanTimeout.Duration,
	}, nil
}

// Taken is what came of Take.
type Taken struct {
	enforcer.Outcome
	// Block is what was blocked: the target or a network that it is in.
	Block target.Target
	// Renewed reports that the program held the address already.
	Renewed bool
	// Until is how long the target is held at least because it was blocked before; zero: it was not.
	Until time.Time
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
	// Also beside one that holds the lock for too long: what has no lease does not last.
	known, renewed, err := h.take(&l)
	leased := err == nil
	t.Renewed, t.LeaseErr = renewed, cmp.Or(err, busy)
	if busy != nil {
		known = enforcer.Unknown
	}
	t.Block = l.Blocks()
	t.Outcome, err = h.Enforcer.Block(ctx, l.Blocks(), known)
	if errors.Is(err, enforcer.ErrFull) && h.makeRoom(ctx, l.Target) {
		t.Outcome, err = h.Enforcer.Block(ctx, l.Blocks(), enforcer.Unknown)
	}
	if err == nil && leased && !known.Leased {
		t.Until, t.LeaseErr = h.escalate(l)
		t.LeaseErr = cmp.Or(t.LeaseErr, busy)
	}
	if err == nil || !leased {
		return t, err
	}
	var refused *enforcer.Refused
	if errors.As(err, &refused) {
		end := func(tx *lease.Tx) error { return tx.Delete(l.Target, l.Program) }
		t.LeaseErr = cmp.Or(h.Leases.Update(end), busy)
		return t, err
	}
	l.State, l.Reason = lease.Waiting, err.Error()
	t.LeaseErr = cmp.Or(h.Leases.Update(func(tx *lease.Tx) error { return tx.Put(l) }), busy)
	return t, err
}

// take writes the lease down and returns what the leases know of its target.
func (h *Holder) take(l *lease.Lease) (known enforcer.Known, renewed bool, err error) {
	err = h.Leases.Update(func(tx *lease.Tx) error {
		on, err := renew(tx, l)
		if err != nil {
			return err
		}
		for _, old := range on {
			renewed = renewed || old.Program == l.Program && old.State == lease.Held
		}
		holders, err := tx.Holders(l.Blocks())
		if err != nil {
			return err
		}
		known = enforcer.Known{Leased: len(on)+holders > 0, Others: tx.Count(l.Target.Is6()) - len(on)}
		return tx.Put(*l)
	})
	if err != nil {
		return enforcer.Unknown, false, err
	}
	return known, renewed, nil
}

// renew has a lease keep what its program's one before had: its beginning, what is blocked for it, and
// whether people know that it fails. It returns the leases on the target.
func renew(tx *lease.Tx, l *lease.Lease) ([]lease.Lease, error) {
	on, err := tx.On(l.Target)
	for _, old := range on {
		if old.Program != l.Program {
			continue
		}
		if l.Net = old.Net; old.State == lease.Lifting {
			continue
		}
		l.Since, l.Announced = old.Since, old.Announced && old.State == lease.Waiting
		if l.Daemon == nil && l.Until.IsZero() {
			l.Until = old.Until
		}
	}
	return on, err
}

// Released is what came of Release.
type Released struct {
	// Others still hold the target, so it stays blocked.
	Others []lease.Lease
	// Networks that the address is in are still held for other addresses, so it stays blocked.
	Networks []target.Target
	// Leased reports that somebody held it, or that lifting it had failed before.
	Leased bool
	// LeaseErr is what the leases suffered; the block was lifted all the same.
	LeaseErr error
	// StillLeased reports that a lease may be left of a block that was lifted.
	StillLeased bool

	lift []target.Target // what nobody holds any more
}

// Held reports whether the target stays blocked.
func (r *Released) Held() bool { return len(r.Others)+len(r.Networks) > 0 }

// ErrRenewed says that a lease is no longer what it was when it was read.
var ErrRenewed = errors.New("the lease was renewed or ended meanwhile")

// Release ends the lease of a program on an address and, when nobody else holds it, lifts the
// block. The error is nil when the block is gone or others hold it.
func (h *Holder) Release(ctx context.Context, addr target.Target, program string) (Released, error) {
	return h.release(ctx, addr, of(program), nil)
}

// ReleaseSeen is Release of a lease that was read before. With ErrRenewed nothing was done.
func (h *Holder) ReleaseSeen(ctx context.Context, seen lease.Lease) (Released, error) {
	r, err := h.release(ctx, seen.Target, of(seen.Program), &seen)
	if err == nil && r.LeaseErr != nil {
		return r, r.LeaseErr
	}
	return r, err
}

// Free ends all leases on a target, and on the networks that it is in, and lifts the blocks.
func (h *Holder) Free(ctx context.Context, t target.Target) (Released, error) {
	r, err := h.release(ctx, t, anybody, nil)
	for err == nil && len(r.Networks) > 0 {
		network := r.Networks[0]
		r.Networks, r.Leased = r.Networks[1:], true
		_, err = h.releaseAll(ctx, func(l lease.Lease) bool { return l.Blocks() == network }, nil)
	}
	return r, err
}

func anybody(lease.Lease) bool { return true }

// of returns whether a lease is that program's.
func of(program string) func(lease.Lease) bool {
	return func(l lease.Lease) bool { return l.Program == program }
}

// release ends the leases on a target that mine chooses; with seen, only if that lease is still what
// it was. They are first marked as being lifted, so that the block is not forgotten should lifting
// it fail or the process be killed.
func (h *Holder) release(ctx context.Context, t target.Target, mine func(lease.Lease) bool,
	seen *lease.Lease) (Released, error) {
	var r Released
	lock, busy := h.Leases.LockTarget(t)
	defer lock.Release()
	if busy != nil && seen != nil {
		return r, busy
	}
	r.LeaseErr = h.Leases.Update(func(tx *lease.Tx) error { return r.give(tx, t, mine, seen) })
	if r.LeaseErr != nil && seen == nil { // nobody knows what was blocked for it
		r.lift = []target.Target{t, networkOf(t, h.IPv6Prefix)}
	}
	for _, block := range slices.Compact(r.lift) {
		if err := h.unblock(ctx, block, r.LeaseErr); err != nil {
			return r, err
		}
	}
	if r.LeaseErr == nil && r.Leased && len(r.lift) > 0 {
		r.LeaseErr = h.Leases.Update(func(tx *lease.Tx) error { return endLifted(tx, t) })
	}
	r.StillLeased = r.LeaseErr != nil && len(r.lift) > 0
	r.LeaseErr = cmp.Or(r.LeaseErr, busy)
	return r, nil
}

// unblock lifts a block, and where that takes no longer, those that others are lifting, too. Leases that
// failed are not asked for these: all who want to block would wait for the answer.
func (h *Holder) unblock(ctx context.Context, block target.Target, leaseErr error) error {
	joint, ok := h.Enforcer.(enforcer.Joint)
	if !ok || leaseErr != nil {
		return h.Enforcer.Unblock(ctx, block)
	}
	return joint.UnblockJoint(ctx, block, h.lifting)
}

// lifting returns the blocks that processes are lifting; none when the leases cannot be read.
func (h *Holder) lifting() (blocks []target.Target) {
	err := h.Leases.View(func(tx *lease.Tx) (err error) {
		blocks, err = tx.Lifting()
		return err
	})
	if err != nil {
		return nil
	}
	return blocks
}

// WouldRelease returns who would hold a target after Release, and changes nothing.
func (h *Holder) WouldRelease(t target.Target, program string) (r Released, err error) {
	err = h.Leases.View(func(tx *lease.Tx) error {
		_, _, err := r.choose(tx, t, of(program))
		return err
	})
	return r, err
}

// choose finds the leases on a target that mine chooses, those of others that are being lifted, and what
// holds the target without them.
func (r *Released) choose(tx *lease.Tx, t target.Target, mine func(lease.Lease) bool) (
	back, failed []lease.Lease, err error) {
	on, err := tx.On(t)
	if err != nil {
		return nil, nil, err
	}
	*r = Released{Leased: len(on) > 0}
	for _, l := range on {
		switch {
		case mine(l):
			back = append(back, l)
		case l.State == lease.Lifting:
			failed = append(failed, l)
		default:
			r.Others = append(r.Others, l)
		}
	}
	r.Networks, err = networks(tx, t, back)
	return back, failed, err
}

// give gives back the leases on a target that mine chooses.
func (r *Released) give(tx *lease.Tx, t target.Target, mine func(lease.Lease) bool, seen *lease.Lease) error {
	back, failed, err := r.choose(tx, t, mine)
	if err != nil {
		return err
	}
	if seen != nil && (len(back) != 1 || !back[0].Renewed.Equal(seen.Renewed) ||
		back[0].State != seen.State) {
		return ErrRenewed
	}
	for _, l := range append(back, failed...) {
		l.State = lease.Lifting
		if err := tx.Put(l); err != nil {
			return err
		}
		holders, err := tx.Holders(l.Blocks())
		if err == nil && holders == 0 {
			r.lift = append(r.lift, l.Blocks())
		} else if err == nil {
			err = tx.Delete(t, l.Program)
		}
		if err != nil {
			return err
		}
	}
	if !r.Leased {
		r.lift = []target.Target{t}
	}
	return nil
}

// endLifted deletes the leases on a target that were being lifted.
func endLifted(tx *lease.Tx, t target.Target) error {
	on, err := tx.On(t)
	if err != nil {
		return err
	}
	for _, l := range on {
		if l.State == lease.Lifting {
			if err := tx.Delete(t, l.Program); err != nil {
				return err
			}
		}
	}
	return nil
}

func endAllLifted(tx *lease.Tx, targets []target.Target) error {
	for _, t := range targets {
		if err := endLifted(tx, t); err != nil {
			return err
		}
	}
	return nil
}

// Leased reports whether there is a lease on a target, or one that holds a network around it.
func (h *Holder) Leased(t target.Target) (leased bool, err error) {
	err = h.Leases.View(func(tx *lease.Tx) error {
		on, err := tx.On(t)
		around, aroundErr := networks(tx, t, nil)
		leased = len(on)+len(around) > 0
		return errors.Join(err, aroundErr)
	})
	return leased, err
}
