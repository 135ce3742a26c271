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
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// completer is the word that the shells' completions ask with: behind it stand the words so far,
// the last one the one to complete.
const completer = "__complete"

// shells are those that have a completion.
var shells = map[string]string{"bash": completions.Bash, "zsh": completions.Zsh, "fish": completions.Fish}

// completing is the command completion, and what the shells ask.
type completing struct{ *tool }

func (t completing) script(c *cli.Context) int {
	script := shells[c.Args().First()]
	if script == "" {
		return t.usage(command.Unknown("shell", c.Args().First(), "there are bash, zsh and fish",
			[]string{"bash", "zsh", "fish"}))
	}
	fmt.Fprint(t.Stdout, script)
	return app.ExitOK
}

// mostCompleted is how many addresses are offered.
const mostCompleted = 500

// complete prints what the last word may become, one a line.
func (t completing) complete(ctx context.Context, words []string) int {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	w := command.Words{Frame: t.frame()}
	candidates, option, operand := w.Candidates(words)
	switch {
	case option == "response":
		candidates = t.responses()
	case operand:
		candidates = t.operands(ctx, &w, last)
	}
	for _, candidate := range candidates {
		if strings.HasPrefix(candidate, last) {
			t.say("%s", candidate)
		}
	}
	return app.ExitOK
}

// operands are what the command behind words may be given.
func (t completing) operands(ctx context.Context, w *command.Words, last string) []string {
	switch w.Command.Name {
	case "list", "show", "unban":
		return t.blockedNow(ctx, w.Global("home"), last)
	case "completion":
		return []string{"bash", "zsh", "fish"}
	case "man":
		return manual(t).pages()
	case "help":
		return command.Names(w.Frame.Commands)
	}
	return nil
}

// blockedNow are the targets that are held and begin as last does.
func (t completing) blockedNow(ctx context.Context, home, last string) []string {
	t.Stderr = io.Discard // the shell is in the middle of a line
	if home != "" {
		t.Home = ossec.Home(home)
	}
	t.load()
	snapshots, _, _ := t.snapshots(ctx, filter{})
	var out []string
	for r := range rows(snapshots, nil, filter{}) {
		text := r.Target.String()
		if len(out) < mostCompleted && strings.HasPrefix(text, last) &&
			!slices.Contains(out[max(0, len(out)-1):], text) {
			out = append(out, text)
		}
	}
	return out
}
