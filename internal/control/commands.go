package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/setup"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

func (t *tool) line() command.Line {
	return command.Line{
		Program: &t.Program, Summary: "see and steer what the active responses of this host block",
		Examples: [][2]string{
			{"status", "one screen: what is blocked, what waits, what failed"},
			{"list", "who is blocked, since when, by whom and why"},
			{"show 203.0.113.7", "everything about one address"},
			{"block 203.0.113.7 --for 2h", "block an address by hand"},
			{"unban 203.0.113.7", "free an address, whoever holds it"},
			{"whitelist add 192.0.2.0/24", "never block these"},
			{"check", "why is it not blocking?"},
		},
	}
}

// run carries out the words and returns the exit status.
func (t *tool) run(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == completer {
		return completing{t}.complete(ctx, args[1:])
	}
	frame := t.frame()
	words := command.Words{Frame: frame, Synonyms: synonyms}
	ordered, err := words.Order(args)
	if err != nil {
		return t.usage(err)
	}
	err = frame.RunContext(ctx, append([]string{t.Name}, ordered...))
	var m *command.Mistake
	switch {
	case err == nil:
		return app.ExitOK
	case errors.As(err, &m):
		return t.usage(err)
	case !errors.Is(err, command.ErrReported):
		t.Complain(err)
	}
	return app.ExitFailed
}

func (t *tool) frame() *cli.App {
	frame := t.line().App()
	frame.EnableBashCompletion = false // see complete
	frame.Flags = []cli.Flag{
		&cli.StringFlag{Name: "home", Usage: "the `DIR` that OSSEC or Wazuh is installed in"},
		&cli.StringFlag{Name: "response", Usage: "only the `RESPONSE`: " + strings.Join(t.responses(), ", ")},
		&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and change nothing"},
		cli.HelpFlag, // the library adds it only where no command is called help
	}
	frame.Commands = t.commands()
	frame.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return command.Mistaken(t.Name+" --help", "%v", err)
	}
	plainFlags(frame.Flags)
	for _, c := range frame.Commands {
		for _, c := range append(c.Subcommands, c) {
			c.OnUsageError = frame.OnUsageError
			plainFlags(c.Flags)
		}
	}
	return frame
}

// plainFlags leaves out of the help that an option is off unless it is given.
func plainFlags(flags []cli.Flag) {
	for _, f := range flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true
		}
	}
}

// responses are the names of all kinds.
func (t *tool) responses() []string {
	var out []string
	for _, kind := range t.all {
		out = append(out, kind.Name)
	}
	return out
}

// begin prepares for a command what its options say.
func (t *tool) begin(c *cli.Context) error {
	if dir := c.String("home"); dir != "" && dir[0] != '/' {
		return command.Mistaken("", "--home takes a full path, found %s", arproto.Quote(dir))
	} else if dir != "" {
		t.Home = ossec.Home(strings.TrimRight(dir, "/"))
	}
	t.dryRun = where(c, "dry-run").Bool("dry-run")
	if t.only = strings.TrimSuffix(where(c, "response").String("response"), ".sh"); t.only != "" {
		at := slices.IndexFunc(t.all, func(k enforcer.Kind) bool { return k.Name == t.only })
		if at < 0 {
			return command.Unknown("response", t.only,
				"there are "+strings.Join(t.responses(), ", "), t.responses())
		}
		t.chosen = t.all[at : at+1]
	}
	t.load()
	return t.reachable(c.Command.Name)
}

