package hold

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Difference is what differs between what is wanted and what is in force.
type Difference struct {
	Place   []string     // what is wrong with the place that the blocks live in
	Missing []netip.Addr // leased, not in force
	Extra   []netip.Addr // in force, leased by nobody
	Never   []Never      // leased, and on the whitelist by now
}

// Never is a leased address that is on the whitelist.
type Never struct {
	Addr netip.Addr
	By   string // the entry
}

// None reports whether nothing differs.
func (d Difference) None() bool {
	return len(d.Place)+len(d.Missing)+len(d.Extra)+len(d.Never) == 0
}

// Whitelisted returns the whitelist entry that covers an address.
type Whitelisted func(netip.Addr) (entry string, covered bool)

// Compare returns what differs. It changes nothing.
func (h *Holder) Compare(ctx context.Context, never Whitelisted) (Difference, error) {
	var d Difference
	listing, err := h.Enforcer.List(ctx)
	if err != nil {
		return d, err
	}
	all, err := h.All()
	if err != nil {
		return d, err
	}
	d.Place = listing.Faults
	standing := make(map[netip.Addr]bool, len(listing.Blocks))
	for _, b := range listing.Blocks {
		standing[b.Addr] = b.Open == ""
	}
	leased := make(map[netip.Addr]bool, len(all))
	for _, l := range all {
		if leased[l.Addr] || l.State == lease.Lifting {
			continue
		}
		leased[l.Addr] = true
		if entry, covered := never(l.Addr); covered {
			d.Never = append(d.Never, Never{l.Addr, entry})
		} else if !standing[l.Addr] {
			d.Missing = append(d.Missing, l.Addr)
		}
	}
	if h.Kind.InFile {
		return d, nil // a line that nobody leases may be the administrator's own
	}
	for _, b := range listing.Blocks {
		if !leased[b.Addr] {
			d.Extra = append(d.Extra, b.Addr)
		}
	}
	return d, nil
}

// Repaired is what Repair changed.
type Repaired struct {
	Place   []string
	Blocked []netip.Addr
	Lifted  []netip.Addr // that nobody leased
	Never   []Never      // that are on the whitelist
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
	var failed enforcer.Failures
	if len(d.Place) > 0 {
		if r.Place, err = h.Enforcer.Mend(ctx); err != nil {
			failed.Add(err)
		} else if d, err = h.Compare(ctx, never); err != nil {
			return r, err
		}
	}
	for _, n := range d.Never {
		released, err := h.Free(ctx, n.Addr)
		failed.Add(errors.Join(err, released.LeaseErr))
		if err == nil {
			r.Never = append(r.Never, n)
		}
	}
	r.Blocked = h.blockLeased(ctx, d.Missing, &failed)
	r.Lifted = h.liftUnleased(ctx, d.Extra, &failed)
	return r, failed.All()
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
	d, err := h.Compare(ctx, func(netip.Addr) (string, bool) { return "", false })
	if err != nil {
		return err
	}
	var failed enforcer.Failures
	h.blockLeased(ctx, d.Missing, &failed)
	return failed.All()
}

// lockRepair takes the lock of the one process that compares and mends, without waiting.
func (h *Holder) lockRepair() (*state.Lock, error) {
	if err := state.MakeDir(h.Home.State()); err != nil {
		return nil, err
	}
	lock, err := state.Exclusive(filepath.Join(h.Home.State(), h.Kind.Name+".repair.lock"), 0)
	if errors.Is(err, state.ErrLocked) {
		err = ErrBusy
	}
	return lock, err
}

// chunk is how many addresses are changed in one go: calls of the daemons wait as long.
const chunk = 5000

// inChunks runs work on one part of the addresses after the other while no call changes any block.
func (h *Holder) inChunks(addrs []netip.Addr, failed *enforcer.Failures, work func([]netip.Addr) error) {
	for part := range slices.Chunk(addrs, chunk) {
		lock, err := h.Leases.LockAll()
		if err == nil {
			err = work(part)
		}
		lock.Release()
		failed.Add(err)
	}
}

