package control

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/contrib/completions"
	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// completer is the word that the shells' completions ask with: behind it stand the words so far,
// the last one the one to complete.
const completer = "__complete"

// shells are those that have a completion.
var shells = map[string]string{"bash": completions.Bash, "zsh": completions.Zsh, "fish": completions.Fish}

func (t *tool) completion(c *cli.Context) int {
	script := shells[c.Args().First()]
	if script == "" {
		return t.usage(unknown("shell", c.Args().First(), "there are bash, zsh and fish", []string{"bash", "zsh", "fish"}))
	}
	fmt.Fprint(t.Stdout, script)
	return app.ExitOK
}

// mostCompleted is how many addresses are offered.
const mostCompleted = 500

// complete prints what the last word may become, one a line.
func (t *tool) complete(ctx context.Context, words []string) int {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	frame := t.frame()
	o := ordering{frame: frame}
	before := ""
	for rest := words[:len(words)-1]; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		if strings.HasPrefix(word, "-") && len(word) > 1 {
			after, err := o.option(word, rest)
			if err != nil {
				before = strings.TrimLeft(word, "-") // its value is what is completed
			} else {
				rest = after
			}
		} else if o.command == nil || len(o.command.Subcommands) > 0 {
			if o.word(word) != nil {
				return app.ExitOK
			}
		}
	}
	for _, candidate := range t.candidates(ctx, &o, before, last) {
		if strings.HasPrefix(candidate, last) {
			t.say("%s", candidate)
		}
	}
	return app.ExitOK
}

// candidates are what a word may become behind those of o, where before is an option that lacks
// its value.
func (t *tool) candidates(ctx context.Context, o *ordering, before, last string) []string {
	switch {
	case before == "response":
		return t.responses()
	case before != "":
		return nil
	case strings.HasPrefix(last, "-"):
		return o.options()
	case o.command == nil:
		return names(o.frame.Commands)
	case len(o.command.Subcommands) > 0:
		return names(o.command.Subcommands)
	}
	switch o.command.Name {
	case "list", "show", "unban":
		return t.blockedNow(ctx, o, last)
	case "completion":
		return []string{"bash", "zsh", "fish"}
	case "man":
		return t.pages()
	case "help":
		return names(o.frame.Commands)
	}
	return nil
}

// blockedNow are the addresses that are held and begin as last does.
func (t *tool) blockedNow(ctx context.Context, o *ordering, last string) []string {
	t.Stderr = io.Discard // the shell is in the middle of a line
	if i := slices.Index(o.global, "--home"); i >= 0 && i+1 < len(o.global) {
		t.Home = ossec.Home(o.global[i+1])
	}
	t.load()
	snapshots, _, _ := t.snapshots(ctx, filter{})
	var out []string
	for r := range rows(snapshots, nil, filter{}) {
		text := r.Addr.String()
		if len(out) < mostCompleted && strings.HasPrefix(text, last) && !slices.Contains(out[max(0, len(out)-1):], text) {
			out = append(out, text)
		}
	}
	return out
}
