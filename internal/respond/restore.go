package respond

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// restore expires what is due and then blocks again whatever is leased but not blocked, and
// moves what stands where another configuration put it.
func (p *call) restore(ctx context.Context) int {
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	due, _, _, err := p.orphans()
	if err != nil {
		return p.fail(err)
	}
	// After a reboot the clock may not be set yet: no lease is due for being of the future.
	due = slices.DeleteFunc(due, func(l lease.Lease) bool { return !l.Lifting && l.Renewed.After(p.Now()) })
	status := p.expireAll(ctx, due)
	if p.dryRun {
		v, err := p.look(ctx, 0, false)
		if err != nil {
			return p.fail(err)
		}
		p.say("would block %d addresses again", len(v.missing))
		if n := len(v.misplaced); n > 0 {
			p.say("would move %d addresses to where the configuration has them now", n)
		}
		return status
	}
	n, misplaced, err := p.restoreMissing(ctx, 0)
	if err != nil {
		status = p.fail(err)
	} else {
		p.say("Blocked %d addresses again", n)
	}
	if len(misplaced) == 0 {
		return status
	}
	if err := p.blockInBulk(ctx, misplaced); err != nil {
		return p.fail(err)
	}
	p.say("Moved %d addresses to where the configuration has them now", len(misplaced))
	return status
}

// restoreRounds is how often restoring begins anew because somebody takes blocks away while
// they are put back.
const restoreRounds = 10

// restoreMissing blocks whatever is leased, for as long as age at least, but not blocked, and
// returns how many that were. One address of each family goes along though it is blocked,
// so that what blocks rest on, such as a jump that somebody removed, is looked at even when
// nothing is missing. It ends when it has looked and all are there, among them what was
// leased and taken away meanwhile; misplaced is what it saw last.
func (p *call) restoreMissing(ctx context.Context, age time.Duration) (restored int, misplaced []netip.Addr, err error) {
	for round := range restoreRounds {
		v, err := p.look(ctx, age, false)
		if err != nil {
			return restored, misplaced, err
		}
		misplaced = v.misplaced
		if round > 0 && len(v.missing) == 0 {
			break
		}
		restored = max(restored, len(v.missing))
		if round == 0 {
			v.missing = append(v.missing, v.samples...)
		}
		if err := p.blockAll(ctx, v.missing); err != nil || len(v.missing) == 0 {
			return restored, misplaced, err
		}
	}
	return restored, misplaced, nil
}

// otherBlocks is what a block found out about those that should be in force beside it.
type otherBlocks struct {
	flushed bool       // somebody took away what they rest on, or themselves
	first   bool       // nothing was ever blocked in this kernel before
	witness netip.Addr // one of them, if flushed does not tell
}

// restoreFlushed puts blocks back that somebody took away.
func (p *call) restoreFlushed(ctx context.Context, o otherBlocks) error {
	if !o.flushed {
		restoring, flushed := p.testify(ctx, o.witness)
		defer restoring.Release()
		if !flushed {
			return nil
		}
	}
	var age time.Duration
	if o.first { // then young leases are those of processes that are at it this moment
		age = time.Minute
	}
	_, _, err := p.restoreMissing(ctx, age)
	return err
}

// testify tells whether witness, which is leased, is not blocked, so that somebody took the
// blocks away. While they are put back, each block that is added finds that: one process sees
// to it under the lock that is returned, and none waits for it.
func (p *call) testify(ctx context.Context, witness netip.Addr) (restoring *state.Lock, flushed bool) {
	prober, ok := p.enforcer.(enforcer.Prober)
	if !ok || !witness.IsValid() || !prober.Missing(ctx, witness) {
		return nil, false
	}
	restoring, err := p.store.LockRestore()
	if err != nil {
		return nil, false
	}
	// Another process may be lifting or making this very block: it holds the address meanwhile.
	lock, err := p.store.LockAddr(witness)
	defer lock.Release()
	if err != nil {
		return restoring, false
	}
	held, err := p.store.StillHeld([]netip.Addr{witness})
	return restoring, err == nil && len(held) > 0 && prober.Missing(ctx, witness)
}
