package hold

import (
	"context"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TakeAll leases many targets in the same way, each once, and blocks them. It calls progress,
// which may be nil, with the number done. What could not be blocked waits for Repair.
func (h *Holder) TakeAll(ctx context.Context, targets []target.Target, like lease.Lease, never Whitelisted,
	progress func(done int)) error {
	b := batch{Holder: h, ctx: ctx}
	done := 0
	b.inChunks(targets, func(part []target.Target) error {
		leases := make([]lease.Lease, len(part))
		for i, t := range part {
			leases[i] = like
			leases[i].Target = t
			_ = h.Widen(&leases[i], never) // of a list, each would be a warning
		}
		if err := putAll(h.Leases, leases); err != nil {
			return err
		}
		blocks := make([]target.Target, len(part))
		for i := range leases {
			blocks[i] = leases[i].Blocks()
		}
		if err := h.Enforcer.BlockAll(ctx, blocks); err != nil {
			is := setOf(b.blockEach(blocks))
			var waiting []lease.Lease
			for _, l := range leases {
				if !is[l.Blocks()] {
					l.State, l.Reason = lease.Waiting, err.Error()
					waiting = append(waiting, l)
				}
			}
			if err := putAll(h.Leases, waiting); err != nil {
				return err
			}
		}
		if done += len(part); progress != nil {
			progress(done)
		}
		return nil
	})
	return b.failed.All()
}

// putAll takes leases, or renews them.
func putAll(store *lease.Store, leases []lease.Lease) error {
	return store.Update(func(tx *lease.Tx) error {
		for i := range leases {
			if _, err := renew(tx, &leases[i]); err != nil {
				return err
			}
			if err := tx.Put(leases[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReleaseProgram ends all leases of one program and lifts the blocks that nobody else holds. It
// returns who is free now. What cannot be lifted is not forgotten.
func (h *Holder) ReleaseProgram(ctx context.Context, program string,
	progress func(done int)) ([]target.Target, error) {
	return h.releaseAll(ctx, of(program), progress)
}

// Flush ends all leases and lifts all blocks of the response, those that nobody leases too. Of what
// the administrator may have made, only what is leased is lifted.
func (h *Holder) Flush(ctx context.Context, progress func(done int)) ([]target.Target, error) {
	freed, err := h.releaseAll(ctx, anybody, progress)
	if err != nil || h.Kind.Mixed() {
		return freed, err
	}
	listing, err := h.Enforcer.List(ctx)
	if err != nil || len(listing.Blocks) == 0 {
		return freed, err
	}
	lock, err := h.Leases.LockAll()
	defer lock.Release()
	if err != nil {
		return freed, err
	}
	var left []target.Target
	for _, b := range listing.Blocks {
		if !b.Shared {
			left = append(left, b.Target)
		}
	}
	freed = append(freed, left...)
	if len(left) < len(listing.Blocks) {
		return freed, h.Enforcer.UnblockAll(ctx, left)
	}
	return freed, h.Enforcer.Flush(ctx)
}

// given is a lease that was given back.
type given struct{ target, block target.Target }

func (h *Holder) releaseAll(ctx context.Context, mine func(lease.Lease) bool,
	progress func(done int)) (freed []target.Target, err error) {
	var all []given
	err = h.Leases.Each(func(l lease.Lease) error {
		if mine(l) {
			all = append(all, given{l.Target, l.Blocks()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b given) int { return a.target.Compare(b.target) })
	var targets []target.Target
	for _, g := range all {
		if n := len(targets); n == 0 || targets[n-1] != g.target {
			targets = append(targets, g.target)
		}
	}
	b := batch{Holder: h, ctx: ctx}
	lifted := map[target.Target]bool{}
	done := 0
	b.inChunks(targets, func(part []target.Target) error {
		free, err := giveAll(h.Leases, part, mine)
		if err != nil {
			return err
		}
		if err := h.Enforcer.UnblockAll(ctx, free); err != nil {
			return err
		}
		for _, block := range free {
			lifted[block] = true
		}
		if done += len(part); progress != nil {
			progress(done)
		}
		return h.Leases.Update(func(tx *lease.Tx) error { return endAllLifted(tx, part) })
	})
	for _, g := range all {
		if n := len(freed); lifted[g.block] && (n == 0 || freed[n-1] != g.target) {
			freed = append(freed, g.target)
		}
	}
	return freed, b.failed.All()
}

// giveAll gives the leases back that mine chooses, and returns what nobody holds any more.
func giveAll(store *lease.Store, targets []target.Target,
	mine func(lease.Lease) bool) (free []target.Target, err error) {
	err = store.Update(func(tx *lease.Tx) error {
		free = free[:0]
		for _, t := range targets {
			var r Released
			if err := r.give(tx, t, mine, nil); err != nil {
				return err
			}
			free = append(free, r.lift...)
		}
		return nil
	})
	return free, err
}
