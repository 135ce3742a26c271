package respond

import (
	"context"
	"errors"
	"net/netip"
	"runtime/debug"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/check"
	"github.com/ossec-ar/ossec-ar/internal/setup"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// personal are the commands that only a person gives.
var personal = []string{"list", "unban", "flush", "expire", "restore", "reconcile", "import", "unimport", "export", "check", "configure", "man"}

// commandLine runs the command of a person.
func (p *call) commandLine(ctx context.Context, args []string) int {
	// A whole list should not take the memory that the host is short of under attack: half of it,
	// for a tenth more time.
	debug.SetGCPercent(25)
	app := p.line().App()
	app.Flags = []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and change nothing"},
	}
	app.Before = func(c *cli.Context) error {
		p.dryRun = c.Bool("dry-run")
		return nil
	}
	app.Commands = p.commands()
	return p.line().Run(ctx, app, args)
}

func (p *call) line() command.Line {
	return command.Line{
		Program: &p.Program, Summary: p.response.Summary, Calls: true,
		Examples: [][2]string{
			{"add 203.0.113.7", "block an address until it is deleted"},
			{"delete 203.0.113.7", "give up what add took"},
			{"list", "who is blocked, since when, by whom and why"},
			{"unban 203.0.113.7", "free an address, whoever holds it"},
			{"--dry-run add 203.0.113.7", "say what would be done"},
			{"flush", "free all addresses"},
			{"expire", "free those whose daemon died (from cron)"},
			{"restore", "block again after a reboot or a flush"},
			{"reconcile", "what differs between leases, whitelist and host"},
			{"import FILE|-", "block a list, one address a line"},
			{"check", "why it is not blocking"},
		},
	}
}

func (p *call) commands() []*cli.Command {
	act := func(name, usage string) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "ADDRESS", SkipFlagParsing: true, HideHelpCommand: true,
			Action: func(c *cli.Context) error { return command.Result(p.act(c.Context, name, c.Args().Slice())) },
		}
	}
	return []*cli.Command{
		act("add", "block an address until it is deleted"),
		act("delete", "give up what add took; the address is free when nobody else holds it"),
		{
			Name: "list", Usage: "show who is blocked, since when, by whom and why", HideHelpCommand: true,
			Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "as JSON"}},
			Action: func(c *cli.Context) error { return command.Result(p.list(c.Context, c.Bool("json"))) },
		},
		{
			Name: "unban", Usage: "free an address, whoever holds it", ArgsUsage: "ADDRESS", HideHelpCommand: true,
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return p.line().UsageError(errors.New("unban takes one address"))
				}
				addr, err := arproto.ParseAddr(c.Args().First())
				if err != nil {
					return p.line().UsageError(err)
				}
				return command.Result(p.unban(c.Context, addr))
			},
		},
		{
			Name: "flush", Usage: "free all addresses", HideHelpCommand: true,
			Flags: []cli.Flag{&cli.StringFlag{Name: "program", Usage: "only what this program holds, as list shows it"}},
			Action: func(c *cli.Context) error {
				if name := c.String("program"); name != "" {
					return command.Result(p.flushProgram(c.Context, name))
				}
				return command.Result(p.flush(c.Context))
			},
		},
		{
			Name: "import", Usage: "block the addresses of a list, one a line, # begins a comment", ArgsUsage: "FILE|-", HideHelpCommand: true,
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return p.line().UsageError(errors.New("import takes one file, or - for standard input"))
				}
				return command.Result(p.importList(c.Context, c.Args().First()))
			},
		},
		p.plain("unimport", "free what import blocked and nobody else holds", func(ctx context.Context) int {
			return p.flushProgram(ctx, importer)
		}),
		p.plain("export", "print the addresses that are held, one a line", p.export),
		setup.Command(&p.Program),
		p.plain("expire", "free addresses whose daemon died before it could", p.expire),
		p.plain("restore", "block again what is leased but not blocked, as after a reboot", p.restore),
		{
			Name: "reconcile", Usage: "show what differs between the leases, the whitelist and the host; exit 1 if anything does", HideHelpCommand: true,
			Flags:  []cli.Flag{&cli.BoolFlag{Name: "repair", Usage: "block what is missing, free what nobody holds"}},
			Action: func(c *cli.Context) error { return command.Result(p.reconcile(c.Context, c.Bool("repair"))) },
		},
		check.Command(true, func(ctx context.Context, options check.Options) error { return command.Result(p.check(ctx, options)) }),
		command.ManCommand(p.manual()),
	}
}

