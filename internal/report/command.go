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

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// Name is the program's name when the caller gave none.
const Name = "response-stats"

// program is one run.
type program struct {
	app.Program
	send     Sending
	bounds   bounds
	query    stats.Query
	lookBack string
	format   string
	output   string
	append   bool
	mail     bool
	chat     bool
	leave    bool // to chat, later, where a service wants it
	alerts   bool
	named    bool // the log, by --log
}

// Main runs response-stats and returns its exit status.
func Main(p app.Program, send Sending) int {
	host, _ := os.Hostname() // a report without is as good
	return run(p, send, host)
}

func run(p app.Program, send Sending, host string) int {
	c := &program{Program: p, send: send, query: stats.Query{Home: p.Home, Host: host}}
	return c.line().Run(context.Background(), c.app(), c.Arguments())
}

func (c *program) app() *cli.App {
	app := c.line().App()
	app.Flags = append(c.periodFlags(), c.formFlags()...)
	app.Action = func(ctx *cli.Context) error {
		if err := c.finish(ctx); err != nil {
			return command.Mistaken(c.Name+" --help", "%v", err)
		}
		return c.run()
	}
	return app
}

func (c *program) line() command.Line {
	return command.Line{
		Program: &c.Program, Summary: "report what the active responses did",
		Examples: [][2]string{
			{"--date today", "print today's report"},
			{"--yesterday", "print that of another day; see also --date, --week, --all"},
			{"--since 36h --rule 5712", "of a period, and of one rule only"},
			{"--month --html --output m.html", "a page with charts"},
			{"--metrics --output FILE", "for node_exporter's textfile collector"},
			{"--alerts --week", "of all agents, on the manager"},
			{"--mail", "mail today's report"},
		},
	}
}

func (c *program) periodFlags() []cli.Flag {
	const category = "Which lines count:"
	text := func(to *string, name, usage string) cli.Flag {
		return &cli.StringFlag{Category: category, Name: name, Usage: usage, Destination: to}
	}
	yes := func(to *bool, name, usage string) cli.Flag {
		return &cli.BoolFlag{Category: category, Name: name, Usage: usage, Destination: to}
	}
	b := &c.bounds
	return append([]cli.Flag{
		text(&b.date, "date", "the day `DAY`: 2026-11-23, today or yesterday"),
		text(&b.since, "since", "from `TIME`: a day, \"2026-11-23 08:30\", or 36h or 7d ago"),
		text(&b.until, "until", "up to `TIME`, a day included"),
		yes(&b.yesterday, "yesterday", "the day before"),
		yes(&b.week, "week", "the last seven days, today included"),
		yes(&b.month, "month", "the last thirty days, today included"),
		yes(&b.all, "all", "all that the logs hold, rotated ones too"),
	}, append(filterFlags(category),
		&cli.StringSliceFlag{Category: category, Name: "agent",
			Usage: "only the agent `NAME` (with --alerts)"},
		yes(&c.alerts, "alerts", "read the manager's alerts: what all agents did"),
		text(&c.query.Log, "log", "read `FILE` and its rotated ones instead of the installation's log"),
		text(&c.lookBack, "look-back", "how far before the period to look for addresses that come back: "+
			"`TIME` as 48h or 90d, 0 for not at all (default: 30d, or 2 MiB of the log if that is less)"),
		yes(&c.query.Thorough, "thorough",
			"read all logs whole: for a clock that jumped by more than two hours, and for more than "+
				"4 GiB of one log or a minute of reading"))...)
}

func filterFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Category: category, Name: "response",
			Usage: "only the response `NAME`; may be repeated, as those below"},
		&cli.StringSliceFlag{Category: category, Name: "rule", Usage: "only rule `ID`"},
		&cli.StringSliceFlag{Category: category, Name: "address", Aliases: []string{"network"},
			Usage: "only `ADDRESS`, or a network such as 203.0.113.0/24"},
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
		&cli.BoolFlag{Category: category, Name: "append", Destination: &c.append,
			Usage: "append the text to logs/response-stats.log, as response-stats without options does for cron"},
		&cli.BoolFlag{Category: category, Name: "mail",
			Usage: "mail it, by email-notification's settings", Destination: &c.mail},
		&cli.BoolFlag{Category: category, Name: "chat",
			Usage:       "send it to the services whose setting on has \"report\", by chat-notification's settings",
			Destination: &c.chat},
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
	case (c.mail || c.chat || c.append) && c.format != "":
		return fmt.Errorf("%s cannot be mailed, sent or appended: the text is", asked[0])
	case c.alerts && ctx.IsSet("log"):
		return errors.New("--log is about the responses' log, --alerts about the manager's: only one can be given")
	case !c.alerts && ctx.IsSet("agent"):
		return errors.New("--agent needs --alerts: this host's log holds no other host's responses")
	}
	var err, lookErr error
	c.query.Period, err = c.bounds.period(c.Now())
	var isLength bool
	if c.query.LookBack, isLength = parseLength(c.lookBack); !isLength {
		lookErr = fmt.Errorf("--look-back: %q is no length of time such as 48h or 90d", c.lookBack)
	}
	if len(c.Arguments()) == 0 { // as cron calls it
		c.append, c.leave = true, true
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
	if c.named = q.Log != ""; !c.named {
		q.Log = c.Home.ResponseLog()
	}
	return err
}
