package respond

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// flush lifts all blocks and ends all leases, while nobody else changes any. In a file
// that is the administrator's too, only what is leased is taken out.
func (p *call) flush(ctx context.Context) int {
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	lock, leaseErr := p.store.LockAll()
	defer lock.Release()
	addrs, lift, err := p.toFlush(ctx)
	if err != nil {
		return p.fail(err)
	}
	if p.dryRun {
		p.say("would unblock %d addresses", len(addrs))
		return app.ExitOK
	}
	if err := lift(ctx); err != nil {
		return p.fail(err)
	}
	clearErr := p.store.Clear()
	p.logUnblocked(addrs, "(all, by hand)")
	p.say("Unblocked all %d addresses", len(addrs))
	p.leaseFaults(leaseErr)
	return p.stillLeased(clearErr)
}

// stillLeased returns the exit status after leases were to end: if they did not, the blocks
// are lifted, but a restore puts them back.
func (p *call) stillLeased(err error) int {
	if err == nil {
		return app.ExitOK
	}
	return p.fail(fmt.Errorf("%w: what is still leased will be blocked again", err))
}

// toFlush returns what flush frees, and how.
func (p *call) toFlush(ctx context.Context) ([]netip.Addr, func(context.Context) error, error) {
	var addrs []netip.Addr
	if !p.response.Lasting {
		blocks, err := p.enforcer.List(ctx)
		for _, b := range blocks {
			addrs = append(addrs, b.Addr)
		}
		return addrs, p.enforcer.Flush, err
	}
	leases, err := p.leases()
	for _, l := range leases {
		if n := len(addrs); n == 0 || addrs[n-1] != l.Addr { // they are in order
			addrs = append(addrs, l.Addr)
		}
	}
	return addrs, func(ctx context.Context) error { return p.enforcer.UnblockAll(ctx, addrs, nil) }, err
}

// logUnblocked logs one line for each address.
func (p *call) logUnblocked(addrs []netip.Addr, why string) {
	var entries []arlog.Entry
	for _, addr := range addrs {
		p.about = arproto.Request{Addr: addr}
		entries = append(entries, p.entry(arlog.StatusDelete, arlog.Unblocked(addr, "")+" "+why))
	}
	p.about = arproto.Request{}
	p.logEntries(entries)
}

// expire frees the addresses whose lease will never be given back, because the daemon
// that asked for it died, and tries again what could not be lifted.
func (p *call) expire(ctx context.Context) int {
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	due, _, kept, err := p.orphans()
	if err != nil {
		return p.fail(err)
	}
	status := p.expireAll(ctx, due)
	if p.StdoutTerminal || p.dryRun {
		for _, l := range kept {
			p.say("kept %s, held by %s: its daemon is gone, but it may last for ever", l.Addr, holders([]lease.Lease{l}))
		}
	}
	return status
}

func (p *call) expireAll(ctx context.Context, due []lease.Lease) int {
	status := app.ExitOK
	for _, l := range due {
		if p.dryRun {
			p.say("would expire %s, held by %s", l.Addr, holders([]lease.Lease{l}))
			continue
		}
		if err := p.expireOne(ctx, l); err != nil {
			status = p.fail(err)
		}
	}
	p.about = arproto.Request{}
	return status
}

func (p *call) expireOne(ctx context.Context, l lease.Lease) error {
	p.about = arproto.Request{Action: arproto.Delete, Addr: l.Addr, AlertID: l.AlertID, RuleID: l.RuleID}
	held, leaseErr, err := p.giveBack(ctx, l, true)
	if errors.Is(err, lease.ErrRenewed) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.leaseFaults(leaseErr)
	if len(held.Others) > 0 {
		p.say("Expired %s of %s, still held by %s", l.Addr, l.Program, holders(held.Others))
		return nil
	}
	p.log(arlog.StatusDelete, arlog.Unblocked(l.Addr, "")+" (expired: the daemon that asked for it is gone)")
	p.say("Unblocked IP: %s", l.Addr)
	return nil
}

// evict frees the address that has been held longest for a daemon that is gone, to make
// room, and tells whether there was one.
func (p *call) evict(ctx context.Context) bool {
	due, waiting, kept, err := p.orphans()
	all := slices.Concat(due, waiting, kept)
	if err != nil || len(all) == 0 {
		return false
	}
	oldest := slices.MinFunc(all, func(a, b lease.Lease) int { return a.Renewed.Compare(b.Renewed) })
	held, leaseErr, err := p.giveBack(ctx, oldest, true)
	if err != nil || len(held.Others) > 0 {
		return false
	}
	about := p.about
	p.about = arproto.Request{Addr: oldest.Addr, AlertID: oldest.AlertID, RuleID: oldest.RuleID}
	p.log(arlog.StatusDelete, arlog.Unblocked(oldest.Addr, "")+" (to make room: the daemon that asked for it is gone)")
	p.about = about
	p.leaseFaults(leaseErr)
	return true
}

// orphans sorts out the leases whose daemon is gone: those that are due, those whose time is
// not yet over, and those that are kept because they may last for ever.
func (p *call) orphans() (due, waiting, kept []lease.Lease, err error) {
	leases, err := p.leases()
	if err != nil {
		return nil, nil, nil, err
	}
	timeouts, err := ossec.ReadTimeouts(p.Home)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.logFault(err)
	}
	alive := map[lease.Daemon]bool{}
	for _, l := range leases {
		if l.Lifting {
			due = append(due, l)
			continue
		}
		if l.Daemon == nil {
			continue // by hand, or by something that is no daemon: until it is deleted
		}
		lives, known := alive[*l.Daemon]
		if !known {
			lives = l.Daemon.Alive(p.Proc)
			alive[*l.Daemon] = lives
		}
		limit, limited := p.config.Lease.OrphanTimeout.Duration, true
		if limit == 0 {
			limit, limited = timeouts.Longest(l.Program)
		}
		switch age := p.Now().Sub(l.Renewed); {
		case lives:
		case !limited:
			kept = append(kept, l)
		case age > limit || age < -time.Hour: // the latter: the clock was set back
			due = append(due, l)
		default:
			waiting = append(waiting, l)
		}
	}
	return due, waiting, kept, nil
}
