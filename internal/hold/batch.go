package hold

import (
	"context"
	"fmt"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// batch is one change of many addresses. What fails is gathered, and keeps nothing from the rest.
type batch struct {
	*Holder
	ctx    context.Context
	failed enforcer.Failures
}

// chunk is how many addresses are changed in one go: calls of the daemons wait as long.
const chunk = 5000

// inChunks runs work on one part of the addresses after the other while no call changes any block.
func (b *batch) inChunks(addrs []target.Target, work func([]target.Target) error) {
	for part := range slices.Chunk(addrs, chunk) {
		lock, err := b.Leases.LockAll()
		if err == nil {
			err = work(part)
		}
		lock.Release()
		b.failed.Add(err)
	}
}

// blockLeased blocks those of addrs that are still leased, and returns those that are in force then,
// and which of addrs had been waiting.
func (b *batch) blockLeased(addrs []target.Target) ([]target.Target, map[target.Target]bool) {
	var blocked []target.Target
	waiting := map[target.Target]bool{}
	b.inChunks(addrs, func(part []target.Target) error {
		wanted, err := b.leased(part, true, waiting)
		if err != nil || len(wanted) == 0 {
			return err
		}
		if err := b.Enforcer.BlockAll(b.ctx, wanted); err != nil {
			wanted = b.blockEach(wanted)
		}
		blocked = append(blocked, wanted...)
		return nil
	})
	blocked, err := b.inForce(blocked)
	b.failed.Add(err)
	b.failed.Add(b.markHeld(blocked, waiting))
	return blocked, waiting
}

// inForce returns those of addrs that no packet comes from any more.
func (b *batch) inForce(addrs []target.Target) ([]target.Target, error) {
	if len(addrs) == 0 {
		return nil, nil
	}
	stands, _, err := b.standing(b.ctx)
	if err != nil {
		return nil, err
	}
	var not []target.Target
	addrs = slices.DeleteFunc(addrs, func(addr target.Target) bool {
		if stands.inForce(addr) {
			return false
		}
		not = append(not, addr)
		return true
	})
	not, err = b.leased(not, true, nil) // a call may have lifted one meanwhile
	for _, addr := range not {
		why := stands[addr]
		if why == "" {
			why = "somebody removed it"
		}
		b.failed.Add(fmt.Errorf("%s is not in force though it was blocked again: %s", addr, why))
	}
	return addrs, err
}

// blockEach is for many of which at least one cannot be blocked.
func (b *batch) blockEach(addrs []target.Target) (blocked []target.Target) {
	for _, addr := range addrs {
		if _, err := b.Enforcer.Block(b.ctx, addr, enforcer.Unknown); err != nil {
			b.failed.Add(err)
			if b.ctx.Err() != nil {
				return blocked
			}
			continue
		}
		blocked = append(blocked, addr)
	}
	return blocked
}

// liftUnleased lifts the blocks of addrs that nobody leases, and returns them. Where nothing can
// be written down, the lease of a block may be missing for that reason alone, and it stays.
func (b *batch) liftUnleased(addrs []target.Target) (lifted []target.Target) {
	b.inChunks(addrs, func(part []target.Target) error {
		free, err := b.leased(part, false, nil)
		if err != nil || len(free) == 0 {
			return err
		}
		if err := b.Leases.Update(func(tx *lease.Tx) error { return b.markLifting(tx, free) }); err != nil {
			return err
		}
		if err := b.Enforcer.UnblockAll(b.ctx, free); err != nil {
			return err
		}
		lifted = append(lifted, free...)
		return b.Leases.Update(func(tx *lease.Tx) error { return endAllLifted(tx, free) })
	})
	return lifted
}

// markLifting notes of blocks that nobody leases that they are being lifted.
func (b *batch) markLifting(tx *lease.Tx, addrs []target.Target) error {
	now := b.Now().UTC()
	for _, addr := range addrs {
		if err := tx.Put(lease.Lease{Target: addr, Program: b.Kind.Name, Since: now, Renewed: now, State: lease.Lifting}); err != nil {
			return err
		}
	}
	return nil
}

// leased returns those of addrs that somebody leases, or with want false those that nobody does:
// calls may have changed that since they were compared. In waiting, if it is given, it marks those
// of which a lease waits.
func (b *batch) leased(addrs []target.Target, want bool,
	waiting map[target.Target]bool) (chosen []target.Target, err error) {
	err = b.Leases.View(func(tx *lease.Tx) error {
		chosen = chosen[:0]
		for _, addr := range addrs {
			on, err := tx.On(addr)
			if err != nil {
				return err
			}
			held := false
			for _, l := range on {
				held = held || l.State != lease.Lifting
				if waiting != nil && l.State == lease.Waiting {
					waiting[addr] = true
				}
			}
			if held == want {
				chosen = append(chosen, addr)
			}
		}
		return nil
	})
	return chosen, err
}

// markHeld notes that the leases on those of addrs that waited for their block wait no longer.
func (b *batch) markHeld(addrs []target.Target, waiting map[target.Target]bool) error {
	if len(waiting) == 0 {
		return nil
	}
	return b.Leases.Update(func(tx *lease.Tx) error {
		for _, addr := range addrs {
			if !waiting[addr] {
				continue
			}
			on, err := tx.On(addr)
			if err != nil {
				return err
			}
			for _, l := range on {
				if l.State != lease.Waiting {
					continue
				}
				l.State, l.Reason = lease.Held, ""
				if err := tx.Put(l); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
