package hold

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
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
func (b *batch) inChunks(addrs []netip.Addr, work func([]netip.Addr) error) {
	for part := range slices.Chunk(addrs, chunk) {
		lock, err := b.Leases.LockAll()
		if err == nil {
			err = work(part)
		}
		lock.Release()
		b.failed.Add(err)
	}
}

// blockLeased blocks those of addrs that are still leased, and returns them.
func (b *batch) blockLeased(addrs []netip.Addr) (blocked []netip.Addr) {
	b.inChunks(addrs, func(part []netip.Addr) error {
		wanted, err := b.still(part, true)
		if err != nil || len(wanted) == 0 {
			return err
		}
		if err := b.Enforcer.BlockAll(b.ctx, wanted); err != nil {
			wanted = b.blockEach(wanted)
		}
		wanted, err = b.inForce(wanted)
		blocked = append(blocked, wanted...)
		return errors.Join(err, markHeld(b.Leases, wanted))
	})
	return blocked
}

// inForce returns those of addrs that no packet comes from any more.
func (b *batch) inForce(addrs []netip.Addr) ([]netip.Addr, error) {
	if len(addrs) == 0 {
		return nil, nil
	}
	listing, err := b.Enforcer.List(b.ctx)
	if err != nil {
		return nil, err
	}
	open := make(map[netip.Addr]string, len(listing.Blocks))
	for _, block := range listing.Blocks {
		open[block.Addr] = block.Open
	}
	return slices.DeleteFunc(addrs, func(addr netip.Addr) bool {
		why, stands := open[addr]
		if !stands {
			why = "somebody removed it"
		}
		if why != "" {
			b.failed.Add(fmt.Errorf("%s is not in force though it was blocked again: %s", addr, why))
		}
		return why != ""
	}), nil
}

// blockEach is for many of which at least one cannot be blocked.
func (b *batch) blockEach(addrs []netip.Addr) (blocked []netip.Addr) {
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

// liftUnleased lifts the blocks of addrs that nobody leases, and returns them.
func (b *batch) liftUnleased(addrs []netip.Addr) (lifted []netip.Addr) {
	b.inChunks(addrs, func(part []netip.Addr) error {
		free, err := b.still(part, false)
		if err != nil || len(free) == 0 {
			return err
		}
		if err := b.Enforcer.UnblockAll(b.ctx, free); err != nil {
			return err
		}
		lifted = append(lifted, free...)
		return nil
	})
	return lifted
}

// still returns those of addrs that are leased and not in force, or with want false those that are
// in force and not leased: calls may have changed them since they were compared.
func (b *batch) still(addrs []netip.Addr, want bool) ([]netip.Addr, error) {
	chosen, err := leased(b.Leases, addrs, want)
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	listing, err := b.Enforcer.List(b.ctx)
	if err != nil {
		return nil, err
	}
	standing := make(map[netip.Addr]bool, len(listing.Blocks))
	for _, b := range listing.Blocks {
		standing[b.Addr] = b.Open == "" || !want
	}
	return slices.DeleteFunc(chosen, func(addr netip.Addr) bool { return standing[addr] == want }), nil
}

// leased returns those of addrs that somebody leases, or with want false those that nobody does.
func leased(leases *lease.Store, addrs []netip.Addr, want bool) (chosen []netip.Addr, err error) {
	err = leases.View(func(tx *lease.Tx) error {
		chosen = chosen[:0]
		for _, addr := range addrs {
			on, err := tx.On(addr)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(on, func(l lease.Lease) bool { return l.State != lease.Lifting }) == want {
				chosen = append(chosen, addr)
			}
		}
		return nil
	})
	return chosen, err
}

// markHeld notes that leases whose block could not be made before no longer wait.
func markHeld(leases *lease.Store, addrs []netip.Addr) error {
	waiting := false
	look := func(visit func(tx *lease.Tx, l lease.Lease) error) func(tx *lease.Tx) error {
		return func(tx *lease.Tx) error {
			for _, addr := range addrs {
				on, err := tx.On(addr)
				if err != nil {
					return err
				}
				for _, l := range on {
					if l.State == lease.Waiting {
						if err := visit(tx, l); err != nil {
							return err
						}
					}
				}
			}
			return nil
		}
	}
	err := leases.View(look(func(*lease.Tx, lease.Lease) error {
		waiting = true
		return nil
	}))
	if err != nil || !waiting {
		return err
	}
	return leases.Update(look(func(tx *lease.Tx, l lease.Lease) error {
		l.State, l.Reason = lease.Held, ""
		return tx.Put(l)
	}))
}
