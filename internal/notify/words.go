package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/chat"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Hint returns advice on an error of this package, "" for none.
func Hint(err error) string { return cmp.Or(mail.Hint(err), chat.Hint(err)) }

// desk is where a person has to do with an office: by the words of ossec-ar.
type desk struct{ *office }

// Commands are the words `mail` and `chat` of ossec-ar. Their actions return errors that are still to
// be printed.
func Commands(p *app.Program) []*cli.Command {
	return []*cli.Command{mailCommand(desk{newOffice(p, notice.Mail)}), chatCommand(desk{newOffice(p, notice.Chat)})}
}

func mailCommand(o desk) *cli.Command {
	words := append(o.queueWords(),
		o.word("test", "", "send a sample and show what the server says", func(x *cli.Context) error {
			return o.testMail(x.Context, x.StringSlice("to"))
		}, &cli.StringSliceFlag{Name: "to", Usage: "send to this `ADDRESS` instead"}),
		o.word("preview", "[ADDRESS]", "print a sample, or the mail about an address now",
			func(x *cli.Context) error {
				return o.preview(x.Context, x.Args().Slice(), x.Bool("html"), x.Bool("digest"))
			},
			&cli.BoolFlag{Name: "html", Usage: "its HTML, for a browser"}, digestFlag()),
		o.word("template", "PART", "print a built-in template: subject, text or html",
			func(x *cli.Context) error {
				if x.NArg() != 1 {
					return errors.New("mail template takes one part: subject, text or html")
				}
				text, err := builtInTemplate(x.Args().First())
				return errors.Join(err, o.print(text))
			}))
	c := o.command("the mail queue, samples and templates", words)
	c.UsageText = "ossec-ar mail queue\nossec-ar mail test --to you@example.org\n" +
		"ossec-ar mail preview --html > mail.html"
	return c
}

func chatCommand(o desk) *cli.Command {
	words := append(o.queueWords(),
		o.word("test", "", "send a sample to each service and show what comes of it", func(x *cli.Context) error {
			return o.testChat(x.Context, x.StringSlice("to"))
		}, &cli.StringSliceFlag{Name: "to", Usage: "only to the service whose url_file is `FILE`"}),
		o.word("preview", "[ADDRESS]", "print a sample, or the message about an address now",
			func(x *cli.Context) error {
				return o.preview(x.Context, x.Args().Slice(), false, x.Bool("digest"))
			}, digestFlag()))
	c := o.command("the queue for chat and paging services, and samples", words)
	c.UsageText = "ossec-ar chat queue\nossec-ar chat test --to /etc/ossec-ar/slack.url\nossec-ar chat preview"
	return c
}

func digestFlag() cli.Flag {
	return &cli.BoolFlag{Name: "digest", Usage: "a sample of several addresses"}
}

// command is the word of a channel, with the words behind it.
func (o desk) command(usage string, words []*cli.Command) *cli.Command {
	return &cli.Command{
		Name: o.Channel.Name, ArgsUsage: "WORD", Usage: usage, HideHelpCommand: true, Subcommands: words,
		Action: func(x *cli.Context) error {
			return cli.ShowSubcommandHelp(x)
		},
	}
}

// queueWords are the words about a queue.
func (o desk) queueWords() []*cli.Command {
	work := o.word("deliver", "", "deliver the queue; who adds to it starts this", func(x *cli.Context) error {
		return o.deliver(x.Context, x.Bool("locked"))
	}, &cli.BoolFlag{Name: "locked", Usage: "take over the lock that is handed down"})
	work.Hidden = true
	return []*cli.Command{
		o.word("queue", "", "show what waits and what was refused", func(x *cli.Context) error {
			return o.showQueue(x.String("retry"), x.String("drop"), x.Bool("json"))
		},
			&cli.StringFlag{Name: "retry", Usage: "try the notice `ID` again, or all, at once"},
			&cli.StringFlag{Name: "drop", Usage: "throw the notice `ID` away, or all"},
			&cli.BoolFlag{Name: "json", Usage: "as JSON"}),
		o.word("flush", "", "send what is due (maintain does), and show what still waits", func(x *cli.Context) error {
			if err := o.deliver(x.Context, false); err != nil {
				return err
			}
			return o.showQueue("", "", false)
		}),
		work,
	}
}

// word is one word behind that of the channel. One whose arguments are "" takes none.
func (o desk) word(
	name, arguments, usage string, run func(x *cli.Context) error, flags ...cli.Flag,
) *cli.Command {
	return &cli.Command{
		Name: name, ArgsUsage: arguments, Usage: usage, Flags: flags, HideHelpCommand: true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return err },
		Action: func(x *cli.Context) error {
			if arguments == "" && x.Args().Present() {
				return fmt.Errorf("%s %s takes no arguments, found %s", o.Channel.Name, name,
					arproto.Quote(x.Args().First()))
			}
			return run(x)
		},
	}
}

func (o desk) print(text string) error {
	if _, err := fmt.Fprint(o.Stdout, text); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// testMail sends a sample at once and prints each step. It goes round the queue and its limit.
func (o desk) testMail(ctx context.Context, recipients []string) error {
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
	a, result, err := o.post.send(ctx, job{To: to, Entries: []entry{sample(o.Now())}, Sample: true})
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

// testChat sends a sample at once to the services, or only to those that are named.
func (o desk) testChat(ctx context.Context, only []string) error {
	if _, err := o.Configure(); err != nil {
		return err
	}
	var to []string
	for _, c := range o.config.Chat {
		if !c.FromCall && (len(only) == 0 || slices.Contains(only, c.URLFile)) {
			to = append(to, c.URLFile)
		}
	}
	if len(to) == 0 {
		return errors.New("there is no such service in [[chat]] that has a url_file")
	}
	o.fault = o.Complain
	_, result, err := o.post.send(ctx, job{To: to, Entries: []entry{sample(o.Now())}, Sample: true})
	for _, service := range to {
		if result[service] == nil {
			err = errors.Join(err, o.print(service+": sent a sample\n"))
		}
		err = errors.Join(err, result[service])
	}
	if err != nil {
		return fmt.Errorf("sending a sample: %w", err)
	}
	return nil
}

// preview prints what a message looks like: a sample, or the one that a call about an address
// would make now, with all that a daemon passes or with the address alone.
func (o desk) preview(ctx context.Context, args []string, html, digest bool) error {
	_, err := o.Configure()
	if err != nil && !errors.Is(err, config.ErrMailUnset) && !errors.Is(err, config.ErrChatUnset) {
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
	a, err := o.delegate(ctx, j, 0)
	o.geo.close()
	if err == nil && a.Failed != nil {
		err = a.Failed
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing the notice: %w", err)
	case html:
		return o.print(a.Message.HTML)
	}
	return o.print("Subject: " + a.Message.Subject + "\n\n" + a.Message.Text)
}

// wouldBe makes the entry of a call now, waiting for its facts as long as they may be coming.
func (o desk) wouldBe(ctx context.Context, args []string) (entry, error) {
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