// blockLeased blocks those of addrs that are still leased, and returns them.
func (h *Holder) blockLeased(ctx context.Context, addrs []netip.Addr, failed *enforcer.Failures) (blocked []netip.Addr) {
	h.inChunks(addrs, failed, func(part []netip.Addr) error {
		wanted, err := h.still(ctx, part, true)
		if err != nil || len(wanted) == 0 {
			return err
		}
		if err := h.Enforcer.BlockAll(ctx, wanted); err != nil {
			wanted = h.blockEach(ctx, wanted, failed)
		}
		wanted, err = h.inForce(ctx, wanted, failed)
		blocked = append(blocked, wanted...)
		return errors.Join(err, h.markHeld(wanted))
	})
	return blocked
}

// inForce returns those of addrs that no packet comes from any more.
func (h *Holder) inForce(ctx context.Context, addrs []netip.Addr, failed *enforcer.Failures) ([]netip.Addr, error) {
	if len(addrs) == 0 {
		return nil, nil
	}
	listing, err := h.Enforcer.List(ctx)
	if err != nil {
		return nil, err
	}
	open := make(map[netip.Addr]string, len(listing.Blocks))
	for _, b := range listing.Blocks {
		open[b.Addr] = b.Open
	}
	return slices.DeleteFunc(addrs, func(addr netip.Addr) bool {
		why, stands := open[addr]
		if !stands {
			why = "somebody removed it"
		}
		if why != "" {
			failed.Add(fmt.Errorf("%s is not in force though it was blocked again: %s", addr, why))
		}
		return why != ""
	}), nil
}

// blockEach is for many of which at least one cannot be blocked.
func (h *Holder) blockEach(ctx context.Context, addrs []netip.Addr, failed *enforcer.Failures) (blocked []netip.Addr) {
	for _, addr := range addrs {
		if _, err := h.Enforcer.Block(ctx, addr, enforcer.Unknown); err != nil {
			failed.Add(err)
			if ctx.Err() != nil {
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
func (h *Holder) liftUnleased(ctx context.Context, addrs []netip.Addr, failed *enforcer.Failures) (lifted []netip.Addr) {
	h.inChunks(addrs, failed, func(part []netip.Addr) error {
		free, err := h.still(ctx, part, false)
		if err != nil || len(free) == 0 {
			return err
		}
		if err := h.Leases.Update(func(tx *lease.Tx) error { return h.markLifting(tx, free) }); err != nil {
			return err
		}
		if err := h.Enforcer.UnblockAll(ctx, free); err != nil {
			return err
		}
		lifted = append(lifted, free...)
		return h.Leases.Update(func(tx *lease.Tx) error { return endAllLifted(tx, free) })
	})
	return lifted
}

// markLifting notes of blocks that nobody leases that they are being lifted.
func (h *Holder) markLifting(tx *lease.Tx, addrs []netip.Addr) error {
	now := h.Now().UTC()
	for _, addr := range addrs {
		if err := tx.Put(lease.Lease{Addr: addr, Program: h.Kind.Name, Since: now, Renewed: now, State: lease.Lifting}); err != nil {
			return err
		}
	}
	return nil
}

// still returns those of addrs that are leased and not in force, or with want false those that are
// in force and not leased: calls may have changed them since they were compared.
func (h *Holder) still(ctx context.Context, addrs []netip.Addr, want bool) ([]netip.Addr, error) {
	chosen, err := h.leased(addrs, want)
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	listing, err := h.Enforcer.List(ctx)
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
func (h *Holder) leased(addrs []netip.Addr, want bool) (chosen []netip.Addr, err error) {
	err = h.Leases.View(func(tx *lease.Tx) error {
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
func (h *Holder) markHeld(addrs []netip.Addr) error {
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
	err := h.Leases.View(look(func(*lease.Tx, lease.Lease) error {
		waiting = true
		return nil
	}))
	if err != nil || !waiting {
		return err
	}
	return h.Leases.Update(look(func(tx *lease.Tx, l lease.Lease) error {
		l.State, l.Reason = lease.Held, ""
		return tx.Put(l)
	}))
}
