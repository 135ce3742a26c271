package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// mistake is an error in the words, with advice.
type mistake struct {
	text string
	hint string
}

func (m *mistake) Error() string { return m.text }

func mistaken(hint, format string, args ...any) error {
	return &mistake{fmt.Sprintf(format, args...), hint}
}

// tell reports a mistake in the words: one line and a hint.
func (t *tool) tell(err error) {
	var m *mistake
	if !errors.As(err, &m) {
		m = &mistake{err.Error(), t.Name + " --help shows the commands"}
	}
	fmt.Fprintf(t.Stderr, "%s: %s\n", t.Name, m.text)
	t.Advise(m.hint)
}

// synonyms are words that people know from elsewhere.
var synonyms = map[string]string{
	"add": "block", "ban": "block", "drop": "block", "deny": "block",
	"delete": "unban", "del": "unban", "remove": "unban", "unblock": "unban", "free": "unban", "pardon": "unban",
	"ls": "list", "blocked": "list", "banned": "list", "info": "show", "clear": "flush",
	"restore": "repair", "reconcile": "repair", "expire": "maintain", "allow": "whitelist", "ignoreip": "whitelist",
	"load": "import", "dump": "export", "setup": "configure", "doctor": "check", "queue": "mail", "?": "help",
}

// unknown is the mistake of a word that means nothing; kind says what it should have been.
func unknown(kind, word, help string, known []string) error {
	nearest := ""
	if kind == "command" {
		nearest = synonyms[word]
	}
	if nearest == "" || !slices.Contains(known, nearest) {
		nearest = config.Nearest(word, slices.Values(known))
	}
	hint := help
	if nearest != "" {
		hint = fmt.Sprintf("did you mean %s? %s", nearest, help)
	}
	return mistaken(hint, "unknown %s %s", kind, arproto.Quote(word))
}

// names returns those of commands that are shown.
func names(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// order puts words into the order that the library reads: options may stand before and behind
// addresses, and those of the program behind the command. It finds the words that mean nothing.
func (t *tool) order(frame *cli.App, args []string) ([]string, error) {
	o := ordering{frame: frame, path: t.Name}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			o.operands = append(o.operands, args...)
			args = nil
		case len(word) > 1 && word[0] == '-':
			rest, err := o.option(word, args)
			if err != nil {
				return nil, err
			}
			args = rest
		case o.command == nil || len(o.command.Subcommands) > 0:
			if err := o.word(word); err != nil {
				return nil, err
			}
		default:
			o.operands = append(o.operands, word)
		}
	}
	if o.help {
		return append(o.words, "--help"), nil
	}
	out := append(o.global, o.words...)
	out = append(out, o.own...)
	if len(o.operands) > 0 {
		out = append(append(out, "--"), o.operands...)
	}
	return out, nil
}

type ordering struct {
	frame   *cli.App
	command *cli.Command
	path    string // "ossec-ar whitelist"

	global, words, own, operands []string
	help                         bool // it was asked for: nothing else counts
}

func (o *ordering) word(word string) error {
	known := o.frame.Commands
	if o.command != nil {
		known = o.command.Subcommands
	}
	c := find(known, word)
	if c == nil {
		return unknown("command", word, o.path+" --help shows them all", names(known))
	}
	o.command, o.words, o.path = c, append(o.words, word), o.path+" "+c.Name
	return nil
}

// option takes an option with its value, and returns what follows.
func (o *ordering) option(word string, args []string) ([]string, error) {
	name, _, assigned := strings.Cut(strings.TrimLeft(word, "-"), "=")
	to, flag := &o.own, cli.Flag(nil)
	if o.command != nil {
		flag = flagNamed(o.command.Flags, name)
	}
	if flag == nil {
		to, flag = &o.global, flagNamed(o.frame.Flags, name)
	}
	switch name {
	case "help", "h":
		o.help = true
		return args, nil
	case "version", "v":
		to, flag = &o.global, cli.VersionFlag
	}
	if flag == nil {
		return nil, unknown("option", word, o.path+" --help shows them all", o.options())
	}
	*to = append(*to, word)
	if doc, ok := flag.(cli.DocGenerationFlag); ok && doc.TakesValue() && !assigned {
		if len(args) == 0 {
			return nil, mistaken(o.path+" --help", "the option --%s lacks its value", name)
		}
		*to, args = append(*to, args[0]), args[1:]
	}
	return args, nil
}

func (o *ordering) options() []string {
	flags := o.frame.Flags
	if o.command != nil {
		flags = append(slices.Clone(o.command.Flags), flags...)
	}
	out := []string{"--help"}
	for _, f := range flags {
		out = append(out, "--"+f.Names()[0])
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