// manual is what the manual page says beyond the help text.
func (p *call) manual() command.ManText {
	return command.ManText{
		Name:        p.response.Name,
		Description: append(slices.Clone(p.response.Manual), whatAllShare...),
		Files: [][2]string{
			{"/var/ossec/logs/active-responses.log", "what was done, in the form that OSSEC's and Wazuh's rules read"},
			{"/var/ossec/var/active-response/" + p.response.Name + ".db", "who holds which address; for root only"},
			{"/var/ossec/etc/active-response.toml", "the configuration, optional: see active-response.toml(5)"},
			{"/var/ossec/etc/whitelist.d/", "files of addresses that are never blocked, one entry a line"},
			{"/var/ossec/etc/ossec.conf", "read for <white_list> and <allow_list>"},
		},
		Exit: [][2]string{
			{"0", "what was asked for now holds, or was skipped on purpose"},
			{"1", "it does not hold; standard error and the log say why"},
		},
		SeeAlso: []string{"active-response.toml(5)", "firewall-drop(8)", "host-deny(8)", "route-null(8)", "email-notification(8)", "response-stats(8)"},
	}
}

// whatAllShare is what the manual pages of all blocking responses say.
var whatAllShare = []string{
	"It is run by ossec-execd with arguments, or by wazuh-execd with a line of JSON on standard input, and by a person. Its home is the folder two above the executable when that is in active-response/bin, else $OSSEC_HOME, else /var/ossec.",
	"An address that several programs hold is free only when the last one gives it up. Whoever is on the whitelist is never blocked. When leases, log or configuration fail, the address is blocked and freed all the same, and the fault is told.",
	"Host names are never resolved, and networks never blocked.",
}

// plain is a command without arguments.
func (p *call) plain(name, usage string, do func(context.Context) int) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, HideHelpCommand: true,
		Action: func(c *cli.Context) error { return command.Result(do(c.Context)) },
	}
}

// act is add and delete by hand: with an address alone, or with all that a daemon passes.
func (p *call) act(ctx context.Context, action string, args []string) int {
	if len(args) == 1 {
		args = []string{"-", args[0]}
	}
	request, err := arproto.ParseArgs(append([]string{action}, args...))
	p.about = *request
	if err != nil {
		p.readConfig() // it says how to log
		return p.fail(err)
	}
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	return p.handle(ctx, nil)
}

// unban lifts the block on addr and ends every lease on it.
func (p *call) unban(ctx context.Context, addr netip.Addr) int {
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	if p.dryRun {
		p.say("would unblock %s, whoever holds it", addr)
		return app.ExitOK
	}
	return p.unblock(ctx, addr, "(by hand)")
}

// unblock lifts the block on addr and ends every lease on it.
func (p *call) unblock(ctx context.Context, addr netip.Addr, why string) int {
	p.about = arproto.Request{Action: arproto.Delete, Addr: addr}
	lock, leaseErr := p.store.LockAddr(addr)
	defer lock.Release()
	if err := p.enforcer.Unblock(ctx, addr); err != nil {
		return p.fail(err)
	}
	dropErr := p.store.Drop(addr)
	p.log(arlog.StatusDelete, arlog.Unblocked(addr, "")+" "+why)
	p.say("Unblocked IP: %s", addr)
	p.leaseFaults(leaseErr)
	return p.stillLeased(dropErr)
}
