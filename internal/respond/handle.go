package respond

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// errNoAddress is a call whose <command> expects no address.
var errNoAddress = errors.New(`no address in the request: the <command> in ossec.conf needs <expect>srcip</expect>, or the alert has none`)

// handle carries out the request at hand. conn is how to ask a Wazuh daemon, nil else.
func (p *call) handle(ctx context.Context, conn *arproto.Conn) int {
	if !p.about.Addr.IsValid() {
		return p.fail(errNoAddress)
	}
	if p.about.Action == arproto.Delete {
		return p.delete(ctx)
	}
	if match, covered := p.whitelisted(ctx); covered {
		return p.skip("whitelisted by " + match.String())
	}
	if conn != nil {
		goOn, err := conn.CheckKeys(p.response.Name, []string{p.about.Key()}, p.config.Wazuh.ReplyTimeout.Duration)
		if err != nil {
			p.Complain(fmt.Errorf("asking the daemon: %w (the address is blocked all the same)", err))
		}
		if !goOn {
			return p.skip("the daemon already holds it")
		}
	}
	return p.add(ctx)
}

func (p *call) skip(why string) int {
	p.log(arlog.StatusSkip, arlog.Skipped(p.about.Addr, why))
	p.say("Skipped IP: %s: %s", p.about.Addr, why)
	return app.ExitOK
}

// add blocks the address at hand. When what others block was taken away, that is put back too.
func (p *call) add(ctx context.Context) int {
	if p.dryRun {
		p.say("would block %s: %s", p.about.Addr, p.enforcer.Describe(p.about.Addr))
		return app.ExitOK
	}
	outcome, others, err := p.block(ctx)
	if err != nil {
		return p.fail(err)
	}
	for _, note := range outcome.Notes {
		p.Advise(note)
	}
	if p.person && p.response.Caveat != nil {
		p.Advise(p.response.Caveat())
	}
	if err := p.restoreFlushed(ctx, others); err != nil {
		p.logFault(fmt.Errorf("blocking again what somebody flushed: %w", err))
	}
	return app.ExitOK
}

// block takes the lease and blocks. The lease is on its way to the disk while a block that
// a reboot would lift is put in force: it takes as long as the block does. A block that
// would outlive a reboot waits for its lease, or nobody might ever lift it. others is what it
// found out about other blocks.
func (p *call) block(ctx context.Context) (outcome enforcer.Outcome, others otherBlocks, err error) {
	addr := p.about.Addr
	lock, leaseErr := p.store.LockAddr(addr)
	defer lock.Release()
	var held lease.Held
	settle := func() error { return leaseErr }
	kernel := lease.Kernel(p.Proc)
	if leaseErr == nil {
		held, settle = p.store.Acquire(p.newLease(), kernel)
	}
	if p.response.Lasting {
		leaseErr = settle()
	}
	outcome, err = p.enforcer.Block(ctx, addr, held.Fresh())
	leaseErr = settle()
	if errors.Is(err, enforcer.ErrFull) && p.evict(ctx) {
		outcome, err = p.enforcer.Block(ctx, addr, false)
	}
	if err != nil {
		if leaseErr == nil {
			err = errors.Join(err, p.store.Withdraw(addr, p.Name, held))
		}
		return outcome, others, err
	}
	if outcome.Founded && leaseErr == nil {
		var known bool
		known, leaseErr = p.store.MarkComplete(addr, kernel)
		others.first = !known
	}
	others.flushed = outcome.Remade || outcome.Alone && held.Elsewhere
	others.witness = held.Witness
	p.log(arlog.StatusAdd, arlog.Blocked(addr, p.about.RuleID, p.about.User))
	p.say("Blocked IP: %s", addr)
	p.leaseFaults(leaseErr)
	return outcome, others, nil
}

func (p *call) newLease() lease.Lease {
	now := p.Now().UTC()
	return lease.Lease{
		Addr: p.about.Addr, Program: p.Name,
		RuleID: p.about.RuleID, AlertID: p.about.AlertID, User: p.about.User,
		Since: now, Renewed: now, Daemon: p.daemon,
	}
}

