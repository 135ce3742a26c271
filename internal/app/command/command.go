// Package command is the frame that the command lines for people share: the help text, the order of
// words, mistakes in them, and the completion of words in a shell.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// ErrReported marks a failure that has been reported already.
var ErrReported = errors.New("reported")

// Reported returns ErrReported when something failed.
func Reported(failed bool) error {
	if failed {
		return ErrReported
	}
	return nil
}

// completer is the word that the shells' completions ask with: behind it stand the words so far,
// the last one the one to complete. A response that is asked puts its own words before it.
const completer = "__complete"

// badValue is how the library complains of the value of an option.
var badValue = regexp.MustCompile(`(?s)^invalid value (".*") for flag -([a-z-]+): .*$`)

// Line is the command line of one program.
type Line struct {
	*app.Program
	Summary  string
	Examples [][2]string       // words after the program's name, and what they do
	Synonyms map[string]string // of commands, as people know them from elsewhere
	// Values returns what may stand for the value of option, or with "" for an operand of
	// w.Command, that begins as prefix does. It may be nil.
	Values func(w *Words, option, prefix string) []string
}

// App returns the frame; the caller puts flags and commands into it.
func (l Line) App() *cli.App {
	return &cli.App{
		Name: l.Name, HelpName: l.Name, Usage: l.Summary, UsageText: l.usage(), Version: app.Version,
		HideHelpCommand: true, Writer: l.Stdout, ErrWriter: l.Stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // the exit status is Run's to return
		Action:         func(c *cli.Context) error { return cli.ShowAppHelp(c) },
	}
}

// Run carries out the words, reports what fails, and returns the exit status. A mistake in the
// words is one line and a hint; no log has it.
func (l Line) Run(ctx context.Context, frame *cli.App, args []string) int {
	words := Words{Frame: frame, Synonyms: l.Synonyms}
	if at := slices.Index(args, completer); at >= 0 {
		l.complete(words, slices.Concat(args[:at], args[at+1:]))
		return app.ExitOK
	}
	if len(args) > 0 && frame.Command(args[0]) == nil && (args[0] == "help" || args[0] == "version") {
		args = []string{"--" + args[0]}
	}
	frame.OnUsageError = func(c *cli.Context, err error, _ bool) error {
		return Mistaken(cmp.Or(c.Command.HelpName, l.Name)+" --help", "%s",
			badValue.ReplaceAllString(err.Error(), "--$2 does not take the value $1"))
	}
	frame.Flags = append(frame.Flags, cli.HelpFlag) // the library adds it where no command is called help
	prepare(frame, frame.Flags, frame.Commands)
	ordered, err := words.Order(args)
	if err == nil {
		err = frame.RunContext(ctx, append([]string{l.Name}, ordered...))
	}
	var m *Mistake
	switch {
	case err == nil:
		return app.ExitOK
	case errors.As(err, &m):
		fmt.Fprintf(l.Stderr, "%s: %s\n", l.Name, m.Text)
		l.Advise(m.Hint)
	case !errors.Is(err, ErrReported):
		l.Complain(err)
	}
	return app.ExitFailed
}

// prepare has commands report mistakes as the frame does, and leaves out of the help that an option
// is off unless it is given.
func prepare(frame *cli.App, flags []cli.Flag, commands []*cli.Command) {
	for _, f := range flags {
		if b, ok := f.(*cli.BoolFlag); ok && !b.DisableDefaultText { // --help, which all frames share, has it
			b.DisableDefaultText = true
		}
	}
	for _, c := range commands {
		c.OnUsageError, c.HideHelpCommand = frame.OnUsageError, true
		prepare(frame, c.Flags, c.Subcommands)
	}
}

func (l Line) usage() string {
	width := 0
	for _, e := range l.Examples {
		width = max(width, len(e[0]))
	}
	var lines []string
	for _, e := range l.Examples {
		lines = append(lines, fmt.Sprintf("%s %-*s   %s", l.Name, width, e[0], e[1]))
	}
	return strings.Join(lines, "\n")
}

// complete prints what the last word may become, one a line.
func (l Line) complete(w Words, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	candidates, option, operand := w.Candidates(words)
	if (operand || option != "") && l.Values != nil {
		candidates = l.Values(&w, option, last)
	}
	for _, candidate := range candidates {
		if strings.HasPrefix(candidate, last) {
			fmt.Fprintln(l.Stdout, candidate)
		}
	}
}
