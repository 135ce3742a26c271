package respond

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/program"
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
		return program.ExitOK
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
		return program.ExitOK
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
	status := program.ExitOK
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

// reconcile shows what differs between the leases and the host. It is exit status 1 when
// anything does and is not mended.
func (p *call) reconcile(ctx context.Context, repair bool) int {
	p.looking = !repair
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	d, err := p.lookTwice(ctx)
	if err != nil {
		return p.fail(err)
	}
	for _, addr := range d.missing {
		p.say("%s is leased but not blocked", addr)
	}
	for _, addr := range d.unheld {
		p.say("%s is blocked but nobody holds it", addr)
	}
	for _, addr := range d.covered {
		p.say("%s is blocked but on the whitelist", addr)
	}
	if !repair || p.dryRun {
		if d.agrees() {
			return program.ExitOK
		}
		return program.ExitFailed
	}
	blockErr := p.blockAll(ctx, d.missing)
	freed, err := p.unblockAll(ctx, d.unheld)
	var leaseErr error
	for _, addr := range freed {
		leaseErr = errors.Join(leaseErr, p.store.Lifted(addr))
	}
	p.logUnblocked(freed, "(nobody held it)")
	p.leaseFaults(leaseErr)
	status := program.ExitOK
	if err := errors.Join(blockErr, err); err != nil {
		status = p.fail(err)
	}
	for _, addr := range d.covered {
		status = max(status, p.unblock(ctx, addr, "(whitelisted)"))
	}
	if status == program.ExitOK {
		p.say("Blocked %d addresses again, freed %d", len(d.missing), len(freed)+len(d.covered))
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
