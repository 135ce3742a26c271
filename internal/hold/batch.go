package hold

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// batch is one change of many blocks. What fails is gathered, and keeps nothing from the rest.
type batch struct {
	*Holder
	ctx    context.Context
	failed enforcer.Failures
}

// chunk is how many targets are changed in one go: calls of the daemons wait as long.
const chunk = 5000

// inChunks runs work on one part of the targets after the other while no call changes any block.
func (b *batch) inChunks(targets []target.Target, work func([]target.Target) error) {
	for part := range slices.Chunk(targets, chunk) {
		lock, err := b.Leases.LockAll()
		if err == nil {
			err = work(part)
		}
		lock.Release()
		b.failed.Add(err)
	}
}

// blockLeased blocks those of blocks that are still leased, and returns those that are in force then.
func (b *batch) blockLeased(blocks []target.Target) (blocked []target.Target) {
	b.inChunks(blocks, func(part []target.Target) error {
		wanted, err := b.leased(part, true)
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
	return blocked
}

// inForce returns those of blocks that no packet comes by any more.
func (b *batch) inForce(blocks []target.Target) ([]target.Target, error) {
	if len(blocks) == 0 {
		return nil, nil
	}
	stands, _, err := standingIn(b.ctx, b.Enforcer)
	if err != nil {
		return nil, err
	}
	var not []target.Target
	blocks = slices.DeleteFunc(blocks, func(block target.Target) bool {
		if stands.open(block) == "" {
			return false
		}
		not = append(not, block)
		return true
	})
	not, err = b.leased(not, true) // a call may have lifted one meanwhile
	for _, block := range not {
		b.failed.Add(fmt.Errorf("%s is not in force though it was blocked again: %s", block, stands.open(block)))
	}
	return blocks, err
}

// blockEach is for many of which at least one cannot be blocked.
func (b *batch) blockEach(blocks []target.Target) (blocked []target.Target) {
	for _, block := range blocks {
		_, err := b.Enforcer.Block(b.ctx, block, enforcer.Unknown)
		var refused *enforcer.Refused
		if errors.As(err, &refused) {
			err = errors.Join(fmt.Errorf("%s is not blocked: %w", block, err), b.giveUp(block))
		}
		if err != nil {
			b.failed.Add(err)
			if b.ctx.Err() != nil {
				return blocked
			}
			continue
		}
		blocked = append(blocked, block)
	}
	return blocked
}

// giveUp ends the leases on what the enforcer refuses: a call that was not killed meanwhile leaves none.
func (b *batch) giveUp(t target.Target) error {
	return b.Leases.Update(func(tx *lease.Tx) error {
		on, err := tx.On(t)
		for _, l := range on {
			err = errors.Join(err, tx.Delete(t, l.Program))
		}
		return err
	})
}

// liftUnleased lifts those of blocks that nobody leases, and returns them. Where nothing can
// be written down, the lease of a block may be missing for that reason alone, and it stays.
func (b *batch) liftUnleased(blocks []target.Target) (lifted []target.Target) {
	b.inChunks(blocks, func(part []target.Target) error {
		free, err := b.leased(part, false)
		if err != nil || len(free) == 0 {
			return err
		}
		return b.lift(free, func() { lifted = append(lifted, free...) })
	})
	return lifted
}

// lift lifts blocks that nobody leases, which is written down until it is done.
func (b *batch) lift(blocks []target.Target, done func()) error {
	mark := func(change func(*lease.Tx, lease.Lease) error) error {
		now := b.Now().UTC()
		return b.Leases.Update(func(tx *lease.Tx) error {
			for _, block := range blocks {
				l := lease.Lease{Target: block, Program: b.Kind.Name, Since: now, Renewed: now, State: lease.Lifting}
				if block.Account() == "" && !block.IsSingle() {
					l.Target, l.Net = target.Of(block.Addr()), block.Prefix()
				}
				if err := change(tx, l); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := mark(putIfNone); err != nil {
		return err
	}
	if err := b.Enforcer.UnblockAll(b.ctx, blocks); err != nil {
		return err
	}
	done()
	return mark(func(tx *lease.Tx, l lease.Lease) error { return endLifted(tx, l.Target) })
}

// putIfNone takes a lease where its program has none on the target.
func putIfNone(tx *lease.Tx, l lease.Lease) error {
	on, err := tx.On(l.Target)
	if err != nil || slices.ContainsFunc(on, func(old lease.Lease) bool { return old.Program == l.Program }) {
		return err
	}
	return tx.Put(l)
}

// leased returns those of blocks that somebody leases, or with want false those that nobody does:
// calls may have changed that since they were compared.
func (b *batch) leased(blocks []target.Target, want bool) (chosen []target.Target, err error) {
	err = b.Leases.View(func(tx *lease.Tx) error {
		chosen = chosen[:0]
		for _, block := range blocks {
			holders, err := tx.Holders(block)
			if err != nil {
				return err
			}
			if holders > 0 == want {
				chosen = append(chosen, block)
			}
		}
		return nil
	})
	return chosen, err
}

// change calls alter with each lease, and writes those for which it returns true.
func (b *batch) change(alter func(*lease.Lease) bool) error {
	return b.Leases.Update(func(tx *lease.Tx) error {
		return tx.All(func(l lease.Lease) error {
			if !alter(&l) {
				return nil
			}
			return tx.Put(l)
		})
	})
}

// markHeld notes that leases that waited for one of the blocks wait no longer.
func (b *batch) markHeld(blocked []target.Target, waiting map[target.Target]bool) error {
	if len(waiting) == 0 {
		return nil
	}
	is := setOf(blocked)
	return b.change(func(l *lease.Lease) bool {
		waited := l.State == lease.Waiting && is[l.Blocks()]
		if waited {
			l.State, l.Reason = lease.Held, ""
		}
		return waited
	})
}

// narrow has those addresses of a network blocked that are leased, and the network no more.
func (b *batch) narrow(network target.Target) error {
	lock, err := b.Leases.LockAll()
	defer lock.Release()
	if err != nil {
		return err
	}
	var addrs []target.Target
	in := func(l lease.Lease) bool { return l.Blocks() == network && l.State != lease.Lifting }
	err = b.Leases.Each(func(l lease.Lease) error {
		if in(l) {
			addrs = append(addrs, l.Target)
		}
		return nil
	})
	if err == nil {
		err = b.Enforcer.BlockAll(b.ctx, addrs)
	}
	if err == nil {
		err = b.change(func(l *lease.Lease) bool {
			narrowed := in(*l)
			if narrowed {
				l.Net = netip.Prefix{}
			}
			return narrowed
		})
	}
	if err != nil {
		return err
	}
	return b.lift([]target.Target{network}, func() {})
}

func setOf(targets []target.Target) map[target.Target]bool {
	is := make(map[target.Target]bool, len(targets))
	for _, t := range targets {
		is[t] = true
	}
	return is
}
