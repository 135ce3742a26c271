package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// many are the commands that work on many addresses at once: flush, import, unimport and export.
type many struct{ *tool }

// flush frees all addresses of the chosen responses, or all that one program holds.
func (t many) flush(c *cli.Context) int {
	if program := c.String("program"); program != "" {
		return t.giveUp(c.Context, program)
	}
	opened, failed := t.openAll(false)
	for _, r := range opened {
		if t.dryRun {
			failed = t.wouldFlush(c.Context, r) != nil || failed
			continue
		}
		bar := newBar(t.Stderr)
		freed, err := r.Flush(c.Context, bar.show)
		bar.end()
		if absent(err) && !r.used() {
			continue
		}
		r.logUnblocked(freed, "(all, by hand)")
		if r.leaseFaults(arproto.Request{}, nil); err != nil {
			t.failed(r, err)
			failed = true
			continue
		}
		t.say("Unblocked all: %s (%s)", count(len(freed), "address"), r.Kind.Name)
	}
	if failed {
		return app.ExitFailed
	}
	return app.ExitOK
}

func (t many) wouldFlush(ctx context.Context, r *response) error {
	s, err := r.snapshot(ctx, filter{})
	if err != nil {
		t.Complain(err)
		return err
	}
	n := 0
	for row := range rows([]snapshot{s}, nil, filter{}) {
		if row.State != notLeased || !r.Kind.InFile { // else it may be the administrator's own
			n++
		}
	}
	t.say("would unblock %s (%s)", count(n, "address"), r.Kind.Name)
	return nil
}

// giveUp ends all leases of a program in the chosen responses.
func (t many) giveUp(ctx context.Context, program string) int {
	opened, failed := t.openAll(false)
	held := 0
	for _, r := range opened {
		n, err := r.holds(program)
		if err == nil && n > 0 && !t.dryRun {
			var freed []target.Target
			bar := newBar(t.Stderr)
			freed, err = r.ReleaseProgram(ctx, program, bar.show)
			bar.end()
			if program != importer { // a list of a hundred thousand would be as many alerts
				r.logUnblocked(freed, "(all of "+arlog.Word(program)+", by hand)")
			}
			r.leaseFaults(arproto.Request{}, nil)
		}
		if err != nil {
			t.failed(r, err)
			failed = true
		} else if held += n; n > 0 {
			what := "Gave up"
			if t.dryRun {
				what = "would give up"
			}
			t.say("%s %s that %s held (%s)", what, count(n, "address"), printable.Line(program), r.Kind.Name)
		}
	}
	switch {
	case failed:
		return app.ExitFailed
	case held == 0:
		t.say("%s holds no address", printable.Line(program))
	}
	return app.ExitOK
}

// holds returns how many leases a program has.
func (r *response) holds(program string) (n int, err error) {
	err = r.Leases.View(func(tx *lease.Tx) error {
		n = 0
		return tx.All(func(l lease.Lease) error {
			if l.Program == program {
				n++
			}
			return nil
		})
	})
	return n, err
}

// failed reports what a person asked for and does not hold, in the log too.
func (t *tool) failed(r *response, err error) {
	t.Complain(r.about(err))
	r.log.Write(record.Entry{Status: arlog.StatusError, Message: arlog.Failed(err)})
}

// logUnblocked logs a line for each target, many with one write.
func (r *response) logUnblocked(targets []target.Target, why string) {
	r.logEach(arlog.StatusDelete, targets,
		func(t target.Target) string { return arlog.Unblocked(t.Addr(), "") + " " + why })
}

func (r *response) logEach(status arlog.Status, targets []target.Target,
	message func(target.Target) string) {
	const atOnce = 500 // an entry takes half a KiB of memory
	for part := range slices.Chunk(targets, atOnce) {
		entries := make([]record.Entry, 0, len(part))
		for _, t := range part {
			entries = append(entries,
				record.Entry{Status: status, Message: message(t), About: request(t)})
		}
		r.log.Write(entries...)
	}
}

// unimport frees what import blocked and nobody else holds.
func (t many) unimport(c *cli.Context) int { return t.giveUp(c.Context, importer) }

// export prints the addresses that are held, each once, in order.
func (t many) export(c *cli.Context) int {
	opened, failed := t.openAll(true)
	f := filter{program: c.String("program")}
	var all []snapshot
	for _, r := range opened {
		s := snapshot{name: r.Kind.Name}
		err := r.Leases.View(func(tx *lease.Tx) error {
			s.holds = s.holds[:0]
			return tx.All(func(l lease.Lease) error {
				if l.State != lease.Lifting {
					s.holds = append(s.holds, held{target: l.Target, program: l.Program})
				}
				return nil
			})
		})
		if err != nil {
			t.Complain(r.about(err))
			failed = true
		}
		all = append(all, s)
	}
	out := bufio.NewWriter(t.Stdout)
	var last target.Target
	for r := range rows(all, nil, f) {
		if r.Target != last {
			fmt.Fprintln(out, r.Target)
			last = r.Target
		}
	}
	if err := out.Flush(); err != nil {
		return t.fail(fmt.Errorf("writing the list: %w", err))
	}
	if failed {
		return app.ExitFailed
	}
	return app.ExitOK
}

// bar shows on a terminal how far something that takes long has come.
type bar struct{ to io.Writer }

func newBar(to io.Writer) bar {
	if file, ok := to.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return bar{file}
	}
	return bar{io.Discard}
}

func (b bar) show(done int) { fmt.Fprintf(b.to, "\r%d ...", done) }

func (b bar) end() { fmt.Fprint(b.to, "\r"+strings.Repeat(" ", 16)+"\r") }