// reachable returns why a command cannot work on this home, in one line instead of many.
func (t *tool) reachable(name string) error {
	if slices.Contains([]string{"check", "man", "completion", "help", "version"}, name) {
		return nil
	}
	info, err := os.Stat(string(t.Home))
	if errors.Is(err, os.ErrNotExist) {
		return command.Mistaken("name it with --home or $OSSEC_HOME",
			"there is no home of OSSEC or Wazuh in %s", t.Home)
	}
	if state, serr := os.Lstat(t.Home.State()); serr == nil {
		info = state
	}
	user := os.Geteuid()
	if err != nil || user != 0 && int(info.Sys().(*syscall.Stat_t).Uid) != user {
		return command.Mistaken("run it as root, as with sudo",
			"%s needs root: nobody else reads or changes what is blocked", name)
	}
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

// word is a command that takes between least and most operands; most < 0 is any number.
func (t *tool) word(name, operands, usage string, least, most int, run func(*cli.Context) int,
	flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, ArgsUsage: operands, Usage: usage, HideHelpCommand: true, Flags: flags,
		UsageText: examples[name],
		Action: func(c *cli.Context) error {
			switch n := c.NArg(); {
			case n < least:
				return command.Mistaken(t.Name+" "+c.Command.Name+" --help", "%s takes %s",
					c.Command.Name, operands)
			case most == 0 && n > 0:
				return command.Mistaken(t.Name+" "+c.Command.Name+" --help",
					"%s takes nothing but options, found %s", c.Command.Name, arproto.Quote(c.Args().First()))
			case most > 0 && n > most:
				return command.Mistaken(t.Name+" "+c.Command.Name+" --help", "%s takes only %s, found %s too",
					c.Command.Name, operands, arproto.Quote(c.Args().Get(most)))
			}
			if err := t.begin(c); err != nil {
				return err
			}
			return command.Result(run(c))
		},
	}
}

// hidden is for a command that no person calls.
func hidden(c *cli.Command) *cli.Command {
	c.Hidden = true
	return c
}

// examples are how commands are used.
var examples = map[string]string{
	"list":     "ossec-ar list\nossec-ar list 203.0.113.7\nossec-ar list --response firewall-drop --program firewall-drop.sh\nossec-ar list --json | jq '.addresses[].address'",
	"show":     "ossec-ar show 203.0.113.7",
	"block":    "ossec-ar block 203.0.113.7\nossec-ar block 203.0.113.7 2001:db8::7 --for 2h --reason 'scans us'\nossec-ar block 203.0.113.7 --response host-deny",
	"unban":    "ossec-ar unban 203.0.113.7\nossec-ar unban 203.0.113.7 203.0.113.8 --response route-null",
	"flush":    "ossec-ar flush\nossec-ar flush --response host-deny\nossec-ar flush --program firewall-drop.sh",
	"import":   "ossec-ar import blocklist.txt --for 24h\ncurl -s https://example.org/list.txt | ossec-ar import - --skip-invalid",
	"export":   "ossec-ar export > blocked.txt",
	"repair":   "ossec-ar repair --dry-run\nossec-ar repair",
	"maintain": "* * * * * root /var/ossec/bin/ossec-ar maintain      (in /etc/cron.d/ossec-ar)",
	"check":    "ossec-ar check\nossec-ar check --live --response firewall-drop",
	"man":      "ossec-ar man | man -l -\nossec-ar man firewall-drop | man -l -",
}

