package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// never answers whether an address is whitelisted, and reads the whitelist when it is first asked.
func never(t *tool, report func(error)) hold.Whitelisted {
	var sieve *whitelist.Sieve
	return func(of target.Target) (string, bool) {
		if sieve == nil {
			var faults []error
			sieve, faults = t.whitelist()
			for _, fault := range faults {
				report(fault)
			}
		}
		return covers(sieve)(of)
	}
}

// covers answers from a sieve: an address is covered, or a part of a network is.
func covers(sieve *whitelist.Sieve) hold.Whitelisted {
	return func(of target.Target) (string, bool) {
		if match, covered := sieve.Match(of.Addr()); covered || of.IsSingle() || of.Account() != "" {
			return match.String(), covered
		}
		match, covered := sieve.Overlap(of.Prefix())
		return match.String(), covered
	}
}

// repair shows what differs between what is wanted and what is in force, and mends it. A dry run
// is exit status 1 when anything does.
func repair(t *tool, c *cli.Context) error {
	opened, failed := t.openAll(t.dryRun)
	never := never(t, func(fault error) { t.Complain(fault) })
	differs := false
	for _, r := range opened {
		if !r.used() {
			if _, err := r.Enforcer.List(c.Context); absent(err) {
				continue
			}
		}
		some, err := repairOne(c.Context, t, r, never)
		if err != nil {
			t.Complain(r.failed(arproto.Request{}, err))
			failed = true
		}
		differs = differs || some
	}
	if !differs && !failed {
		t.say("nothing differs")
	}
	return command.Reported(failed || differs && t.dryRun)
}

func repairOne(ctx context.Context, t *tool, r *response, never hold.Whitelisted) (differs bool, err error) {
	if !t.dryRun {
		if err := r.Leases.Salvage(); err != nil {
			return false, err
		}
	}
	d, err := r.Compare(ctx, never)
	if err != nil {
		return false, err
	}
	sayDifference(t, r.Kind.Name, d)
	if t.dryRun || d.None() {
		return !d.None(), nil
	}
	repaired, err := r.Repair(ctx, never)
	if errors.Is(err, hold.ErrBusy) {
		t.say("%s: %v", r.Kind.Name, err)
		return true, nil
	}
	r.logRepaired(repaired)
	r.leaseFaults(arproto.Request{}, nil)
	for _, change := range repaired.Place {
		t.say("%s: %s", r.Kind.Name, printable.Line(change))
	}
	t.say("%s: blocked %d again, freed %d", r.Kind.Name, len(repaired.Blocked),
		len(repaired.Lifted)+len(repaired.Never)+len(repaired.Narrowed))
	return true, err
}

// mostShown is how many targets of one kind of difference are named.
const mostShown = 20

func sayDifference(t *tool, name string, d hold.Difference) {
	for _, fault := range d.Place {
		t.say("%s: %s", name, printable.Line(fault))
	}
	several := func(targets []target.Target, what string) {
		for _, one := range targets[:min(len(targets), mostShown)] {
			t.say("%s: %s %s", name, one, what)
		}
		if more := len(targets) - mostShown; more > 0 {
			t.say("%s: and %d more", name, more)
		}
	}
	several(d.Missing, "should be blocked and is not in force")
	several(d.Extra, "is blocked and nothing asks for it")
	for _, n := range d.Never {
		t.say("%s: %s should be blocked but is whitelisted by %s", name, n.Target, printable.Line(n.By))
	}
	for _, n := range d.Narrow {
		t.say("%s: %s is to be blocked, but a part of it is whitelisted by %s", name, n.Target, printable.Line(n.By))
	}
}

// mostLogged is how many targets that are blocked again have a log line, and so an alert, each. More
// were flushed all at once, and are none that count as blocks anew.
const mostLogged = 20

// logRepaired logs what a repair changed.
func (r *response) logRepaired(done hold.Repaired) {
	for _, change := range done.Place {
		r.log.Write(record.Entry{Status: arlog.StatusWarn,
			Message: arlog.Warning(errors.New("mended: " + change))})
	}
	var late, again []target.Target
	for _, of := range done.Blocked {
		if done.Waited[of] {
			late = append(late, of)
		} else {
			again = append(again, of)
		}
	}
	r.logEach(arlog.StatusAdd, late, func(of target.Target) string {
		return record.Blocks(of) + " (late: it could not be blocked before)"
	})
	for _, n := range done.Narrowed {
		r.log.Write(record.Entry{Status: arlog.StatusWarn, About: request(n.Target), Message: arlog.Warning(
			fmt.Errorf("the attackers in %s are blocked one by one: it is whitelisted by %s in part", n.Target,
				strings.TrimSpace(printable.Line(n.By))))})
	}
	if len(again) > mostLogged {
		r.log.Write(record.Entry{Status: arlog.StatusWarn, Message: arlog.Warning(
			fmt.Errorf("mended: blocked %d addresses again that were not in force", len(again)))})
	} else {
		r.logEach(arlog.StatusAdd, again, func(of target.Target) string {
			return record.Blocks(of) + " (again: it was not in force)"
		})
	}
	r.logUnblocked(done.Lifted, "(nothing asks for it)")
	var whitelisted []target.Target
	by := map[target.Target]string{}
	for _, n := range done.Never {
		whitelisted = append(whitelisted, n.Target)
		by[n.Target] = n.By
	}
	r.logEach(arlog.StatusDelete, whitelisted, func(of target.Target) string {
		return record.Unblocked(of, "") + " (whitelisted by now: " +
			strings.TrimSpace(printable.Line(by[of])) + ")"
	})
}
