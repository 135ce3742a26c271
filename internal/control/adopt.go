package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// adopt takes over what the stock scripts have left blocked: it is leased by the program's own name,
// so that the daemon's delete frees it, and blocked before the script's block is lifted. What is on
// the whitelist, and all of it with --lift, is lifted only.
func adopt(t *tool, c *cli.Context) error {
	opened, failed := t.openAll(false)
	n := 0
	for _, r := range opened {
		stock, knows := r.Enforcer.(enforcer.Stock)
		if !knows {
			continue
		}
		found, err := stock.Stock(c.Context)
		if n += len(found); err == nil && len(found) > 0 {
			err = adoptAll(t, c, r, stock, found)
		}
		if err != nil && !(absent(err) && !r.used()) {
			t.Complain(r.failed(arproto.Request{}, err))
			failed = true
		}
	}
	if n == 0 && !failed {
		t.say("nothing is left of the stock scripts")
	}
	return command.Reported(failed)
}

func adoptAll(t *tool, c *cli.Context, r *response, stock enforcer.Stock, found []target.Target) error {
	limit, err := duration(c, forFlag)
	if err != nil {
		return err
	}
	never, faults := t.whitelist()
	t.warn(r, faults)
	slices.SortFunc(found, target.Target.Compare)
	var taken, lifted []target.Target
	for _, f := range found {
		match, covered := never.Match(f.Addr())
		if covered {
			t.say("Skipped IP: %s: whitelisted by %s", f, printable.Line(match.String()))
		}
		if covered || c.Bool("lift") {
			lifted = append(lifted, f)
		} else {
			taken = append(taken, f)
		}
	}
	what, rest := printable.Count(len(taken), "address"), printable.Count(len(lifted), "address")
	if t.dryRun {
		t.say("would take over %s, lift %s (%s)", what, rest, r.Kind.Name)
		return nil
	}
	if err := takeOver(t, c.Context, r, taken, covers(never), cmp.Or(limit, stockTime(t, r))); err != nil {
		return err
	}
	if err := stock.LiftStock(c.Context, found); err != nil {
		return fmt.Errorf("lifting what the stock script left: %w", err)
	}
	if len(taken) > 0 {
		r.log.Write(record.Entry{Status: arlog.StatusAdd, Message: "Imported " + what + " (by hand)"})
	}
	r.logUnblocked(lifted, "(left by the stock script, by hand)")
	t.say("Took over %s, lifted %s (%s)", what, rest, r.Kind.Name)
	return nil
}

// takeOver leases and blocks those that nobody has leased yet.
func takeOver(t *tool, ctx context.Context, r *response, targets []target.Target, never hold.Whitelisted,
	limit time.Duration) error {
	leased := map[target.Target]bool{}
	err := r.Leases.Each(func(l lease.Lease) error {
		leased[l.Target] = true
		return nil
	})
	if err != nil {
		return err
	}
	now := t.Now().UTC()
	like := lease.Lease{Program: stockProgram(t, r), Since: now, Renewed: now}
	if limit > 0 {
		like.Until = now.Add(limit)
	}
	bar := newBar(t.Stderr)
	err = r.TakeAll(ctx, slices.DeleteFunc(slices.Clone(targets),
		func(target target.Target) bool { return leased[target] }), like, never, bar.show)
	bar.end()
	r.leaseFaults(arproto.Request{}, nil)
	return err
}

// stockProgram is the name that the daemon calls the response by.
func stockProgram(t *tool, r *response) string {
	if t.Home.Wazuh() {
		return r.Kind.Name
	}
	return r.Kind.Name + ".sh"
}

// stockTime is how long the daemon would block at the most; zero where it is not known.
func stockTime(t *tool, r *response) time.Duration {
	timeouts, _ := ossec.ReadTimeouts(t.Home) // without them nothing ends by itself
	limit, _ := timeouts.Longest(stockProgram(t, r))
	return limit
}
