package respond

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// This file changes many addresses at once: those of a list, or all that is leased.

// chunk is how many addresses are changed in one go: adds and deletes by the daemon wait
// as long.
const chunk = 5000

// inChunks runs work on one part of the addresses after the other, while nobody else changes any
// block.
func (p *call) inChunks(addrs []netip.Addr, work func([]netip.Addr) error) error {
	bar := p.newBar(len(addrs))
	defer bar.end()
	for part := range slices.Chunk(addrs, chunk) {
		lock, err := p.store.LockAll()
		if err != nil {
			return err
		}
		err = work(part)
		lock.Release()
		if err != nil {
			return err
		}
		bar.add(len(part))
	}
	return nil
}

// few is how many addresses are changed one by one: that need not wait for the moment at
// which nobody else changes any.
const few = 256

// blockAll blocks addresses that are leased: those that are given back meanwhile are left
// alone. One that cannot be blocked does not keep the others from it.
func (p *call) blockAll(ctx context.Context, addrs []netip.Addr) error {
	if len(addrs) > few {
		return p.blockInBulk(ctx, addrs)
	}
	var failed enforcer.Failures
	for _, addr := range addrs {
		failed.Add(p.blockLeased(ctx, addr))
	}
	return failed.All()
}

func (p *call) blockInBulk(ctx context.Context, addrs []netip.Addr) error {
	var failed enforcer.Failures
	err := p.inChunks(addrs, func(part []netip.Addr) error {
		held, err := p.store.StillHeld(part)
		if err != nil {
			return err
		}
		failed.Add(p.enforcer.BlockAll(ctx, held, nil))
		return nil
	})
	return errors.Join(failed.All(), err)
}

func (p *call) blockLeased(ctx context.Context, addr netip.Addr) error {
	lock, err := p.store.LockAddr(addr)
	defer lock.Release()
	if err != nil {
		return err
	}
	held, err := p.store.StillHeld([]netip.Addr{addr})
	if err != nil || len(held) == 0 {
		return err
	}
	_, err = p.enforcer.Block(ctx, addr, false)
	return err
}

// unblockAll frees addresses that nobody holds, and returns those: the others are left alone.
func (p *call) unblockAll(ctx context.Context, addrs []netip.Addr) (freed []netip.Addr, err error) {
	err = p.inChunks(addrs, func(part []netip.Addr) error {
		free, err := p.freeUnheld(ctx, part)
		freed = append(freed, free...)
		return err
	})
	return freed, err
}

// freeUnheld is unblockAll while nobody else changes any block.
func (p *call) freeUnheld(ctx context.Context, addrs []netip.Addr) ([]netip.Addr, error) {
	held, err := p.store.StillHeld(addrs)
	if err != nil {
		return nil, err
	}
	keep := map[netip.Addr]bool{}
	for _, addr := range held {
		keep[addr] = true
	}
	free := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return keep[a] })
	if err := p.enforcer.UnblockAll(ctx, free, nil); err != nil {
		return nil, err
	}
	return free, nil
}

// giveBackAll ends the leases of a program and lifts the blocks that nobody else holds, which
// it returns. What cannot be lifted is not forgotten. Nobody else changes any block meanwhile.
func (p *call) giveBackAll(ctx context.Context, addrs []netip.Addr, name string) ([]netip.Addr, error) {
	if err := p.store.LiftAll(addrs, name); err != nil {
		return nil, err
	}
	freed, err := p.freeUnheld(ctx, addrs)
	if err != nil {
		return nil, err
	}
	return freed, p.store.LiftedAll(addrs, name)
}