// delete gives the lease back and lifts the block if nobody else holds it.
func (p *call) delete(ctx context.Context) int {
	if p.dryRun {
		return p.dryDelete()
	}
	held, leaseErr, err := p.giveBack(ctx, lease.Lease{Addr: p.about.Addr, Program: p.Name}, false)
	switch {
	case err != nil:
		return p.fail(err)
	case len(held.Others) > 0:
		p.leaseFaults(nil)
		return p.skip("still held by " + holders(held.Others))
	}
	p.log(arlog.StatusDelete, arlog.Unblocked(p.about.Addr, p.about.User))
	p.say("Unblocked IP: %s", p.about.Addr)
	p.leaseFaults(leaseErr)
	return app.ExitOK
}

// giveBack ends the lease of a program on an address and, when nobody else holds that, lifts
// the block. err is nil when the block is gone or others hold it. leaseErr tells what the
// leases suffered: a store that fails holds nothing, and the block is lifted as a stock
// script would. Of a lease that was seen, nothing is lifted unless it is still that one.
func (p *call) giveBack(ctx context.Context, l lease.Lease, seen bool) (held lease.Held, leaseErr, err error) {
	lock, leaseErr := p.store.LockAddr(l.Addr)
	defer lock.Release()
	switch {
	case leaseErr != nil:
	case seen:
		held, leaseErr = p.store.ReleaseSeen(l)
	default:
		held, leaseErr = p.store.Release(l.Addr, l.Program)
	}
	if len(held.Others) > 0 {
		return held, leaseErr, nil
	}
	if seen && leaseErr != nil {
		return held, nil, leaseErr
	}
	if err := p.enforcer.Unblock(ctx, l.Addr); err != nil {
		return held, leaseErr, err
	}
	if leaseErr == nil && (held.Mine != nil || len(held.Lifting) > 0) {
		leaseErr = p.store.Lifted(l.Addr)
	}
	return held, leaseErr, nil
}

func (p *call) dryDelete() int {
	held, err := p.store.Holders(p.about.Addr, p.Name)
	switch {
	case err != nil:
		return p.fail(err)
	case len(held.Others) > 0:
		p.say("would not unblock %s: still held by %s", p.about.Addr, holders(held.Others))
	default:
		p.say("would unblock %s", p.about.Addr)
	}
	return app.ExitOK
}

// holders names who holds an address, for a message. The rule id came from outside once.
func holders(leases []lease.Lease) string {
	var names []string
	for _, l := range leases {
		name := arlog.Word(l.Program)
		if l.RuleID != "" {
			name += " (Rule: " + arlog.Word(l.RuleID) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// leaseFaults tells what the leases suffered, now that the block is as it should be: each
// fault once, however many addresses it is about.
func (p *call) leaseFaults(err error) {
	for _, fault := range append(p.store.Faults(), err) {
		if fault == nil || p.told[fault.Error()] {
			continue
		}
		if p.told == nil {
			p.told = map[string]bool{}
		}
		p.told[fault.Error()] = true
		p.logFault(fault)
	}
}

// leases returns all leases. A damaged file is mended first, unless nothing is to be changed.
func (p *call) leases() ([]lease.Lease, error) {
	all, err := p.store.All()
	if err == nil || p.looking || p.dryRun || !errors.Is(err, lease.ErrDamaged) || p.store.Mend() != nil {
		return all, err
	}
	p.leaseFaults(nil)
	return p.store.All()
}

// whitelisted asks the whitelist for the address at hand and tells the faults in it.
func (p *call) whitelisted(ctx context.Context) (whitelist.Match, bool) {
	list := p.readWhitelist()
	match, covered := list.Match(ctx, p.about.Addr)
	if faults := list.Faults(); len(faults) > 0 {
		p.Complain(errors.Join(faults...))
		var few enforcer.Failures
		for _, fault := range faults {
			few.Add(fault)
		}
		p.log(arlog.StatusError, arlog.Failed(fmt.Errorf("%w (the rest of the whitelist counts)", few.All())))
	}
	return match, covered
}

// readWhitelist returns the whitelist, or what could be read of it.
func (p *call) readWhitelist() *whitelist.List {
	list, err := neverblock.List(p.Home, p.config.Whitelist, p.Resolver)
	if err != nil {
		p.logFault(err)
	}
	return list
}

// neverBlocked returns the whitelist in a form for many addresses, as it was when it was
// asked for first, and tells the faults in it then.
func (p *call) neverBlocked(ctx context.Context) *whitelist.Sieve {
	if p.never != nil {
		return p.never
	}
	list := p.readWhitelist()
	p.never = list.Sieve(ctx)
	for _, fault := range list.Faults() {
		p.Complain(fault)
	}
	return p.never
}
