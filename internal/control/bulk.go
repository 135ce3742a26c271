package control

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// flush frees all addresses of the chosen responses, or all that one program holds.
func flush(t *tool, c *cli.Context) error {
	if program := c.String("program"); program != "" {
		return giveUp(t, c, program)
	}
	opened, failed := t.openAll(false)
	for _, r := range opened {
		var freed int
		var err error
		if t.dryRun {
			freed, err = r.wouldFlush(c)
		} else {
			var targets []target.Target
			bar := newBar(t.Stderr)
			targets, err = r.Flush(c.Context, bar.show)
			bar.end()
			freed = len(targets)
			r.logUnblocked(targets, "(all, by hand)")
			r.leaseFaults(arproto.Request{}, nil)
		}
		switch {
		case absent(err) && !r.used():
		case err != nil:
			t.Complain(r.failed(arproto.Request{}, err))
			failed = true
		case t.dryRun:
			t.say("would unblock %s (%s)", r.count(freed), r.Kind.Name)
		default:
			t.say("Unblocked all: %s (%s)", r.count(freed), r.Kind.Name)
		}
	}
	return command.Reported(failed)
}

// unlock removes the lock files beside the administrator's files that responses edited: for a purge.
func unlock(t *tool, _ *cli.Context) error {
	opened, failed := t.openAll(true)
	for _, r := range opened {
		e, is := r.Enforcer.(interface{ RemoveLock() error })
		if !is || !r.used() { // the lock is another home's
			continue
		}
		if err := e.RemoveLock(); err != nil {
			t.Complain(r.about(err))
			failed = true
		}
	}
	return command.Reported(failed)
}

// wouldFlush returns how many addresses flush would free.
func (r *response) wouldFlush(c *cli.Context) (n int, err error) {
	s, err := r.snapshot(c.Context, filter{})
	for row := range rows([]snapshot{s}, nil, filter{}) {
		if row.State != notLeased || !r.Kind.Mixed() && !row.Shared { // else it may be the administrator's own
			n++
		}
	}
	return n, err
}

// unimport frees what import blocked and nobody else holds.
func unimport(t *tool, c *cli.Context) error { return giveUp(t, c, importer) }

// giveUp ends all leases of a program in the chosen responses.
func giveUp(t *tool, c *cli.Context, program string) error {
	opened, failed := t.openAll(false)
	held := 0
	for _, r := range opened {
		n := 0
		err := r.Leases.Each(func(l lease.Lease) error {
			if l.Program == program {
				n++
			}
			return nil
		})
		if err == nil && n > 0 && !t.dryRun {
			var freed []target.Target
			bar := newBar(t.Stderr)
			freed, err = r.ReleaseProgram(c.Context, program, bar.show)
			bar.end()
			r.logReleased(freed, program)
			r.leaseFaults(arproto.Request{}, nil)
		}
		if err != nil {
			t.Complain(r.failed(arproto.Request{}, err))
			failed = true
		} else if held += n; n > 0 {
			what := "Gave up"
			if t.dryRun {
				what = "would give up"
			}
			t.say("%s %s that %s held (%s)", what, r.count(n), printable.Line(program), r.Kind.Name)
		}
	}
	if held == 0 && !failed {
		t.say("%s holds nothing", printable.Line(program))
	}
	return command.Reported(failed)
}

// logReleased logs a line for each address; one for a list: a hundred thousand would be as many
// alerts.
func (r *response) logReleased(freed []target.Target, program string) {
	if program == importer {
		return
	}
	r.logUnblocked(freed, "(all of "+arlog.Word(program)+", by hand)")
}

// export prints the addresses that are held, each once, in order; accounts only where it is asked about these.
func export(t *tool, c *cli.Context) error {
	opened, failed := t.openAll(true)
	var all []snapshot
	for _, r := range opened {
		if r.Kind.Accounts && len(t.chosen) > 1 {
			continue // import takes none
		}
		s := snapshot{name: r.Kind.Name}
		if err := r.Leases.Each(func(l lease.Lease) error {
			if l.State != lease.Lifting {
				s.holds = append(s.holds, held{target: l.Target, net: int8(l.Net.Bits()), program: l.Program})
			}
			return nil
		}); err != nil {
			t.Complain(r.about(err))
			failed = true
		}
		slices.SortFunc(s.holds, compareHeld)
		all = append(all, s)
	}
	out := bufio.NewWriter(t.Stdout)
	var last target.Target
	for r := range rows(all, nil, filter{program: c.String("program")}) {
		for _, h := range r.Holds {
			if h.target != last {
				fmt.Fprintln(out, h.target)
				last = h.target
			}
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return command.Reported(failed)
}

// bar shows on a terminal how far something that takes long has come.
type bar struct{ to io.Writer }

func newBar(to io.Writer) bar {
	if app.Columns(to) == 0 {
		to = io.Discard
	}
	return bar{to}
}

func (b bar) show(done int) { fmt.Fprintf(b.to, "\r%d ...", done) }

func (b bar) end() { fmt.Fprint(b.to, "\r"+strings.Repeat(" ", 16)+"\r") }