func (t *tool) commands() []*cli.Command {
	onResponse := &cli.StringFlag{Name: "response", Usage: "only the `RESPONSE`: " +
		strings.Join(t.responses(), ", ")}
	onProgram := &cli.StringFlag{Name: "program", Usage: "only what this `PROGRAM` holds, as list shows it"}
	asJSON := &cli.BoolFlag{Name: "json", Usage: "as JSON"}
	forTime := &cli.StringFlag{Name: "for",
		Usage: "how long: a `TIME` as 30m, 2h or 7d; without it until somebody frees it"}
	dryRun := &cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and change nothing"}
	return []*cli.Command{
		t.word("status", "", "one screen: what is blocked and by what, what waits, what failed last",
			0, 0, overview{t}.status),
		t.word("list", "[ADDRESS]", "who is blocked, since when, by whom and why", 0, 1, listing{t}.list,
			onResponse, onProgram, asJSON),
		t.word("show", "ADDRESS", "everything about one address", 1, 1, inquiry{t}.show, onResponse),
		t.word("block", "ADDRESS...", "block by hand", 1, -1, byHand{t}.block, onResponse, forTime,
			&cli.StringFlag{Name: "reason", Usage: "why, for others who look: a `TEXT`"},
			&cli.BoolFlag{Name: "force", Usage: "also the address that your own SSH session comes from"}, dryRun),
		t.word("unban", "ADDRESS...", "free addresses, whoever holds them", 1, -1,
			byHand{t}.unban, onResponse, dryRun),
		t.word("flush", "", "free all addresses", 0, 0, many{t}.flush, onResponse, onProgram, dryRun),
		t.word("import", "FILE|-", "block a list, one address a line; # begins a comment", 1, 1,
			many{t}.importList, onResponse, forTime,
			&cli.BoolFlag{Name: "skip-invalid", Usage: "import the rest when lines hold no single address"},
			dryRun),
		t.word("unimport", "", "free what import blocked and nobody else holds", 0, 0,
			many{t}.unimport, onResponse, dryRun),
		t.word("export", "", "print the addresses that are held, one a line", 0, 0,
			many{t}.export, onResponse, onProgram),
		t.word("repair", "", "show what differs between what is wanted and what is in force, and mend it", 0,
			0, upkeep{t}.repair, onResponse, dryRun),
		t.word("maintain", "", "the job of each minute: repair, end what is over, deliver mail; silent",
			0, 0, upkeep{t}.maintain),
		hidden(t.word("prepare", "", "at boot: make what saved firewall rules may name, empty", 0, 0, upkeep{t}.prepare)),
		whitelisting{t}.command(), checking{t}.command(), t.mail(),
		t.configure(),
		t.word("completion", "bash|zsh|fish", "print the completion for a shell", 1, 1, completing{t}.script),
		t.word("man", "[PAGE]", "print a manual page", 0, 1, manual{t}.man),
		t.word("help", "[COMMAND]", "show how a command is used", 0, -1, manual{t}.help),
		t.word("version", "", "print the version", 0, 0, func(*cli.Context) int {
			t.say("%s version %s", t.Name, app.Version)
			return app.ExitOK
		}),
	}
}

// configure is the setup of ossec.conf, whose options are its own.
func (t *tool) configure() *cli.Command {
	c := setup.Command(&t.Program)
	c.Hidden = false
	return c
}

// requests reads whom a person named, each once.
func (t *tool) requests(c *cli.Context) ([]arproto.Request, error) {
	var out []arproto.Request
	for _, text := range c.Args().Slice() {
		request, err := t.who(text)
		if err != nil {
			return nil, command.Mistaken("nothing was done", "%v", err)
		}
		if !slices.ContainsFunc(out, func(r arproto.Request) bool { return about(r) == about(request) }) {
			out = append(out, request)
		}
	}
	return out, nil
}

// duration reads --for; zero when it was not given.
func duration(c *cli.Context) (time.Duration, error) {
	text := c.String("for")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(n, 36500)) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return 0, command.Mistaken("write it as 30m, 2h or 7d",
			"--for takes how long, found %s", arproto.Quote(text))
	}
	return d, nil
}

// usage reports a mistake in the words, one line and a hint, and returns the exit status. No log
// has it.
func (t *tool) usage(err error) int {
	var m *command.Mistake
	if !errors.As(err, &m) {
		m = &command.Mistake{Text: err.Error(), Hint: t.Name + " --help shows the commands"}
	}
	fmt.Fprintf(t.Stderr, "%s: %s\n", t.Name, m.Text)
	t.Advise(m.Hint)
	return app.ExitFailed
}

// synonyms are words that people know from elsewhere.
var synonyms = map[string]string{
	"add": "block", "ban": "block", "drop": "block", "deny": "block",
	"delete": "unban", "del": "unban", "remove": "unban", "unblock": "unban",
	"free": "unban", "pardon": "unban",
	"ls": "list", "blocked": "list", "banned": "list", "info": "show", "clear": "flush",
	"restore": "repair", "reconcile": "repair", "expire": "maintain", "allow": "whitelist",
	"ignoreip": "whitelist",
	"load":     "import", "dump": "export", "setup": "configure", "doctor": "check",
	"queue": "mail", "?": "help",
}
