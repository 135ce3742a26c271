// Package command is the frame that the command lines of all programs share: how a
// person's words are told from a daemon's call, the help text, and how a mistake is told.
package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// ForPerson tells a person's words from a daemon's call. Whatever has an action and the
// place of a user and an address is a call, because there the user name is the attacker's
// to choose: "add --dry-run 203.0.113.7" must act when a daemon asks for it. When none does,
// see Misplaced.
func ForPerson(args []string, commands ...string) bool {
	switch {
	case len(args) == 0:
		return true
	case args[0] == string(arproto.Add) || args[0] == string(arproto.Delete):
		if len(args) != 2 {
			return false
		}
		_, err := arproto.ParseAddr(args[1])
		return err == nil
	case strings.HasPrefix(args[0], "-"):
		return true
	}
	return slices.Contains(commands, args[0]) || args[0] == "help" || args[0] == "h"
}

// Misplaced returns what is wrong with three words that only a person's mistake makes: an
// action, and an option or another address in the place of the user. The caller asks only
// where no daemon called: to one of those a user may be called anything. From four words on
// there is an alert id, and no person types that.
func Misplaced(name string, args []string) error {
	if len(args) != 3 || args[0] != string(arproto.Add) && args[0] != string(arproto.Delete) {
		return nil
	}
	user := args[1]
	if strings.HasPrefix(user, "-") && len(user) > 1 { // old agents pass "-" for none
		return fmt.Errorf("options stand before the command, as in %s --dry-run %s ADDRESS (found %s in the place of the user)",
			name, args[0], arproto.Quote(user))
	}
	if _, err := arproto.ParseAddr(user); err == nil {
		return fmt.Errorf("%s takes one address (found %s in the place of the user)", args[0], arproto.Quote(user))
	}
	return nil
}

// ErrReported marks a failure that has been told already.
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

// Run runs the app and returns the exit status. A mistake in the words of a command is told
// as one of the program's own is, and a command whose ArgsUsage names no argument takes none.
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
		fmt.Fprintf(&b, "%s add|delete USER IP [ALERTID RULEID LOCATION FILENAME]   (as ossec-execd calls it)\n", l.Name)
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

// UsageError tells a mistake in the words.
func (l Line) UsageError(err error) error {
	l.Complain(fmt.Errorf("%w (see %s --help)", err, l.Name))
	return ErrReported
}

// noArguments tells of an argument where there is to be none.
func (l Line) noArguments(c *cli.Context) error {
	if !c.Args().Present() {
		return nil
	}
	return l.UsageError(fmt.Errorf("%s takes no arguments, found %s", c.Command.Name, arproto.Quote(c.Args().First())))
}
