package hold

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Over is a lease that has ended, or will never be given back.
type Over struct {
	lease.Lease
	Why string // "its time is over"
}

// Ended sorts out the leases that are over. Those whose daemon is gone and that may last for
// ever are kept, and returned apart. What could be found out counts, whatever the error.
func (h *Holder) Ended() (over []Over, kept []lease.Lease, err error) {
	timeouts, err := ossec.ReadTimeouts(h.Home)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	lives := livesIn(h.Proc)
	now := h.Now()
	leaseErr := h.Leases.Each(func(l lease.Lease) error {
		switch {
		case l.State == lease.Lifting:
			over = append(over, Over{l, "lifting it had failed"})
			return nil
		case !l.Until.IsZero() && now.After(l.Until):
			over = append(over, Over{l, "its time is over"})
			return nil
		case l.Daemon == nil: // by hand: until somebody ends it
			return nil
		}
		if !l.Until.IsZero() || lives(*l.Daemon) {
			return nil
		}
		limit, limited := h.OrphanTimeout, true
		if limit == 0 {
			limit, limited = timeouts.Longest(l.Program)
		}
		switch age := now.Sub(l.Renewed); {
		case !limited:
			kept = append(kept, l)
		case age > limit || age < -time.Hour: // the latter: the clock was set back
			over = append(over, Over{l, "expired: the daemon that asked for it is gone"})
		}
		return nil
	})
	slices.SortFunc(over, func(a, b Over) int { return a.Compare(b.Lease) })
	slices.SortFunc(kept, lease.Lease.Compare)
	return over, kept, errors.Join(err, leaseErr)
}

// livesIn returns a function that reports whether a daemon still runs; it looks once for each.
func livesIn(proc string) func(lease.Daemon) bool {
	known := map[lease.Daemon]bool{}
	return func(d lease.Daemon) bool {
		alive, looked := known[d]
		if !looked {
			alive = d.Alive(proc)
			known[d] = alive
		}
		return alive
	}
}

// makeRoom frees the target that a daemon that is gone has held the longest, and reports
// whether there was one. except is the target that needs the room: its lock is held.
func (h *Holder) makeRoom(ctx context.Context, except target.Target) bool {
	lives := livesIn(h.Proc)
	var oldest lease.Lease
	err := h.Leases.Each(func(l lease.Lease) error {
		if lease.SameLock(l.Target, except) || l.Daemon == nil ||
			oldest.Daemon != nil && !l.Renewed.Before(oldest.Renewed) {
			return nil
		}
		if !lives(*l.Daemon) {
			oldest = l
		}
		return nil
	})
	if err != nil || oldest.Daemon == nil {
		return false
	}
	r, err := h.ReleaseSeen(ctx, oldest)
	return err == nil && !r.Held()
}
