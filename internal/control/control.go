// Package control is ossec-ar, the administrator's tool: what is blocked by which response and
// why, blocking and freeing by hand, and the upkeep that keeps the host as the leases want it. It
// works on any kinds of enforcers and knows none of them. Daemons never call it.
package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/notify"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// Name is the program's, also in the leases that a person takes.
const Name = "ossec-ar"

// What a hundred thousand addresses take beside what is collected, in bytes: less, and nothing is done but
// collect. A list holds all leases and all blocks at a time.
const (
	memory     = 20 << 20
	listMemory = 44 << 20
)

// tool is one run of ossec-ar.
type tool struct {
	app.Program
	all    []enforcer.Kind
	chosen []enforcer.Kind // by --response; all without it
	dryRun bool

	settings      config.Config
	settingsFault error
}

// Main runs ossec-ar over these kinds and returns its exit status. The first kind is the one that
// a person blocks with who names none.
func Main(env app.Env, kinds ...enforcer.Kind) int {
	debug.SetMemoryLimit(memory) // a host under attack is short of it
	t := &tool{Program: app.New(env, Name), all: kinds, chosen: kinds}
	t.Name = Name
	if t.Resolver == nil {
		t.Resolver = &net.Resolver{PreferGo: true}
	}
	t.Home = ossec.FindToolHome(t.Invoked, t.Executable, t.Dir, t.OssecHome)
	t.Hint = t.hint
	return t.run(context.Background(), t.Arguments())
}

// hint returns advice on an error for a person.
func (t *tool) hint(err error) string {
	for _, kind := range t.chosen {
		if kind.Hint == nil {
			continue
		}
		if text := kind.Hint(err); text != "" {
			return text
		}
	}
	return notify.Hint(err)
}

// begin prepares for a command what its options say.
func (t *tool) begin(c *cli.Context) error {
	if dir := c.String("home"); dir != "" && dir[0] != '/' {
		return command.Mistaken("", "--home takes a full path, found %s", arproto.Quote(dir))
	} else if dir != "" {
		t.Home = ossec.Home(strings.TrimRight(dir, "/"))
	}
	t.dryRun = where(c, "dry-run").Bool("dry-run")
	if err := t.choose(where(c, "response").String("response")); err != nil {
		return err
	}
	t.load()
	return t.reachable(strings.TrimPrefix(c.Command.HelpName, t.Name+" "))
}

// choose goes by the value of --response; without one all are chosen.
func (t *tool) choose(response string) error {
	only := strings.TrimSuffix(response, ".sh")
	if only == "" {
		return nil
	}
	at := slices.Index(t.responses(), only)
	if at < 0 {
		return command.Unknown("response", only, "there are "+strings.Join(t.responses(), ", "), t.responses())
	}
	t.chosen = t.all[at : at+1]
	return nil
}

// where returns the context in which an option was given: of the command, or of the program.
func where(c *cli.Context, option string) *cli.Context {
	for _, above := range c.Lineage() {
		if above.IsSet(option) {
			return above
		}
	}
	return c
}

// reachable returns why a command cannot work on this home, in one line instead of many.
func (t *tool) reachable(name string) error {
	if slices.Contains([]string{"man", "completion", "help", "version"}, name) {
		return nil
	}
	if _, err := os.Stat(string(t.Home)); errors.Is(err, os.ErrNotExist) {
		return command.Mistaken("name it with --home or $OSSEC_HOME",
			"there is no home of OSSEC or Wazuh in %s", t.Home)
	}
	if !t.MayWork() {
		return command.Mistaken("run it as root, as with sudo",
			"%s needs root: settings, and what is blocked, are for root alone", name)
	}
	return nil
}

// load reads the settings; what is sound in them counts.
func (t *tool) load() { t.settings, t.settingsFault = config.Load(t.Home) }

// responses are the names of all kinds.
func (t *tool) responses() []string {
	var out []string
	for _, kind := range t.all {
		out = append(out, kind.Name)
	}
	return out
}

// whitelist returns the whitelist in a form for many addresses.
func (t *tool) whitelist() (*whitelist.Sieve, []error) {
	list, err := neverblock.List(t.Home, t.settings.Whitelist, t.Now())
	sieve := list.Sieve()
	faults := list.Faults()
	if err != nil {
		faults = append(faults, err)
	}
	return sieve, faults
}

// end returns when something ends that begins now, zero for never.
func (t *tool) end(limit time.Duration) time.Time {
	if limit == 0 {
		return time.Time{}
	}
	return t.Now().Add(limit)
}

// say answers the person, in lines that fit the terminal.
func (t *tool) say(format string, args ...any) {
	fmt.Fprint(t.Stdout, command.Wrap(fmt.Sprintf(format+"\n", args...), t.width()))
}

// width returns the columns of the terminal, 0 when standard output is none.
func (t *tool) width() int {
	if !t.StdoutTerminal {
		return 0
	}
	if columns := app.Columns(t.Stdout); columns > 0 {
		return columns
	}
	return 80
}

// colour returns text in a colour on a terminal, unless $NO_COLOR is set.
func (t *tool) colour(code, text string) string {
	if !t.StdoutTerminal || t.NoColor || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// The colours, as ANSI codes.
const (
	good  = "32"
	bad   = "31"
	alert = "33"
	bold  = "1"
)

// when writes a time for a person: the time of day for today, else the date too.
func (t *tool) when(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	now := t.Now()
	at = at.In(now.Location())
	switch {
	case at.YearDay() == now.YearDay() && at.Year() == now.Year():
		return at.Format("15:04:05")
	case now.Sub(at).Abs() < 300*24*time.Hour:
		return at.Format("Jan _2 15:04")
	}
	return at.Format("2006-01-02")
}
