package respond

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// reconcile shows what differs between the leases and the host. It is exit status 1 when
// anything does and is not mended.
func (p *call) reconcile(ctx context.Context, repair bool) int {
	p.looking = !repair
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	v, err := p.lookTwice(ctx)
	if err != nil {
		return p.fail(err)
	}
	for _, addr := range v.missing {
		p.say("%s is leased but not blocked", addr)
	}
	for _, addr := range v.unheld {
		p.say("%s is blocked but nobody holds it", addr)
	}
	for _, addr := range v.covered {
		p.say("%s is blocked but on the whitelist", addr)
	}
	if !repair || p.dryRun {
		if v.agrees() {
			return app.ExitOK
		}
		return app.ExitFailed
	}
	blockErr := p.blockAll(ctx, v.missing)
	freed, err := p.unblockAll(ctx, v.unheld)
	var leaseErr error
	for _, addr := range freed {
		leaseErr = errors.Join(leaseErr, p.store.Lifted(addr))
	}
	p.logUnblocked(freed, "(nobody held it)")
	p.leaseFaults(leaseErr)
	status := app.ExitOK
	if err := errors.Join(blockErr, err); err != nil {
		status = p.fail(err)
	}
	for _, addr := range v.covered {
		status = max(status, p.unblock(ctx, addr, "(whitelisted)"))
	}
	if status == app.ExitOK {
		p.say("Blocked %d addresses again, freed %d", len(v.missing), len(freed)+len(v.covered))
	}
	return status
}

// view is what differs between the leases, what is in force and the whitelist, each in order
// of address.
type view struct {
	missing   []netip.Addr // leased but not blocked, and not on the whitelist
	unheld    []netip.Addr // blocked though nobody holds it
	covered   []netip.Addr // held and blocked though it is on the whitelist
	misplaced []netip.Addr // held and blocked where another configuration put it
	samples   []netip.Addr // one of each family that is as it should be
}

// agrees tells that there is nothing to mend; what is misplaced is in force.
func (v *view) agrees() bool { return len(v.missing)+len(v.unheld)+len(v.covered) == 0 }

// look brings leases and what is in force together. What is missing must have been leased for
// as long as age at least; a lease of the future is not young: the clock was set back. covered
// asks for what is, which takes the whole whitelist.
func (p *call) look(ctx context.Context, age time.Duration, covered bool) (v view, err error) {
	leases, err := p.leases()
	if err != nil {
		return v, err
	}
	blocks, err := p.enforcer.List(ctx)
	if err != nil {
		return v, err
	}
	now := p.Now()
	old := func(l lease.Lease) bool { return now.Sub(l.Renewed).Abs() >= age }
	for r := range compare(leases, blocks) {
		switch {
		case r.State == stateMissing:
			if slices.ContainsFunc(r.Leases, old) && !p.covered(ctx, r.Address) {
				v.missing = append(v.missing, r.Address)
			}
		case r.State == stateLifting, r.State == stateNotLeased && !p.response.Lasting:
			v.unheld = append(v.unheld, r.Address)
		case r.State == stateNotLeased: // the administrator's, as a rule
		case covered && p.covered(ctx, r.Address):
			v.covered = append(v.covered, r.Address)
		case r.misplaced:
			v.misplaced = append(v.misplaced, r.Address)
		case len(v.samples) == 0 || v.samples[len(v.samples)-1].Is4() && r.Address.Is6():
			v.samples = append(v.samples, r.Address)
		}
	}
	return v, nil
}

// covered tells whether the address is on the whitelist.
func (p *call) covered(ctx context.Context, addr netip.Addr) bool {
	_, covered := p.neverBlocked(ctx).Match(addr)
	return covered
}

// lookTwice leaves out what a response that is at work between the look at the leases and the
// one at the blocks lets seem different.
func (p *call) lookTwice(ctx context.Context) (view, error) {
	first, err := p.look(ctx, 0, true)
	if err != nil || first.agrees() {
		return first, err
	}
	v, err := p.look(ctx, 0, true)
	v.missing, v.unheld, v.covered = common(first.missing, v.missing), common(first.unheld, v.unheld), common(first.covered, v.covered)
	return v, err
}

// common returns what is in both of two lists that are in order.
func common(a, b []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(b, func(addr netip.Addr) bool {
		_, found := slices.BinarySearchFunc(a, addr, netip.Addr.Compare)
		return !found
	})
}
