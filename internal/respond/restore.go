package respond

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/filelock"
	"github.com/ossec-ar/ossec-ar/internal/lease"
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
		rows, err := p.compared(ctx)
		if err != nil {
			return p.fail(err)
		}
		p.say("would block %d addresses again", len(p.missingIn(ctx, rows, 0)))
		if n := len(misplacedIn(rows)); n > 0 {
			p.say("would move %d addresses to where the configuration has them now", n)
		}
		return status
	}
	n, rows, err := p.restoreMissing(ctx, 0)
	if err != nil {
		status = p.fail(err)
	} else {
		p.say("Blocked %d addresses again", n)
	}
	misplaced := misplacedIn(rows)
	if len(misplaced) == 0 {
		return status
	}
	if err := p.blockInBulk(ctx, misplaced); err != nil {
		return p.fail(err)
	}
	p.say("Moved %d addresses to where the configuration has them now", len(misplaced))
	return status
}

// misplacedIn returns the addresses that are held and in force where another configuration
// put them, such as another firewall.backend.
func misplacedIn(rows []listed) []netip.Addr {
	var addrs []netip.Addr
	for _, r := range rows {
		if r.State == stateBlocked && r.misplaced {
			addrs = append(addrs, r.Address)
		}
	}
	return addrs
}

// restoreRounds is how often restoring begins anew because somebody takes blocks away while
// they are put back.
const restoreRounds = 10

// restoreMissing blocks whatever is leased, for as long as age at least, but not blocked, and
// returns how many that were. One address of each family goes along though it is blocked,
// so that what blocks rest on, such as a jump that somebody removed, is looked at even when
// nothing is missing. It ends when it has looked and all are there, among them what was
// leased and taken away meanwhile; rows is what it saw last.
func (p *call) restoreMissing(ctx context.Context, age time.Duration) (restored int, rows []listed, err error) {
	for round := range restoreRounds {
		rows, err = p.compared(ctx)
		if err != nil {
			return restored, rows, err
		}
		missing := p.missingIn(ctx, rows, age)
		if round > 0 && len(missing) == 0 {
			break
		}
		restored = max(restored, len(missing))
		if round == 0 {
			missing = append(missing, oneOfEach(rows)...)
		}
		if err := p.blockAll(ctx, missing); err != nil || len(missing) == 0 {
			return restored, rows, err
		}
	}
	return restored, rows, nil
}

// oneOfEach returns an address of each family that is blocked.
func oneOfEach(rows []listed) []netip.Addr {
	var addrs []netip.Addr
	for _, v6 := range []bool{false, true} {
		i := slices.IndexFunc(rows, func(r listed) bool { return r.State == stateBlocked && r.Address.Is6() == v6 })
		if i >= 0 {
			addrs = append(addrs, rows[i].Address)
		}
	}
	return addrs
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
func (p *call) testify(ctx context.Context, witness netip.Addr) (restoring *filelock.Lock, flushed bool) {
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

// missingIn returns what is leased, for as long as age at least, but not blocked, and not on
// the whitelist. A lease of the future is not young: the clock was set back.
func (p *call) missingIn(ctx context.Context, rows []listed, age time.Duration) []netip.Addr {
	var missing []netip.Addr
	now := p.Now()
	for _, r := range rows {
		if r.State == stateMissing && slices.ContainsFunc(r.Leases, func(l lease.Lease) bool { return now.Sub(l.Renewed).Abs() >= age }) {
			missing = append(missing, r.Address)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	never := p.neverBlocked(ctx)
	return slices.DeleteFunc(missing, func(addr netip.Addr) bool {
		_, covered := never.Match(addr)
		return covered
	})
}
