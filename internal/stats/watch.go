package stats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
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
		Name: "watch", Usage: "follow the log: today's counts and the last events; plain lines when not on a terminal", HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Usage: "look every `TIME`", Value: interval, Destination: &interval},
			&cli.StringSliceFlag{Name: "response", Usage: "only the response `NAME`; may be repeated, as those below"},
			&cli.StringSliceFlag{Name: "rule", Usage: "only rule `ID`"},
			&cli.StringSliceFlag{Name: "address", Aliases: []string{"network"}, Usage: "only `ADDRESS`, or a network"},
			&cli.StringFlag{Name: "log", Usage: "follow `FILE` instead of the installation's log"},
		},
		Action: func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return c.usageError(fmt.Errorf("watch takes no argument such as %q", ctx.Args().First()))
			}
			if interval < 10*time.Millisecond {
				return c.usageError(fmt.Errorf("--interval %s is too short", interval))
			}
			networks, err := parseNetworks(ctx.StringSlice("address"))
			if err != nil {
				return c.usageError(err)
			}
			c.query = Query{
				Log: ctx.String("log"), Location: c.Now().Location(),
				Filter: Filter{Responses: ctx.StringSlice("response"), Rules: ctx.StringSlice("rule"), Networks: networks},
			}
			if c.query.Log == "" {
				c.query.Log = c.Home.ResponseLog()
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
	c       *program
	log     follower
	tally   *tally
	last    *tally // of the day before, whose last lines come when it is over; nil at first
	decoder *decoder
	// events are the last ones, the latest last.
	events  []event
	quiet   bool // while the past is read
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
	w := &watcher{c: c, log: follower{path: c.query.Log}, inForce: -1}
	if err := w.begin(); err != nil {
		return err
	}
	defer w.log.close() // only read from
	if c.StdoutTerminal {
		fmt.Fprint(c.Stdout, enterScreen)
		defer fmt.Fprint(c.Stdout, leaveScreen)
	} else {
		fmt.Fprintln(c.Stdout, w.summary())
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
		w.look()
	}
}

// begin reads what the log holds of today, exactly up to where it is followed from.
func (w *watcher) begin() error {
	id, size, err := w.log.toEnd()
	if err != nil {
		return fmt.Errorf("following the log: %w", err)
	}
	q := w.c.query
	q.Period = Today(w.c.Now())
	q.upTo = map[fileID]int64{id: size}
	w.quiet = true
	found := q.collectInto(w.newTally(q.Period))
	w.quiet = false
	if len(found.failures) > 0 {
		return errors.Join(found.failures...)
	}
	return nil
}

func (w *watcher) newTally(p Period) *tally {
	w.tally = newTally(p, w.c.query.Location)
	w.tally.counted = func(e *event) {
		if len(w.events) >= keptEvents {
			w.events = append(w.events[:0], w.events[keptEvents/2:]...)
		}
		w.events = append(w.events, *e)
		if !w.quiet && !w.c.StdoutTerminal {
			fmt.Fprintln(w.c.Stdout, w.eventLine(e))
		}
	}
	w.decoder = w.c.query.newDecoder(w.tally)
	return w.tally
}

// look reads what is new, and begins a new day when there is one.
func (w *watcher) look() {
	if now := w.c.Now(); now.Unix() >= w.tally.until {
		w.last = w.tally
		fresh := w.newTally(Today(now))
		w.last.until = fresh.from // it may be days since the last look
		// The numbers in the events that are shown are those of the old names.
		fresh.programs, fresh.rules = w.last.programs, w.last.rules
		w.decoder = w.c.query.newDecoder(fresh)
	}
	days := []*tally{w.tally}
	if w.last != nil {
		days = []*tally{w.last, w.tally}
	}
	lines := 0
	w.fault = w.log.poll(func(line []byte) {
		lines++
		if len(line) == 0 {
			return
		}
		var e event
		ok := w.decoder.decode(line, &e)
		if e.kind == unreadable {
			e.when, e.addr.Low = w.c.Now().Unix(), 1
		}
		if !ok {
			return
		}
		for _, day := range days { // each counts what is its own
			day.add(&e)
		}
	})
	if lines == 0 { // nothing more is to come of what waits
		for _, day := range days {
			day.settle()
		}
	}
}

var verbs = [...]string{blocked: "blocked", unblocked: "unblocked", whitelisted: "whitelisted", stillHeld: "still held", skipped: "skipped", failed: "FAILED"}

// eventLine tells one event on a line.
func (w *watcher) eventLine(e *event) string {
	addr := "-"
	if e.addr != (key{}) {
		addr = e.addr.addr().String()
	}
	rule := w.tally.rules.text(e.rule)
	if rule != "" {
		rule = "  rule " + printable(rule, 64)
	}
	when := time.Unix(e.when, 0).In(w.c.query.Location)
	return fmt.Sprintf("%s  %-11s  %-15s  %s%s", when.Format(time.DateTime), verbs[e.kind], addr, printable(w.tally.programs.text(e.program), 64), rule)
}

func (w *watcher) summary() string {
	t := w.tally.total()
	s := fmt.Sprintf("today: %s, %s, %d skipped, %d failed, %s", plural(int(t.Blocks), "block", "blocks"),
		plural(int(t.Unblocks), "unblock", "unblocks"), t.skips(), t.Failed, plural(int(w.tally.addrs.blockedAddresses()), "address", "addresses"))
	if w.tally.unreadable > 0 {
		s += fmt.Sprintf(", %s not readable", plural(int(w.tally.unreadable), "line", "lines"))
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
