// Package respond carries out one call of a blocking response: it asks the whitelist, takes or
// gives back the lease, has the block put in force or lifted (internal/hold), and logs what is
// true then. What a block is, it leaves to the enforcer; what a person wants to know, to ossec-ar.
//
// Protection comes first: when settings, leases, log or the daemon's answer fail, the block is
// still made and still lifted, and the fault is logged.
package respond

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// deadline bounds a whole call, whatever hangs. It is for what has no bound of its own: programs
// that are run have one, and so has waiting in a line that does not move.
const deadline = 10 * time.Minute

// responder is one run of a response.
type responder struct {
	app.Program
	app.Call
	kind enforcer.Kind
	hold *hold.Holder
	log  record.Log
}

// Main runs the response that blocks in this way and returns its exit status.
func Main(env app.Env, kind enforcer.Kind) int {
	r := &responder{Program: app.New(env, kind.Name), kind: kind}
	r.Hint, r.Accounts = kind.Hint, kind.Accounts
	call, asked, status := r.ReadCall("--response", kind.Name)
	if !asked {
		return status
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	defer context.AfterFunc(ctx, killChildren)()
	return r.handle(ctx, call)
}

// killChildren ends what a library still runs without a deadline, so that the library fails, until
// the process ends.
func killChildren() {
	for {
		exec.KillChildren()
		time.Sleep(100 * time.Millisecond)
	}
}

// handle carries out a call.
func (r *responder) handle(ctx context.Context, c app.Call) int {
	r.Call = c
	r.log = record.Log{Program: &r.Program, JSON: c.Settings.Log.JSON, Off: c.DryRun}
	if c.Fault != nil {
		return r.fail(c.Request, c.Fault)
	}
	r.log.Warn(c.Request, c.SettingsFault)
	var err error
	r.hold, err = hold.Open(r.kind, hold.Options{
		Home: r.Home, Settings: c.Settings, Now: r.Now, Proc: r.Proc, ReadOnly: c.DryRun,
	})
	if err == nil && !c.ByHand {
		r.hold.Escalate = c.Settings.Escalate
	}
	if err == nil && c.Request.Action == arproto.Delete && !r.about(c.Request).IsValid() {
		r.recall(&c.Request)
	}
	switch {
	case err != nil:
		return r.fail(c.Request, err)
	case !r.about(c.Request).IsValid():
		return r.fail(c.Request, c.NoTarget(r.Accounts))
	case c.Request.Action == arproto.Delete:
		return r.delete(ctx, c.Request)
	}
	return r.add(ctx, c.Request)
}

// recall gives a delete without an address that of the lease that its alert took: the field that it came
// from may have been taken out of wazuh.address_fields since.
func (r *responder) recall(request *arproto.Request) {
	var taken []lease.Lease
	_ = r.hold.Leases.Each(func(l lease.Lease) error { // leases that cannot be read are none
		if request.AlertID != "" && l.Program == r.Name && l.AlertID == request.AlertID && l.RuleID == request.RuleID {
			taken = append(taken, l)
		}
		return nil
	})
	if len(taken) == 1 && !r.Accounts {
		request.Addr = taken[0].Target.Addr()
	}
}

// about returns what a request asks to block: its address or its account. The zero Target is none.
func (r *responder) about(request arproto.Request) target.Target {
	if r.Accounts {
		return target.Account(request.Account())
	}
	return target.Of(request.Addr)
}

// add blocks the address of a request, unless it is on the whitelist.
func (r *responder) add(ctx context.Context, request arproto.Request) int {
	list := r.whitelist(request)
	if match, covered := list.Match(request.Addr); covered {
		r.whitelistFaults(request, list)
		return r.skip(request, "whitelisted by "+match.String())
	}
	l := r.newLease(request)
	narrow := r.hold.Widen(&l, func(network target.Target) (string, bool) {
		match, inside := list.Sieve().Overlap(network.Prefix())
		return match.String(), inside
	})
	r.whitelistFaults(request, list)
	if r.DryRun {
		r.say("would block %s: %s", r.about(request), r.hold.Enforcer.Describe(l.Blocks()))
		return app.ExitOK
	}
	r.log.Warn(request, narrow)
	known := r.daemonHolds(request)
	taken, err := r.hold.Take(ctx, l)
	var refused *enforcer.Refused
	if errors.As(err, &refused) {
		r.leaseFaults(request, taken.LeaseErr)
		return r.skip(request, refused.Why)
	}
	if err != nil {
		r.log.Warn(request, taken.LeaseErr)
		return r.fail(request, err)
	}
	if known && taken.Already {
		r.skip(request, "the daemon already holds it")
	} else {
		message := r.blocked(request, taken)
		r.log.Write(record.Entry{Status: arlog.StatusAdd, Message: message, About: request})
		r.say("%s", record.Blocks(r.about(request)))
	}
	r.afterAdd(ctx, request, taken)
	return app.ExitOK
}

// afterAdd reports what is beside a block that stands, and has the others put back when this call
// had to make the place that they live in.
func (r *responder) afterAdd(ctx context.Context, request arproto.Request, taken hold.Taken) {
	r.leaseFaults(request, taken.LeaseErr)
	for _, note := range taken.Notes {
		r.Advise(note)
	}
	if !taken.Made || taken.LeaseErr != nil {
		return
	}
	if err := r.hold.PutBack(ctx); err != nil {
		r.log.Warn(request, fmt.Errorf("blocking again what somebody removed: %w", err))
	}
}

// daemonHolds asks the Wazuh daemon that called, and reports whether it holds the address already.
// That is no proof that the block stands.
func (r *responder) daemonHolds(request arproto.Request) bool {
	if r.Conn == nil {
		return false
	}
	goOn, err := r.Conn.CheckKeys(r.kind.Name, []string{r.about(request).String()},
		r.Settings.Wazuh.ReplyTimeout.Duration)
	if err != nil {
		r.Complain(fmt.Errorf("asking the daemon: %w (it is blocked all the same)", err))
	}
	return !goOn
}

func (r *responder) newLease(request arproto.Request) lease.Lease {
	now := r.Now().UTC()
	l := lease.Lease{
		Target: r.about(request), Program: r.Name,
		RuleID: request.RuleID, AlertID: request.AlertID, User: request.User,
		Since: now, Renewed: now, Daemon: r.Daemon,
	}
	if request.Timeout > 0 {
		l.Until = now.Add(request.Timeout)
	}
	return l
}

// delete gives the lease back and lifts the block if nobody else holds it.
func (r *responder) delete(ctx context.Context, request arproto.Request) int {
	if r.DryRun {
		return r.dryDelete(request)
	}
	stood := !r.ByHand || r.stands(ctx, r.about(request))
	released, err := r.hold.Release(ctx, r.about(request), r.Name)
	switch {
	case err != nil:
		r.log.Warn(request, released.LeaseErr)
		return r.fail(request, err)
	case released.Held():
		r.skip(request, "still held by "+Holders(released))
	case !stood && !released.Leased:
		r.say("%s was not blocked", r.about(request))
	default:
		r.log.Write(record.Entry{Status: arlog.StatusDelete,
			Message: record.Unblocked(r.about(request), request.User) + r.byHand(request), About: request})
		r.say("%s", record.Unblocked(r.about(request), ""))
	}
	r.leaseFaults(request, released.LeaseErr)
	return app.ExitOK
}

// stands reports whether a target is blocked, for a person; true when that cannot be found out.
func (r *responder) stands(ctx context.Context, t target.Target) bool {
	listing, err := r.hold.Enforcer.List(ctx)
	for _, b := range listing.Blocks {
		if b.Target == t {
			return true
		}
	}
	return err != nil
}

func (r *responder) dryDelete(request arproto.Request) int {
	held, err := r.hold.WouldRelease(r.about(request), r.Name)
	if err != nil {
		return r.fail(request, err)
	}
	if held.Held() {
		r.say("would not unblock %s: still held by %s", r.about(request), Holders(held))
	} else {
		r.say("would unblock %s", r.about(request))
	}
	return app.ExitOK
}

// Holders names who still holds an address, for a message. The rule id came from outside once.
func Holders(r hold.Released) string {
	var names []string
	for _, l := range r.Others {
		name := arlog.Word(l.Program)
		if l.RuleID != "" {
			name += " (Rule: " + arlog.Word(l.RuleID) + ")"
		}
		names = append(names, name)
	}
	for _, network := range r.Networks {
		names = append(names, "others for "+network.String())
	}
	return strings.Join(names, ", ")
}

// whitelist returns what is never blocked for a request; no list has accounts: the enforcer knows
// which it refuses.
func (r *responder) whitelist(request arproto.Request) *whitelist.List {
	if r.Accounts {
		return &whitelist.List{}
	}
	list, err := neverblock.List(r.Home, r.Settings.Whitelist, r.Now())
	r.log.Warn(request, err)
	if r.ByHand && r.Settings.Whitelist.AdminSession {
		for peer, what := range r.SSHSessions() {
			list.AddPrefix(netip.PrefixFrom(peer, peer.BitLen()), what+" from "+peer.String(), "built in")
		}
	}
	return list
}

// whitelistFaults reports what is wrong with the list, which is known when it was asked.
func (r *responder) whitelistFaults(request arproto.Request, list *whitelist.List) {
	var few enforcer.Failures
	for _, fault := range list.Faults() {
		few.Add(fault)
	}
	if err := few.All(); err != nil {
		r.log.Warn(request, fmt.Errorf("%w (the rest of the whitelist counts)", err))
	}
}

// blocked is the message about a block, which may be that of the address's network.
func (r *responder) blocked(request arproto.Request, taken hold.Taken) string {
	longer := ""
	if !taken.Until.IsZero() {
		longer = " (blocked before: held until " + taken.Until.Format(time.RFC3339) + ")"
	}
	return record.Blocked(r.about(request), request.RuleID, request.User) + record.Network(taken.Block) +
		longer + r.byHand(request)
}

// byHand marks a message about what a person did, here or from the manager.
func (r *responder) byHand(request arproto.Request) string {
	if r.ByHand || request.ByHand {
		return " (by hand)"
	}
	return ""
}

// fail reports why what was asked for does not hold, and returns the exit status. A person's
// mistake in the words is not logged.
func (r *responder) fail(request arproto.Request, err error) int {
	r.Complain(err)
	if r.Fault == nil || !r.ByHand {
		r.log.Write(record.Entry{Status: arlog.StatusError, Message: arlog.Failed(err), About: request})
	}
	return app.ExitFailed
}

func (r *responder) skip(request arproto.Request, why string) int {
	message := record.Skipped(r.about(request), why)
	r.log.Write(record.Entry{Status: arlog.StatusSkip, Message: message, About: request})
	r.say("%s", message)
	return app.ExitOK
}

// say answers a person. The daemons read nothing, and standard output belongs to the protocol.
func (r *responder) say(format string, args ...any) {
	if r.ByHand {
		fmt.Fprintf(r.Stdout, format+"\n", args...)
	}
}

// leaseFaults reports what the leases suffered, now that the block is as it should be.
func (r *responder) leaseFaults(request arproto.Request, err error) {
	for _, fault := range append(r.hold.Leases.Faults(), err) {
		if fault != nil {
			r.log.Warn(request, fmt.Errorf("%w (the response went on without it)", fault))
		}
	}
}
