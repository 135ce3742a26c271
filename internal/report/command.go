// Package report is response-stats: its command line, and the forms of a report, which are
// text, JSON, CSV, a web page, metrics, a mail and a screen. What is counted comes from
// package stats. Whatever a log holds is made printable, and escaped for the form that it
// stands in.
package report

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/stats"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Name is the program's name when the caller gave none.
const Name = "response-stats"

// Schedule is when cron runs the program, for the report of the day.
const Schedule = "59 23 * * *"

// program is one run.
type program struct {
	app.Program
	send     Send
	bounds   bounds
	query    stats.Query
	lookBack string
	format   string
	output   string
	append   bool
	mail     bool
	alerts   bool
	tick     ticker
}

// Main runs response-stats and returns its exit status.
func Main(p app.Program, send Send) int {
	host, _ := os.Hostname() // a report without is as good
	return run(p, send, realTicker, host)
}

func run(p app.Program, send Send, tick ticker, host string) int {
	c := &program{Program: p, send: send, tick: tick, query: stats.Query{Home: p.Home, Host: host}}
	return c.line().Run(context.Background(), c.app(), c.Arguments())
}

func (c *program) app() *cli.App {
	app := c.line().App()
	app.Flags = append(c.periodFlags(), c.formFlags()...)
	app.Before = func(ctx *cli.Context) error {
		if err := ignoredFlag(ctx); err != nil {
			return c.usageError(err)
		}
		return nil
	}
	app.Action = func(ctx *cli.Context) error {
		if ctx.Args().Present() {
			return c.usageError(fmt.Errorf("unknown command %s", arproto.Quote(ctx.Args().First())))
		}
		if err := c.finish(ctx); err != nil {
			return c.usageError(err)
		}
		return c.run()
	}
	app.Commands = []*cli.Command{c.watchCommand(), command.ManCommand(manualText)}
	return app
}

// ignoredFlag returns an error for a flag that stands before a command, which sees only its own.
func ignoredFlag(ctx *cli.Context) error {
	name := ctx.Args().First()
	if ctx.App.Command(name) == nil {
		return nil
	}
	for _, flag := range ctx.App.Flags {
		if ctx.IsSet(flag.Names()[0]) {
			return fmt.Errorf("--%s stands before %s and would be ignored: the flags of %s stand after it",
				flag.Names()[0], name, name)
		}
	}
	return nil
}

func (c *program) line() command.Line {
	return command.Line{
		Program: &c.Program, Summary: "report what the active responses did",
		Examples: [][2]string{
			{"", "append today's report to logs/response-stats.log, as cron does"},
			{"--yesterday", "print the report of another day; see also --date, --week, --all"},
			{"--since 36h --rule 5712", "of a period, and of one rule only"},
			{"--month --html --output m.html", "a page with charts"},
			{"--metrics --output FILE", "for node_exporter's textfile collector"},
			{"--alerts --week", "of all agents, on the manager"},
			{"--mail", "mail today's report"},
			{"watch", "follow the log in the terminal"},
		},
	}
}

func (c *program) usageError(err error) error { return c.line().UsageError(err) }

func (c *program) periodFlags() []cli.Flag {
	const category = "Which lines count:"
	b := &c.bounds
	return []cli.Flag{
		&cli.StringFlag{Category: category, Name: "date",
			Usage: "the day `DAY`: 2026-11-23, today or yesterday", Destination: &b.date},
		&cli.StringFlag{Category: category, Name: "since",
			Usage: "from `TIME`: a day, \"2026-11-23 08:30\", or 36h or 7d ago", Destination: &b.since},
		&cli.StringFlag{Category: category, Name: "until",
			Usage: "up to `TIME`, a day included", Destination: &b.until},
		&cli.BoolFlag{Category: category, Name: "yesterday", Usage: "the day before",
			Destination: &b.yesterday},
		&cli.BoolFlag{Category: category, Name: "week",
			Usage: "the last seven days, today included", Destination: &b.week},
		&cli.BoolFlag{Category: category, Name: "month",
			Usage: "the last thirty days, today included", Destination: &b.month},
		&cli.BoolFlag{Category: category, Name: "all",
			Usage: "all that the logs hold, rotated ones too", Destination: &b.all},
		&cli.StringSliceFlag{Category: category, Name: "response",
			Usage: "only the response `NAME`; may be repeated, as those below"},
		&cli.StringSliceFlag{Category: category, Name: "rule", Usage: "only rule `ID`"},
		&cli.StringSliceFlag{Category: category, Name: "address", Aliases: []string{"network"},
			Usage: "only `ADDRESS`, or a network such as 203.0.113.0/24"},
		&cli.StringSliceFlag{Category: category, Name: "agent",
			Usage: "only the agent `NAME` (with --alerts)"},
		&cli.BoolFlag{Category: category, Name: "alerts",
			Usage: "read the manager's alerts: what all agents did", Destination: &c.alerts},
		&cli.StringFlag{Category: category, Name: "log",
			Usage: "read `FILE` and its rotated ones instead of the installation's log"},
		&cli.StringFlag{Category: category, Name: "look-back",
			Usage: "how far before the period to look for addresses that come back: `TIME` as 48h or 90d, 0 for not at all (default: 30d, or 2 MiB of the log if that is less)", Destination: &c.lookBack},
		&cli.BoolFlag{Category: category, Name: "thorough",
			Usage:       "read all logs whole: for a clock that jumped by more than two hours",
			Destination: &c.query.Thorough},
	}
}

