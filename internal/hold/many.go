package hold

import (
	"context"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TakeAll leases many addresses in the same way, each once, and blocks them. It calls progress,
// which may be nil, with the number done. What could not be blocked waits for Repair.
func (h *Holder) TakeAll(ctx context.Context, addrs []target.Target, like lease.Lease,
	progress func(done int)) error {
	b := batch{Holder: h, ctx: ctx}
	done := 0
	b.inChunks(addrs, func(part []target.Target) error {
		if err := putAll(h.Leases, part, like); err != nil {
			return err
		}
		if err := h.Enforcer.BlockAll(ctx, part); err != nil {
			blocked := b.blockEach(part)
			if err := markWaiting(h.Leases, part, blocked, err); err != nil {
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

func putAll(store *lease.Store, addrs []target.Target, like lease.Lease) error {
	return store.Update(func(tx *lease.Tx) error {
		for _, addr := range addrs {
			l := like
			l.Target = addr
			on, err := tx.On(addr)
			if err != nil {
				return err
			}
			for _, old := range on {
				if old.Program == l.Program && old.State != lease.Lifting {
					l.Since = old.Since
				}
			}
			if err := tx.Put(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// markWaiting notes which of addrs could not be blocked.
func markWaiting(store *lease.Store, addrs, blocked []target.Target, cause error) error {
	is := make(map[target.Target]bool, len(blocked))
	for _, addr := range blocked {
		is[addr] = true
	}
	return store.Update(func(tx *lease.Tx) error {
		for _, addr := range addrs {
			if is[addr] {
				continue
			}
			on, err := tx.On(addr)
			if err != nil {
				return err
			}
			for _, l := range on {
				l.State, l.Reason = lease.Waiting, cause.Error()
				if err := tx.Put(l); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// ReleaseProgram ends all leases of one program and lifts the blocks that nobody else holds,
// which it returns. What cannot be lifted is not forgotten.
func (h *Holder) ReleaseProgram(ctx context.Context, program string,
	progress func(done int)) ([]target.Target, error) {
	return h.releaseAll(ctx, func(l lease.Lease) bool { return l.Program == program }, progress)
}

// Flush ends all leases and lifts all blocks of the response, those that nobody leases too. In a
// file that is the administrator's as well, only what is leased is taken out.
func (h *Holder) Flush(ctx context.Context, progress func(done int)) ([]target.Target, error) {
	freed, err := h.releaseAll(ctx, func(lease.Lease) bool { return true }, progress)
	if err != nil || h.Kind.InFile {
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
	for _, b := range listing.Blocks {
		freed = append(freed, b.Target)
	}
	return freed, h.Enforcer.Flush(ctx)
}

func (h *Holder) releaseAll(ctx context.Context, mine func(lease.Lease) bool,
	progress func(done int)) (freed []target.Target, err error) {
	var addrs []target.Target
	err = h.Each(func(l lease.Lease) error { // in order of address
		if n := len(addrs); mine(l) && (n == 0 || addrs[n-1] != l.Target) {
			addrs = append(addrs, l.Target)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b := batch{Holder: h, ctx: ctx}
	done := 0
	b.inChunks(addrs, func(part []target.Target) error {
		free, err := giveAll(h.Leases, part, mine)
		if err != nil {
			return err
		}
		if err := h.Enforcer.UnblockAll(ctx, free); err != nil {
			return err
		}
		freed = append(freed, free...)
		if done += len(part); progress != nil {
			progress(done)
		}
		return h.Leases.Update(func(tx *lease.Tx) error { return endAllLifted(tx, free) })
	})
	return freed, b.failed.All()
}

// giveAll gives the leases back that mine chooses, and returns the addresses that nobody holds
// any more.
func giveAll(store *lease.Store, addrs []target.Target,
	mine func(lease.Lease) bool) (free []target.Target, err error) {
	err = store.Update(func(tx *lease.Tx) error {
		free = free[:0]
		for _, addr := range addrs {
			var r Released
			if err := r.give(tx, addr, mine, nil); err != nil {
				return err
			}
			if len(r.Others) == 0 {
				free = append(free, addr)
			}
		}
		return nil
	})
	return free, err
}
