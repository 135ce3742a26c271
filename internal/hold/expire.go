package hold

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// Over is a lease that has ended, or will never be given back.
type Over struct {
	lease.Lease
	Why string // "its time is over"
}

// Ended sorts out the leases that are over. Those whose daemon is gone and that may last for
// ever are kept, and returned apart. The error is about ar.conf; what could be found out counts.
func (h *Holder) Ended(all []lease.Lease) (over []Over, kept []lease.Lease, err error) {
	timeouts, err := ossec.ReadTimeouts(h.Home)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	alive := map[lease.Daemon]bool{}
	now := h.Now()
	for _, l := range all {
		switch {
		case l.State == lease.Lifting:
			over = append(over, Over{l, "lifting it had failed"})
			continue
		case !l.Until.IsZero() && now.After(l.Until):
			over = append(over, Over{l, "its time is over"})
			continue
		case l.Daemon == nil:
			continue // by hand: until somebody ends it
		}
		lives, looked := alive[*l.Daemon]
		if !looked {
			lives = l.Daemon.Alive(h.Proc)
			alive[*l.Daemon] = lives
		}
		if lives || !l.Until.IsZero() {
			continue
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
	}
	return over, kept, err
}

// makeRoom frees the address that a daemon that is gone has held the longest, and reports
// whether there was one. except is the address that needs the room: its lock is held.
func (h *Holder) makeRoom(ctx context.Context, except netip.Addr) bool {
	all, err := h.All()
	if err != nil {
		return false
	}
	gone := slices.DeleteFunc(all, func(l lease.Lease) bool {
		return l.Addr == except || l.Daemon == nil || l.Daemon.Alive(h.Proc)
	})
	if len(gone) == 0 {
		return false
	}
	oldest := slices.MinFunc(gone, func(a, b lease.Lease) int { return a.Renewed.Compare(b.Renewed) })
	r, err := h.ReleaseSeen(ctx, oldest)
	return err == nil && len(r.Others) == 0
}
