package control

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/contrib/completions"
	"github.com/ossec-ar/ossec-ar/docs/man"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// completion prints what makes a shell complete words.
func completion(t *tool, c *cli.Context) error {
	scripts := map[string]string{"bash": completions.Bash, "zsh": completions.Zsh, "fish": completions.Fish}
	script := scripts[c.Args().First()]
	if script == "" {
		return command.Unknown("shell", c.Args().First(), "there are bash, zsh and fish", shells)
	}
	_, err := fmt.Fprint(t.Stdout, script)
	return err
}

var shells = []string{"bash", "zsh", "fish"}

// manual prints a page.
func manual(t *tool, c *cli.Context) error {
	name := cmp.Or(c.Args().First(), Name)
	if !slices.Contains(pages(), name) {
		return command.Unknown("page", name, "there are "+strings.Join(pages(), ", "), pages())
	}
	for _, section := range []string{".8", ".5"} {
		if text, err := man.Pages.ReadFile(name + section); err == nil {
			_, err = t.Stdout.Write(text)
			return err
		}
	}
	return nil
}

// pages are the names of the manual pages.
func pages() []string {
	entries, _ := man.Pages.ReadDir(".") // in the program itself
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	return out
}

// mostCompleted is how many addresses are offered.
const mostCompleted = 500

// values are what the option, or an operand of the command, may be.
func values(t *tool, w *command.Words, option, prefix string) []string {
	if option != "" {
		if option == "response" {
			return t.responses()
		}
		return nil
	}
	switch w.Command.Name {
	case "list", "show", "unban":
		if t.choose(w.Global("response")) != nil {
			return nil
		}
		return blockedNow(t, w.Global("home"), prefix)
	case "completion":
		return shells
	case "man":
		return pages()
	case "help":
		return command.Names(w.Frame.Commands)
	}
	return nil
}

// blockedNow are the targets that are held and begin with prefix.
func blockedNow(t *tool, home, prefix string) []string {
	t.Stderr = io.Discard // the shell is in the middle of a line
	if home != "" {
		t.Home = ossec.Home(home)
	}
	t.load()
	snapshots, _, _ := t.snapshots(context.Background(), filter{})
	var out []string
	for r := range rows(snapshots, nil, filter{}) {
		if len(out) == mostCompleted {
			break
		}
		text := r.Target.String()
		if strings.HasPrefix(text, prefix) && !slices.Contains(out[max(0, len(out)-1):], text) {
			out = append(out, text)
		}
	}
	return out
}
