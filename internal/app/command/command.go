// Package command is the frame that the command lines for people share: the help text, the order of
// words, mistakes in them, and the manual page.
package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// ErrReported marks a failure that has been reported already.
var ErrReported = errors.New("reported")

// Result turns the exit status of a command into what its action returns.
func Result(status int) error {
	if status == app.ExitOK {
		return nil
	}
	return ErrReported
}

// Line is the command line of one program.
type Line struct {
	*app.Program
	Summary  string
	Calls    bool        // daemons call it too
	Examples [][2]string // words after the program's name, and what they do
}

// App returns the frame; the caller puts flags and commands into it.
func (l Line) App() *cli.App {
	return &cli.App{
		Name:                 l.Name,
		HelpName:             l.Name,
		Usage:                l.Summary,
		UsageText:            l.usage(),
		Version:              app.Version,
		HideHelpCommand:      true,
		EnableBashCompletion: true,
		Suggest:              true,
		Writer:               l.Stdout,
		ErrWriter:            l.Stderr,
		ExitErrHandler:       func(*cli.Context, error) {}, // the exit status is Run's to return
		OnUsageError:         func(_ *cli.Context, err error, _ bool) error { return l.UsageError(err) },
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return l.UsageError(fmt.Errorf("unknown command %s", arproto.Quote(c.Args().First())))
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// Run runs the app and returns the exit status. A mistake in the words of a command is
// reported as one of the program's own, and a command whose ArgsUsage names no argument takes none.
func (l Line) Run(ctx context.Context, frame *cli.App, args []string) int {
	for _, c := range frame.Commands {
		c.OnUsageError = frame.OnUsageError
		if c.ArgsUsage == "" {
			c.Before = l.noArguments
		}
	}
	err := frame.RunContext(ctx, append([]string{l.Name}, args...))
	switch {
	case err == nil:
		return app.ExitOK
	case !errors.Is(err, ErrReported):
		l.Complain(err)
	}
	return app.ExitFailed
}

func (l Line) usage() string {
	var b strings.Builder
	if l.Calls {
		fmt.Fprintf(&b,
			"%s add|delete USER IP [ALERTID RULEID LOCATION FILENAME]   (as ossec-execd calls it)\n", l.Name)
		fmt.Fprintf(&b, "%s < REQUEST   (as wazuh-execd calls it: one line of JSON)\n\n", l.Name)
	}
	width := 0
	for _, e := range l.Examples {
		width = max(width, len(e[0]))
	}
	for _, e := range l.Examples {
		fmt.Fprintf(&b, "%s %-*s   %s\n", l.Name, width, e[0], e[1])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// UsageError reports a mistake in the words.
func (l Line) UsageError(err error) error {
	l.Complain(fmt.Errorf("%w (see %s --help)", err, l.Name))
	return ErrReported
}

// noArguments reports an argument where none is allowed.
func (l Line) noArguments(c *cli.Context) error {
	if !c.Args().Present() {
		return nil
	}
	return l.UsageError(fmt.Errorf("%s takes no arguments, found %s", c.Command.Name,
		arproto.Quote(c.Args().First())))
}
