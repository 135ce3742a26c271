package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Hint returns advice on an error of this package, "" for none.
func Hint(err error) string { return mail.Hint(err) }

// Command is the word `mail` of ossec-ar. Its actions return errors that are still to be printed.
func Command(p *app.Program) *cli.Command {
	o := newOffice(p)
	work := word("deliver", "", "deliver the queue; who adds to it starts this", func(x *cli.Context) error {
		return deliver(x.Context, p, x.Bool("locked"))
	}, &cli.BoolFlag{Name: "locked", Usage: "take over the lock that is handed down"})
	work.Hidden = true
	words := []*cli.Command{
		word("queue", "", "show what waits and what was refused", func(x *cli.Context) error {
			return o.queue(x.String("retry"), x.String("drop"), x.Bool("json"))
		},
			&cli.StringFlag{Name: "retry", Usage: "try the notice `ID` again, or all, at once"},
			&cli.StringFlag{Name: "drop", Usage: "throw the notice `ID` away, or all"},
			&cli.BoolFlag{Name: "json", Usage: "as JSON"}),
		word("flush", "", "send what is due (maintain does)", func(x *cli.Context) error {
			return Deliver(x.Context, p)
		}),
		word("test", "", "send a sample and show what the server says", func(x *cli.Context) error {
			return o.test(x.Context, x.StringSlice("to"))
		}, &cli.StringSliceFlag{Name: "to", Usage: "send to this `ADDRESS` instead"}),
		word("preview", "[ADDRESS]", "print a sample, or the mail about an address now",
			func(x *cli.Context) error {
				return o.preview(x.Context, x.Args().Slice(), x.Bool("html"), x.Bool("digest"))
			},
			&cli.BoolFlag{Name: "html", Usage: "its HTML, for a browser"},
			&cli.BoolFlag{Name: "digest", Usage: "a sample of several addresses"}),
		word("template", "PART", "print a built-in template: subject, text or html",
			func(x *cli.Context) error {
				if x.NArg() != 1 {
					return errors.New("mail template takes one part: subject, text or html")
				}
				text, err := builtInTemplate(x.Args().First())
				return errors.Join(err, o.print(text))
			}),
		work,
	}
	return &cli.Command{
		Name: "mail", ArgsUsage: "WORD", Usage: "the mail queue, samples and templates",
		HideHelpCommand: true, Subcommands: words,
		Action: func(x *cli.Context) error {
			return cli.ShowSubcommandHelp(x)
		},
	}
}

// word is one word behind `mail`. One whose arguments are "" takes none.
func word(name, arguments, usage string, run func(x *cli.Context) error, flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, ArgsUsage: arguments, Usage: usage, Flags: flags, HideHelpCommand: true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return err },
		Action: func(x *cli.Context) error {
			if arguments == "" && x.Args().Present() {
				return fmt.Errorf("mail %s takes no arguments, found %s", name,
					arproto.Quote(x.Args().First()))
			}
			return run(x)
		},
	}
}

func (o *office) print(text string) error {
	if _, err := fmt.Fprint(o.Stdout, text); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// test sends a sample at once and prints each step. It goes round the queue and its limit.
func (o *office) test(ctx context.Context, recipients []string) error {
	_, fault := o.Configure()
	if fault != nil {
		o.Complain(fault) // what is sound counts
	}
	to, err := o.settings.General()
	if len(recipients) > 0 {
		to, err = nil, nil
		for _, text := range recipients {
			a, aerr := mail.ParseAddress(text)
			if aerr != nil {
				return aerr
			}
			to = append(to, a.Address)
		}
	}
	switch {
	case fault != nil && (o.settings.Server == "" || len(to) == 0):
		return command.ErrReported
	case err != nil:
		return fmt.Errorf("%w; name one with --to", err)
	}
	o.fault = o.Complain
	a, result, err := o.send(ctx, job{To: to, Entries: []entry{sample(o.Now())}, Sample: true})
	for _, line := range a.Trace {
		fmt.Fprintln(o.Stdout, printable.Line(line))
	}
	for _, recipient := range to {
		err = errors.Join(err, result[recipient])
	}
	if err != nil {
		return fmt.Errorf("sending a sample: %w", err)
	}
	return o.print(fmt.Sprintf("sent a sample to %d\n", len(to)))
}

// preview prints what a mail looks like: a sample, or the one that a call about an address
// would make now, with all that a daemon passes or with the address alone.
func (o *office) preview(ctx context.Context, args []string, html, digest bool) error {
	if _, err := o.Configure(); err != nil && !errors.Is(err, config.ErrMailUnset) {
		o.Complain(err) // what is sound counts
	}
	now := o.Now()
	o.fault = o.Complain
	j := job{Task: taskWrite, Entries: []entry{sample(now)}, Sample: len(args) == 0}
	if digest {
		all := samples(now)
		j.Entries = all[len(all)-1]
	}
	if len(args) > 0 {
		e, err := o.wouldBe(ctx, args)
		if err != nil {
			return err
		}
		j.Entries = []entry{e}
	}
	a, err := o.delegate(ctx, j)
	o.geo.close()
	if err == nil && a.Failed != nil {
		err = a.Failed
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing the mail: %w", err)
	case html:
		return o.print(a.Message.HTML)
	}
	return o.print("Subject: " + a.Message.Subject + "\n\n" + a.Message.Text)
}

// wouldBe makes the entry of a call now, waiting for its facts as long as they may be coming.
func (o *office) wouldBe(ctx context.Context, args []string) (entry, error) {
	switch {
	case len(args) == 1:
		args = []string{string(arproto.Add), "-", args[0]}
	case len(args) == 2:
		args = []string{args[0], "-", args[1]}
	}
	request, err := arproto.ParseArgs(args)
	if err != nil {
		return entry{}, err
	}
	begin := o.Now()
	n := notice.Of(request, begin)
	item, err := n.Item(o.Path(), begin)
	if err != nil {
		return entry{}, err
	}
	item.Count = 1
	for ; !item.Settled; time.Sleep(50 * time.Millisecond) {
		o.Settle(ctx, []*outbox.Item{&item})
	}
	e := open(&item)
	for _, to := range item.To {
		if err := o.print("To: " + printable.Line(to) + "\n"); err != nil {
			return e, err
		}
	}
	return e, nil
}