func (c *program) formFlags() []cli.Flag {
	const category = "What is made of them:"
	form := func(name, usage string) cli.Flag {
		return &cli.BoolFlag{Category: category, Name: name, Usage: usage}
	}
	return []cli.Flag{
		form("json", "as JSON; docs/response-stats-json.md describes it"),
		form("csv", "as a table for spreadsheets"),
		form("html", "as a web page with charts, in one file"),
		form("metrics", "as metrics for Prometheus"),
		&cli.IntFlag{Category: category, Name: "top",
			Usage: "list the first `N` addresses, networks and rules; 0 for all", Value: 10,
			Destination: &c.query.Top},
		&cli.StringFlag{Category: category, Name: "output", Aliases: []string{"o"},
			Usage: "write to `FILE`, which changes all at once", Destination: &c.output},
		&cli.BoolFlag{Category: category, Name: "append", Usage: "append the text to logs/response-stats.log",
			Destination: &c.append},
		&cli.BoolFlag{Category: category, Name: "mail",
			Usage: "mail it, by email-notification's settings", Destination: &c.mail},
	}
}

// forms are the flags of which at most one can be given.
var forms = []string{"json", "csv", "html", "metrics"}

// finish checks the flags and completes the query.
func (c *program) finish(ctx *cli.Context) error {
	var asked []string
	for _, form := range forms {
		if ctx.Bool(form) {
			asked = append(asked, "--"+form)
			c.format = form
		}
	}
	switch {
	case len(asked) > 1:
		return fmt.Errorf("only one form can be asked for, not %s", strings.Join(asked, " and "))
	case c.query.Top < 0:
		return fmt.Errorf("--top %d is negative", c.query.Top)
	case (c.mail || c.append) && c.format != "":
		return fmt.Errorf("%s cannot be mailed or appended: the text is", asked[0])
	case c.alerts && ctx.IsSet("log"):
		return errors.New("--log is about the responses' log, --alerts about the manager's: only one can be given")
	case !c.alerts && ctx.IsSet("agent"):
		return errors.New("--agent needs --alerts: this host's log holds no other host's responses")
	}
	var err, lookErr error
	c.query.Period, err = c.bounds.period(c.Now())
	c.query.LookBack, lookErr = parseLookBack(c.lookBack)
	if len(c.Arguments()) == 0 { // as cron calls it
		c.append = true
	}
	return errors.Join(err, lookErr, c.filter(ctx))
}

// filter completes the query with the log and the filter.
func (c *program) filter(ctx *cli.Context) (err error) {
	q := &c.query
	q.Now = c.Now()
	q.Filter = stats.Filter{Responses: ctx.StringSlice("response"), Rules: ctx.StringSlice("rule"),
		Agents: ctx.StringSlice("agent")}
	q.Filter.Networks, err = stats.ParseNetworks(ctx.StringSlice("address"))
	if q.Log = ctx.String("log"); q.Log == "" {
		q.Log = c.Home.ResponseLog()
	}
	return err
}

func parseLookBack(text string) (time.Duration, error) {
	if text == "" {
		return -1, nil
	}
	zero := time.Unix(0, 0).UTC()
	from, until, err := parseWhen(text, zero)
	if text == "0" {
		from, until, err = zero, zero, nil
	}
	if err != nil || !from.Equal(until) || from.After(zero) {
		return 0, fmt.Errorf("--look-back: %q is no length of time such as 48h or 90d", text)
	}
	return zero.Sub(from), nil
}
