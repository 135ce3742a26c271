package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Mistake is an error in the words, with advice.
type Mistake struct{ Text, Hint string }

func (m *Mistake) Error() string { return m.Text }

// Mistaken returns a Mistake.
func Mistaken(hint, format string, args ...any) error {
	return &Mistake{fmt.Sprintf(format, args...), hint}
}

// NoOperands returns the mistake of an operand where a command takes none, nil where there is none.
func NoOperands(c *cli.Context) error {
	if !c.Args().Present() {
		return nil
	}
	return Mistaken(c.Command.HelpName+" --help", "%s takes nothing but options, found %s", c.Command.Name,
		arproto.Quote(c.Args().First()))
}

// Unknown is the mistake of a word that means nothing: kind is what it should have been. The hint
// names the nearest of the known words.
func Unknown(kind, word, help string, known []string) error {
	return unknown(kind, word, help, config.Nearest(word, slices.Values(known)))
}

func unknown(kind, word, help, nearest string) error {
	hint := help
	if nearest != "" {
		hint = fmt.Sprintf("did you mean %s? %s", nearest, help)
	}
	return Mistaken(hint, "unknown %s %s", kind, arproto.Quote(word))
}

// Words sorts the words of a command line into the order that the library reads: options may stand
// before and behind operands, and those of the program behind the command.
type Words struct {
	Frame    *cli.App
	Synonyms map[string]string // of commands, as people know them from elsewhere
	Command  *cli.Command      // what was found; nil for none yet

	global, path, own, operands []string
	help                        bool // --help was found: nothing else counts
}

// Order returns the words in order. A word that means nothing is a Mistake.
func (w *Words) Order(args []string) ([]string, error) {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			w.operands = append(w.operands, args...)
			args = nil
		case isOption(word):
			rest, err := w.option(word, args)
			if err != nil {
				return nil, err
			}
			args = rest
		case w.wantsCommand():
			if err := w.command(word); err != nil {
				return nil, err
			}
			if w.Command.SkipFlagParsing {
				return append(append(w.global, w.path...), args...), nil
			}
		default:
			w.operands = append(w.operands, word)
		}
	}
	if w.help {
		return append(w.path, "--help"), nil
	}
	out := append(w.global, w.path...)
	out = append(out, w.own...)
	if len(w.operands) > 0 {
		out = append(append(out, "--"), w.operands...)
	}
	return out, nil
}

// Global returns the value of an option of the program, "" when it was not given.
func (w *Words) Global(option string) string {
	if i := slices.Index(w.global, "--"+option); i >= 0 && i+1 < len(w.global) {
		return w.global[i+1]
	}
	return ""
}

func isOption(word string) bool { return len(word) > 1 && word[0] == '-' }

func (w *Words) wantsCommand() bool { return w.Command == nil || len(w.Command.Subcommands) > 0 }

// commands are those that may come next.
func (w *Words) commands() []*cli.Command {
	if w.Command != nil {
		return w.Command.Subcommands
	}
	return w.Frame.Commands
}

// pointer is where help is found.
func (w *Words) pointer() string {
	return strings.Join(append([]string{w.Frame.Name}, w.path...), " ") + " --help"
}

func (w *Words) command(word string) error {
	known := w.commands()
	at := slices.IndexFunc(known, func(c *cli.Command) bool { return c.HasName(word) })
	if at < 0 {
		names := Names(known)
		nearest := w.Synonyms[word]
		if !slices.Contains(names, nearest) {
			nearest = config.Nearest(word, slices.Values(names))
		}
		return unknown("command", word, w.pointer()+" shows them all", nearest)
	}
	w.Command, w.path = known[at], append(w.path, word)
	return nil
}

// option takes an option with its value, and returns what follows.
func (w *Words) option(word string, args []string) ([]string, error) {
	name, _, assigned := strings.Cut(strings.TrimLeft(word, "-"), "=")
	to, flag := &w.own, cli.Flag(nil)
	if w.Command != nil {
		flag = flagNamed(w.Command.Flags, name)
	}
	if flag == nil {
		to, flag = &w.global, flagNamed(w.Frame.Flags, name)
	}
	switch name {
	case "help", "h":
		w.help = true
		return args, nil
	case "version", "v":
		to, flag = &w.global, cli.VersionFlag
	}
	if flag == nil {
		return nil, Unknown("option", word, w.pointer()+" shows them all", w.options())
	}
	*to = append(*to, word)
	if doc, ok := flag.(cli.DocGenerationFlag); ok && doc.TakesValue() && !assigned {
		if len(args) == 0 {
			return nil, Mistaken(w.pointer(), "the option --%s lacks its value", name)
		}
		*to, args = append(*to, args[0]), args[1:]
	}
	return args, nil
}

func (w *Words) options() []string {
	flags := w.Frame.Flags
	if w.Command != nil {
		flags = append(slices.Clone(w.Command.Flags), flags...)
	}
	out := []string{"--help"}
	for _, f := range flags {
		out = append(out, "--"+f.Names()[0])
	}
	return out
}

// Candidates returns what the last of the words may become, and what is left to the caller: the
// option whose value it is, or with operand set that it is an operand of w.Command.
func (w *Words) Candidates(words []string) (candidates []string, option string, operand bool) {
	for rest := words[:len(words)-1]; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		if isOption(word) {
			after, err := w.option(word, rest)
			if err != nil {
				option = strings.TrimLeft(word, "-")
				continue
			}
			rest = after
		} else if w.wantsCommand() && w.command(word) != nil {
			return nil, "", false
		}
	}
	switch {
	case option != "":
		return nil, option, false
	case strings.HasPrefix(words[len(words)-1], "-"):
		return w.options(), "", false
	case w.wantsCommand():
		return Names(w.commands()), "", false
	}
	return nil, "", true
}

// Names returns those of the commands that are shown.
func Names(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}
