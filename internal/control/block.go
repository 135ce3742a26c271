package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// block blocks addresses by hand.
func block(t *tool, c *cli.Context) error {
	t.chosen = t.chosen[:1]
	requests, err := requests(t, c)
	if err != nil {
		return err
	}
	limit, err := duration(c, forFlag)
	if err != nil {
		return err
	}
	r, err := t.open(t.chosen[0], false)
	if err != nil {
		return err
	}
	never, faults := t.whitelist()
	t.warn(r, faults)
	failed, done := false, false
	sessions := sessions(t)
	for _, request := range requests {
		if what, from := sessions[request.Addr]; from && !c.Bool("force") {
			t.Complain(fmt.Errorf("%s is not blocked: %s comes from it", request.Addr, what))
			t.Advise("--force blocks it all the same")
			failed = true
			continue
		}
		if match, covered := never.Match(request.Addr); covered {
			t.Complain(fmt.Errorf("%s is not blocked: whitelisted by %s", request.Addr, match))
			r.log.Write(record.Entry{Status: arlog.StatusSkip,
				Message: record.Skipped(about(request), "whitelisted by "+match.String()), About: request})
			failed = true
			continue
		}
		if t.dryRun {
			t.say("would block %s: %s", request.Addr, r.Enforcer.Describe(about(request)))
			continue
		}
		if err := blockOne(c.Context, t, r, request, never, limit, c.String("reason")); err != nil {
			t.Complain(r.failed(request, err))
			failed = true
			continue
		}
		done = true
	}
	if done && r.Kind.Effect != nil {
		_, text := r.Kind.Effect("/")
		t.Advise(text)
	}
	return command.Reported(failed)
}

// sessions are the SSH sessions whose addresses are not blocked by mistake.
func sessions(t *tool) map[netip.Addr]string {
	if !t.settings.Whitelist.AdminSession {
		return nil
	}
	return t.SSHSessions()
}

func blockOne(ctx context.Context, t *tool, r *response, request arproto.Request, never *whitelist.Sieve,
	limit time.Duration, reason string) error {
	now := t.Now().UTC()
	l := lease.Lease{Target: about(request), Program: Name, Since: now, Renewed: now, Reason: reason}
	r.log.Warn(request, r.Widen(&l, covers(never)))
	until := ""
	if limit > 0 {
		l.Until = now.Add(limit)
		until = ", until " + t.when(l.Until)
	}
	taken, err := r.Take(ctx, l)
	if err != nil {
		return errors.Join(err, taken.LeaseErr)
	}
	r.log.Write(record.Entry{Status: arlog.StatusAdd, Message: record.Blocked(l.Target, "", "") +
		record.Network(taken.Block) + " (by hand)", About: request})
	t.say("%s%s (%s%s)", record.Blocks(l.Target), record.Network(taken.Block), r.Kind.Name, until)
	for _, note := range taken.Notes {
		t.Advise(note)
	}
	r.leaseFaults(request, taken.LeaseErr)
	if taken.Made {
		if err := r.PutBack(ctx); err != nil {
			r.log.Warn(request, fmt.Errorf("blocking again what somebody removed: %w", err))
		}
	}
	return nil
}

// unban frees addresses in all chosen responses, whoever holds them.
func unban(t *tool, c *cli.Context) error {
	requests, err := requests(t, c)
	if err != nil {
		return err
	}
	limit, err := duration(c, allowFlag)
	if err != nil {
		return err
	}
	if limit > 0 {
		if err := allow(t, requests, limit); err != nil {
			return err
		}
	}
	opened, failed := t.openAll(false)
	standing := map[*response]map[target.Target]bool{}
	for _, r := range opened {
		standing[r] = r.standing(c.Context)
	}
	for _, request := range requests {
		if err := unbanOne(c.Context, t, request, opened, standing); err != nil {
			t.Complain(fmt.Errorf("%s could not be freed: %w", about(request), err))
			failed = true
		}
	}
	return command.Reported(failed)
}

// allow whitelists the addresses of requests for a while.
func allow(t *tool, requests []arproto.Request, limit time.Duration) error {
	for _, request := range requests {
		if !request.Addr.IsValid() {
			return command.Mistaken("", "--allow is about addresses, and %s is an account", about(request))
		}
		if _, err := editor(t).Add(request.Addr.String(), t.end(limit)); err != nil {
			return err
		}
		if !t.dryRun {
			t.say("%s is whitelisted until %s", request.Addr, t.when(t.end(limit)))
		}
	}
	return nil
}

// standing returns what stands, nil when that cannot be found out.
func (r *response) standing(ctx context.Context) map[target.Target]bool {
	listing, err := r.Enforcer.List(ctx)
	if err != nil && !absent(err) {
		return nil
	}
	stands := make(map[target.Target]bool, len(listing.Blocks))
	for _, b := range listing.Blocks {
		stands[b.Target] = true
	}
	return stands
}

func unbanOne(ctx context.Context, t *tool, request arproto.Request, opened []*response,
	standing map[*response]map[target.Target]bool) error {
	var freed []string
	of := about(request)
	var failed error
	for _, r := range opened {
		if r.Kind.Accounts != (of.Account() != "") {
			continue
		}
		around := slices.DeleteFunc(hold.Around(of), func(t target.Target) bool { return !standing[r][t] })
		if leased, err := r.Leased(of); err == nil && !leased && standing[r] != nil && len(around) == 0 {
			continue // it neither stands nor is leased
		}
		if t.dryRun {
			freed = append(freed, r.Kind.Name)
			continue
		}
		released, err := r.Free(ctx, of)
		for _, network := range around { // also one that nobody leased
			if err == nil && network != of {
				_, err = r.Free(ctx, network)
			}
		}
		if err != nil {
			failed = errors.Join(failed, r.failed(request, err))
			continue
		}
		r.leaseFaults(request, released.LeaseErr)
		if released.StillLeased {
			failed = errors.Join(failed, r.about(
				fmt.Errorf("a program still asks for the block, and it will be made again: %w", released.LeaseErr)))
		}
		if len(around) > 0 || released.Leased {
			freed = append(freed, r.Kind.Name)
			r.log.Write(record.Entry{Status: arlog.StatusDelete, Message: record.Unblocked(of, "") +
				" (by hand)", About: request})
		}
	}
	switch {
	case len(freed) > 0 && t.dryRun:
		t.say("would unblock %s (%s)", of, strings.Join(freed, ", "))
	case len(freed) > 0:
		t.say("%s (%s)", record.Unblocked(of, ""), strings.Join(freed, ", "))
	case failed == nil:
		t.say("%s was not blocked", of)
	}
	return failed
}
