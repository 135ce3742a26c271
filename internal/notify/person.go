package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// personal are the commands that only a person gives, or a timer.
var personal = []string{"flush", "queue", "test", "preview", "check", "template", "man", deliverCommand}

func (c *call) line() command.Line {
	return command.Line{
		Program: &c.Program, Summary: "tell people by mail of attacks and blocks", Calls: true,
		Examples: [][2]string{
			{"test", "send a sample and show what the server says"},
			{"check", "look for what keeps mail from arriving, and how to mend it"},
			{"preview --html > mail.html", "see what a mail looks like"},
			{"--dry-run add 203.0.113.7", "print the mail that would be sent now"},
			{"queue", "what waits, what was refused, and why"},
			{"queue --retry all", "try again at once, what was refused too"},
			{"flush", "send what is due (cron and systemd do)"},
		},
	}
}

// commandLine runs the command of a person.
func (c *call) commandLine(ctx context.Context, args []string) int {
	line := c.line()
	app := line.App()
	app.Flags = []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Usage: "print the mail that add or delete would send, and send nothing"},
		&cli.BoolFlag{Name: "on-delete", Usage: "let delete announce the end of the block"},
	}
	app.Before = func(x *cli.Context) error {
		c.dryRun, c.onDelete = x.Bool("dry-run"), x.Bool("on-delete")
		return nil
	}
	app.Commands = c.commands()
	return line.Run(ctx, app, args)
}

func (c *call) usageError(err error) error { return c.line().UsageError(err) }

func (c *call) commands() []*cli.Command {
	word := func(name, usage string, run func(x *cli.Context) int, flags ...cli.Flag) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, HideHelpCommand: true, Flags: flags,
			Action: func(x *cli.Context) error { return command.Result(run(x)) },
		}
	}
	act := func(name, usage string) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "ADDRESS", SkipFlagParsing: true, HideHelpCommand: true,
			Action: func(x *cli.Context) error { return command.Result(c.act(name, x.Args().Slice())) },
		}
	}
	hidden := word(deliverCommand, "deliver the queue; add starts it", func(x *cli.Context) int { return c.deliver(x.Bool("locked")) },
		&cli.BoolFlag{Name: "locked"})
	hidden.Hidden = true
	template := word("template", "print a built-in template, to begin your own with: subject, text or html",
		func(x *cli.Context) int { return c.template(x.Args().Slice()) })
	template.ArgsUsage = "PART"
	return []*cli.Command{
		act("add", "send a mail about an address"),
		act("delete", "announce the end of a block, with --on-delete; else nothing"),
		word("flush", "send what is due", func(x *cli.Context) int { return c.flush(x.Context) }),
		word("queue", "show what waits and what was refused", func(x *cli.Context) int {
			return c.showQueue(x.String("retry"), x.String("drop"), x.Bool("json"))
		},
			&cli.StringFlag{Name: "retry", Usage: "try the notification `ID` again, or all, at once"},
			&cli.StringFlag{Name: "drop", Usage: "throw the notification `ID` away, or all"},
			&cli.BoolFlag{Name: "json", Usage: "as JSON"}),
		word("test", "send a sample and show what the server says", func(x *cli.Context) int {
			return c.test(x.Context, x.StringSlice("to"))
		}, &cli.StringSliceFlag{Name: "to", Usage: "send to this `ADDRESS` instead"}),
		word("preview", "print a sample mail", func(x *cli.Context) int { return c.preview(x.Bool("html"), x.Bool("digest")) },
			&cli.BoolFlag{Name: "html", Usage: "its HTML, for a browser"},
			&cli.BoolFlag{Name: "digest", Usage: "one of several addresses"}),
		c.checkCommand(),
		template, command.ManCommand(manualText), hidden,
	}
}

// act is add and delete by hand: with an address alone, or with all that a daemon passes.
func (c *call) act(action string, args []string) int {
	if len(args) == 1 {
		args = []string{"-", args[0]}
	}
	args = append([]string{action}, args...)
	if err := command.Misplaced(c.Name, args); err != nil {
		_ = c.usageError(err) // it says what has been told
		return program.ExitFailed
	}
	request, err := arproto.ParseArgs(args)
	c.about = *request
	if err != nil {
		return c.fail(err)
	}
	c.setUp()
	if c.about.Action == arproto.Delete && !c.wantsEnd() {
		c.say("no mail at the end of a block: see --on-delete")
	}
	return c.notify()
}

// show prints the mail that an event makes, as it would go over the wire.
func (c *call) show(e event) int {
	r := &resolver{home: c.Home, config: c.config, now: c.Now, lookup: c.Resolver, geo: &geo{paths: c.config.Mail.GeoFiles},
		names: map[netip.Addr]*nameLookup{}, fault: c.Complain}
	n := r.wait(context.Background(), e)
	n.Recipients = c.settings.Recipients(n.RuleID, n.Alert.Level, n.Alert.Groups)
	mail, err := compose(c.settings, []notice{n}, n.Recipients, c.Now())
	if err != nil {
		c.Complain(err)
	}
	if mail.raw == nil {
		return app.ExitFailed
	}
	return c.print(string(mail.raw))
}

func (c *call) print(text string) int {
	if _, err := fmt.Fprint(c.Stdout, text); err != nil {
		c.Complain(fmt.Errorf("writing: %w", err))
		return app.ExitFailed
	}
	return app.ExitOK
}

// deliver is the process in the background.
func (c *call) deliver(locked bool) int {
	if err := c.deliverAll(locked); err != nil && !errors.Is(err, ErrBusy) {
		return c.fail(fmt.Errorf("delivering mail: %w", err))
	}
	return app.ExitOK
}

func (c *call) deliverAll(locked bool) error {
	q, err := makeQueue(c.Home.MailQueue())
	if err != nil {
		return err
	}
	take := q.tryLock
	if locked {
		take = q.inheritedLock
	}
	lock, err := take()
	if err != nil {
		return err
	}
	return c.deliverer(q).work(context.Background(), lock, func() time.Duration {
		settings, _ := config.Load(c.Home.Settings()) // the deliverer tells of faults
		return max(settings.Mail.Linger.Duration, settleTime+time.Second)
	})
}

// flush delivers what is due. Should another process be at it, that one does.
func (c *call) flush(ctx context.Context) int {
	if _, err := os.Lstat(c.Home.MailQueue()); errors.Is(err, os.ErrNotExist) {
		return app.ExitOK // nothing was ever queued
	}
	q, err := makeQueue(c.Home.MailQueue())
	if err != nil {
		return c.fail(err)
	}
	lock, err := q.waitLock(100 * time.Millisecond)
	if errors.Is(err, ErrBusy) {
		return app.ExitOK
	}
	if err != nil {
		return c.fail(err)
	}
	d := c.deliverer(q)
	err = d.work(ctx, lock, func() time.Duration { return settleTime + time.Second })
	if d.failure != nil {
		c.Complain(fmt.Errorf("delivering mail: %w", d.failure)) // the log has it
	}
	if err != nil {
		return c.fail(fmt.Errorf("delivering mail: %w", err))
	}
	if d.failure != nil {
		return app.ExitFailed
	}
	return app.ExitOK
}
