// Package watch follows the log of the responses: today's counts and the last events, on a screen
// or as plain lines. It changes nothing.
package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// Flags are those of the command.
func Flags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "interval", Usage: "look every `TIME`", Value: time.Second},
		&cli.StringSliceFlag{Name: "program",
			Usage: "only this `PROGRAM`, with or without .sh; may be repeated, as those below"},
		&cli.StringSliceFlag{Name: "rule", Usage: "only rule `ID`"},
		&cli.StringSliceFlag{Name: "address", Usage: "only `ADDRESS`, or a network"},
		&cli.StringFlag{Name: "log", Usage: "follow `FILE` instead of the installation's log"},
	}
}

// Run watches until q is pressed, a signal comes or standard output is closed.
func Run(p *app.Program, c *cli.Context) error {
	interval := c.Duration("interval")
	if interval < 10*time.Millisecond {
		return command.Mistaken("as in --interval 2s", "--interval %s is too short", interval)
	}
	networks, err := stats.ParseNetworks(c.StringSlice("address"))
	if err != nil {
		return command.Mistaken("", "%v", err)
	}
	settings, err := config.Load(p.Home)
	if err != nil {
		p.Complain(err) // what is sound counts
	}
	host, _ := os.Hostname() // a screen without is as good
	w := &watcher{p: p, inForce: -1, query: stats.Query{
		Home: p.Home, Host: host, Log: c.String("log"), Now: p.Now(), Top: shownAddresses,
		AddressFields: settings.Wazuh.AddressFields,
		Filter: stats.Filter{Responses: c.StringSlice("program"), Rules: c.StringSlice("rule"),
			Networks: networks},
	}}
	if w.query.Log == "" {
		w.query.Log = p.Home.ResponseLog()
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	return w.run(ctx, ticks.C)
}

// watcher shows today's counts and the last events.
type watcher struct {
	p     *app.Program
	query stats.Query
	live  *stats.Live // nil while the past is read
	// events are the last ones, the latest last.
	events  []stats.Event
	inForce int
	fault   error // of the last look
	// checked is when the leases were read last.
	checked time.Time
	unheard error // of a write to standard output
}

// keptEvents is how many events are kept: more than any screen has lines.
const keptEvents = 500

// run goes on until ctx ends, q is pressed or ticks is closed.
func (w *watcher) run(ctx context.Context, ticks <-chan time.Time) error {
	live, err := stats.Follow(w.query, w.p.Now, w.event)
	if err != nil {
		return err
	}
	defer live.Close() // only read from
	w.live = live
	var keys <-chan byte
	if w.p.StdoutTerminal {
		w.print(enterScreen)
		defer w.print(leaveScreen)
		var restore func()
		keys, restore = w.keys()
		defer restore()
	} else {
		if _, err := os.Stat(w.query.Log); err != nil {
			w.p.Complain(fmt.Errorf("no log yet: %w", err))
		}
		w.print(summary(live.Report()) + "\n")
	}
	for {
		if w.p.StdoutTerminal {
			w.draw()
		}
		if w.unheard != nil {
			return fmt.Errorf("writing: %w", w.unheard)
		}
		select {
		case <-ctx.Done():
			return nil
		case key := <-keys:
			if key == 'q' || key == 'Q' || key == ctrlC {
				return nil
			}
			continue
		case _, ok := <-ticks:
			if !ok {
				return nil
			}
		}
		w.fault = live.Look()
	}
}

// ctrlC is what the key sends where the terminal makes no signal of it.
const ctrlC = 3

// keys returns what is pressed from now on, and how to give the keyboard back.
func (w *watcher) keys() (<-chan byte, func()) {
	file, ok := w.p.Stdin.(*os.File)
	if !ok {
		return nil, func() {}
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, func() {} // the keyboard is elsewhere: a signal ends it
	}
	pressed := make(chan byte)
	go func() {
		key := make([]byte, 1)
		for {
			if n, err := file.Read(key); n == 0 || err != nil {
				return
			}
			pressed <- key[0]
		}
	}()
	return pressed, func() { _ = term.Restore(int(file.Fd()), before) } // a terminal that is gone
}

func (w *watcher) print(text string) {
	_, err := fmt.Fprint(w.p.Stdout, text)
	w.unheard = errors.Join(w.unheard, err)
}

func (w *watcher) event(e stats.Event) {
	if len(w.events) >= keptEvents {
		w.events = append(w.events[:0], w.events[keptEvents/2:]...)
	}
	w.events = append(w.events, e)
	if w.live != nil && !w.p.StdoutTerminal {
		w.print(fmt.Sprintf("%s  %-11s  %-15s  %s%s\n", e.When.Format(time.DateTime), e.Outcome,
			address(e), short(e.Program), rule("  rule ", e)))
	}
}

// address is that of an event, "-" for none.
func address(e stats.Event) string {
	if !e.Address.IsValid() {
		return "-"
	}
	return e.Address.String()
}

// rule is that of an event behind lead, "" for none.
func rule(lead string, e stats.Event) string {
	if e.Rule == "" {
		return ""
	}
	return lead + short(e.Rule)
}

// short makes a text from outside safe to show, and no longer than a name is.
func short(text string) string {
	const most = 64
	return printable.Line(printable.Clip(text, most))
}

func summary(r *stats.Report) string {
	t := r.Totals
	s := fmt.Sprintf("today: %s, %s, %d skipped, %d failed, %s", printable.Count(t.Blocks, "block"),
		printable.Count(t.Unblocks, "unblock"), t.Skips(), t.Failed,
		printable.Count(r.Addrs.Different, "address"))
	if t.Locked > 0 {
		s += ", " + printable.Count(t.Locked, "account") + " locked"
	}
	if t.Warnings > 0 {
		s += ", " + printable.Count(t.Warnings, "warning")
	}
	if n := r.Log.Unreadable; n > 0 {
		s += ", " + printable.Count(n, "line") + " not readable"
	}
	return s
}
