package report

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// ticker returns a channel that ticks, and how to stop it.
type ticker func(time.Duration) (<-chan time.Time, func())

func realTicker(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

func (c *program) watchCommand() *cli.Command {
	interval := time.Second
	return &cli.Command{
		Name:            "watch",
		Usage:           "follow the log: today's counts and the last events; plain lines when not on a terminal",
		HideHelpCommand: true,
		Flags: append(filterFlags(""),
			&cli.DurationFlag{Name: "interval", Usage: "look every `TIME`", Value: interval,
				Destination: &interval},
			&cli.StringFlag{Name: "log", Usage: "follow `FILE` instead of the installation's log",
				Destination: &c.query.Log}),
		Action: func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return c.usageError(fmt.Errorf("watch takes no argument such as %q", ctx.Args().First()))
			}
			if interval < 10*time.Millisecond {
				return c.usageError(fmt.Errorf("--interval %s is too short", interval))
			}
			if err := c.filter(ctx); err != nil {
				return c.usageError(err)
			}
			if err := c.configure(); err != nil {
				c.Complain(err)
			}
			// Here alone: nothing of a report has to be undone, so it ends as any program does.
			until, stop := signal.NotifyContext(ctx.Context, os.Interrupt, syscall.SIGTERM)
			defer stop()
			return c.watch(until, interval)
		},
	}
}

// watcher shows today's counts and the last events.
type watcher struct {
	c    *program
	live *stats.Live // nil while the past is read
	// events are the last ones, the latest last.
	events  []stats.Event
	inForce int
	fault   error // of the last look
	// checked is when the leases were read last.
	checked time.Time
}

// keptEvents is how many events are kept: more than any screen has lines.
const keptEvents = 500

// watch goes on until ctx ends.
func (c *program) watch(ctx context.Context, interval time.Duration) error {
	debug.SetGCPercent(100) // main turns it off for short runs; this one may go on for days
	w := &watcher{c: c, inForce: -1}
	c.query.Top = shownAddresses
	live, err := stats.Follow(c.query, c.Now, w.event)
	if err != nil {
		return err
	}
	defer live.Close() // only read from
	w.live = live
	if c.StdoutTerminal {
		fmt.Fprint(c.Stdout, enterScreen)
		defer fmt.Fprint(c.Stdout, leaveScreen)
	} else {
		fmt.Fprintln(c.Stdout, summary(live.Report()))
	}
	ticks, stop := c.tick(interval)
	defer stop()
	for {
		if c.StdoutTerminal {
			w.draw()
		}
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-ticks:
			if !ok {
				return nil
			}
		}
		w.fault = live.Look()
	}
}

func (w *watcher) event(e stats.Event) {
	if len(w.events) >= keptEvents {
		w.events = append(w.events[:0], w.events[keptEvents/2:]...)
	}
	w.events = append(w.events, e)
	if w.live != nil && !w.c.StdoutTerminal {
		fmt.Fprintln(w.c.Stdout, eventLine(e))
	}
}

func eventLine(e stats.Event) string {
	addr, rule := "-", ""
	if e.Address.IsValid() {
		addr = e.Address.String()
	}
	if e.Rule != "" {
		rule = "  rule " + printable.Short(e.Rule, 64)
	}
	return fmt.Sprintf("%s  %-11s  %-15s  %s%s", e.When.Format(time.DateTime), e.Outcome, addr,
		printable.Short(e.Program, 64), rule)
}

func summary(r *stats.Report) string {
	t := r.Totals
	s := fmt.Sprintf("today: %s, %s, %d skipped, %d failed, %s", plural(int(t.Blocks), "block", "blocks"),
		plural(int(t.Unblocks), "unblock", "unblocks"), t.Skips(), t.Failed,
		plural(int(r.Addrs.Different), "address", "addresses"))
	if t.Locked > 0 {
		s += fmt.Sprintf(", %s locked", plural(int(t.Locked), "account", "accounts"))
	}
	if t.Warnings > 0 {
		s += ", " + plural(int(t.Warnings), "warning", "warnings")
	}
	if n := r.Log.Unreadable; n > 0 {
		s += fmt.Sprintf(", %s not readable", plural(int(n), "line", "lines"))
	}
	return s
}

// screenSize returns the size of the terminal, or a common one.
func (w *watcher) screenSize() (width, height int) {
	if file, ok := w.c.Stdout.(*os.File); ok {
		if width, height, err := term.GetSize(int(file.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}
