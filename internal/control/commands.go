package control

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/notify"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/setup"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/internal/watch"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// run carries out the words and returns the exit status.
func (t *tool) run(ctx context.Context, args []string) int {
	line := command.Line{
		Program: &t.Program, Summary: "see and steer what the active responses of this host block",
		Examples: [][2]string{
			{"status", "one screen: what is blocked, what waits, what failed"},
			{"list", "who is blocked, since when, by whom and why"},
			{"show 203.0.113.7", "everything about one address"},
			{"block 203.0.113.7 --for 2h", "block an address by hand"},
			{"unban 203.0.113.7", "free an address, whoever had it blocked"},
			{"whitelist add 192.0.2.0/24", "never block these"},
			{"check", "why is it not blocking?"},
		},
		Synonyms: synonyms,
		Values: func(w *command.Words, option, prefix string) []string {
			return values(t, w, option, prefix)
		},
	}
	frame := line.App()
	frame.Flags = []cli.Flag{
		&cli.StringFlag{Name: "home", Usage: "the `DIR` that OSSEC or Wazuh is installed in"},
		t.onResponse(), dryRun(),
	}
	frame.Commands = t.commands()
	return line.Run(ctx, frame, args)
}

// word is a command that takes between least and most operands; most < 0 is any number. Its
// examples are words after the program's name.
type word struct {
	name, operands, usage string
	least, most           int
	run                   func(*tool, *cli.Context) error
	flags                 []cli.Flag
	examples              []string
	hidden                bool // no person calls it
	verbatim              bool // its options are another program's
}

func (t *tool) word(w word) *cli.Command {
	for i, example := range w.examples {
		w.examples[i] = t.Name + " " + example
	}
	return &cli.Command{
		Name: w.name, ArgsUsage: w.operands, Usage: w.usage, Flags: w.flags, Hidden: w.hidden,
		SkipFlagParsing: w.verbatim,
		UsageText:       strings.Join(w.examples, "\n"),
		Action: func(c *cli.Context) error {
			help := c.Command.HelpName + " --help"
			switch n := c.NArg(); {
			case n < w.least:
				return command.Mistaken(help, "%s takes %s", w.name, w.operands)
			case w.most == 0 && n > 0:
				return command.NoOperands(c)
			case w.most > 0 && n > w.most:
				return command.Mistaken(help, "%s takes only %s, found %s too", w.name, w.operands,
					arproto.Quote(c.Args().Get(w.most)))
			}
			if err := t.begin(c); err != nil {
				return err
			}
			return w.run(t, c)
		},
	}
}

func (t *tool) onResponse() cli.Flag {
	return &cli.StringFlag{Name: "response",
		Usage: "only the `RESPONSE`: " + strings.Join(t.responses(), ", ")}
}

func onProgram() cli.Flag {
	return &cli.StringFlag{Name: "program", Usage: "only what this `PROGRAM` holds, as list shows it"}
}

func dryRun() cli.Flag {
	return &cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and change nothing"}
}

func asJSON() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "as JSON"} }

func forTime() cli.Flag {
	return &cli.StringFlag{Name: forFlag,
		Usage: "how long: a `TIME` as 30m, 2h or 7d; without it until somebody frees it"}
}

func (t *tool) commands() []*cli.Command {
	channels := notify.Commands(&t.Program)
	for _, channel := range channels {
		for _, sub := range channel.Subcommands {
			sub.Before = t.begin
		}
	}
	var all []*cli.Command
	for _, w := range append(forPeople(t), forUpkeep(t)...) {
		all = append(all, t.word(w))
	}
	all = append(append(all, whitelistCommand(t)), channels...)
	all = append(all, setup.Command(&t.Program)) // its options are its own
	for _, w := range aboutItself(t) {
		all = append(all, t.word(w))
	}
	return all
}

func forPeople(t *tool) []word {
	return []word{
		{name: "status", usage: "one screen: what is blocked and by what, what waits, what failed last",
			run: status},
		{name: "list", operands: "[ADDRESS]", usage: "who is blocked, since when, by whom and why",
			most: 1, run: list, flags: []cli.Flag{t.onResponse(), onProgram(), asJSON()},
			examples: []string{"list", "list 203.0.113.7",
				"list --response firewall-drop --program firewall-drop.sh",
				"list --json | jq '.addresses[].address'"}},
		{name: "show", operands: "ADDRESS", usage: "everything about one address", least: 1, most: 1,
			run: show, flags: []cli.Flag{t.onResponse()}, examples: []string{"show 203.0.113.7"}},
		{name: "watch", usage: "follow the log: today's counts and the last events; q ends it",
			run: func(t *tool, c *cli.Context) error { return watch.Run(&t.Program, c) }, flags: watch.Flags(),
			examples: []string{"watch", "watch --rule 5712 --interval 5s", "watch | grep FAILED"}},
		{name: "report", operands: "[OPTION...]", most: -1, run: report, verbatim: true,
			usage: "what was done today or in another period; see report --help"},
		{name: "block", operands: "ADDRESS...", usage: "block by hand", least: 1, most: -1, run: block,
			flags: []cli.Flag{t.onResponse(), forTime(),
				&cli.StringFlag{Name: "reason", Usage: "why, for others who look: a `TEXT`"},
				&cli.BoolFlag{Name: "force", Usage: "also an address that an SSH session of this host comes from"},
				dryRun()},
			examples: []string{"block 203.0.113.7", "block 203.0.113.7 2001:db8::7 --for 2h --reason 'scans us'",
				"block 203.0.113.7 --response host-deny"}},
		{name: "unban", operands: "ADDRESS...", usage: "free addresses, whoever had them blocked", least: 1,
			most: -1, run: unban, flags: []cli.Flag{t.onResponse(), dryRun(),
				&cli.StringFlag{Name: allowFlag, Usage: "whitelist them for `TIME` too, as 2h or 7d"}},
			examples: []string{"unban 203.0.113.7", "unban 203.0.113.7 203.0.113.8 --response route-null",
				"unban 203.0.113.7 --allow 24h"}},
		{name: "flush", usage: "free all addresses", run: flush,
			flags:    []cli.Flag{t.onResponse(), onProgram(), dryRun()},
			examples: []string{"flush", "flush --response host-deny", "flush --program firewall-drop.sh"}},
		{name: "import", operands: "FILE|-", usage: "block a list, one address a line; # begins a comment",
			least: 1, most: 1, run: importList, flags: []cli.Flag{t.onResponse(), forTime(),
				&cli.BoolFlag{Name: "skip-invalid", Usage: "lines that are no address are no failure"}, dryRun()},
			examples: []string{"import blocklist.txt --for 24h",
				"import - --skip-invalid < blocklist.txt"}},
		{name: "unimport", usage: "free what import blocked and nobody else holds", run: unimport,
			flags: []cli.Flag{t.onResponse(), dryRun()}},
		{name: "export", usage: "print the addresses that are to be blocked, one a line", run: export,
			flags: []cli.Flag{t.onResponse(), onProgram()}, examples: []string{"export > blocked.txt"}},
	}
}

func forUpkeep(t *tool) []word {
	return []word{
		{name: "repair", usage: "show what differs between what is wanted and what is in force, and mend it",
			run: repair, flags: []cli.Flag{t.onResponse(), dryRun()},
			examples: []string{"repair --dry-run", "repair"}},
		{name: "maintain", usage: "the job of each minute: repair, end what is over, deliver mail; silent",
			run: maintain, examples: []string{"maintain   (as /etc/cron.d/ossec-ar has it, each minute)"}},
		{name: "adopt", usage: "take over what the stock scripts have left blocked, or lift it", run: adopt,
			flags: []cli.Flag{t.onResponse(), &cli.StringFlag{Name: forFlag,
				Usage: "how long: a `TIME` as 30m, 2h or 7d; without it as long as the daemon would at the most"},
				&cli.BoolFlag{Name: "lift", Usage: "lift all of it, and block nobody"}, dryRun()},
			examples: []string{"adopt --dry-run", "adopt", "adopt --lift"}},
		{name: "prepare", usage: "at boot: make what saved firewall rules may name, empty", run: prepare,
			hidden: true},
		{name: "unlock", usage: "before a purge: remove the locks beside files that were edited", run: unlock,
			hidden: true},
		{name: "check", usage: "say why it is not blocking, and what mends it; exit status 1 on a fault",
			run: runCheck, flags: []cli.Flag{t.onResponse(),
				&cli.BoolFlag{Name: "live",
					Usage: "block an address of TEST-NET (192.0.2.x) too, look for it, and free it again"},
				asJSON(),
				&cli.StringFlag{Name: "root", Usage: "look for the system's files under `DIR`, as of an image",
					Value: "/"}},
			examples: []string{"check", "check --live --response firewall-drop"}},
	}
}

func aboutItself(t *tool) []word {
	return []word{
		{name: "completion", operands: "bash|zsh|fish", usage: "print the completion for a shell", least: 1,
			most: 1, run: completion},
		{name: "man", operands: "[PAGE]", usage: "print a manual page", most: 1, run: manual,
			examples: []string{"man | man -l -", "man firewall-drop | man -l -"}},
		{name: "help", operands: "[COMMAND]", usage: "show how a command is used", most: -1,
			run: func(t *tool, c *cli.Context) error {
				return command.Reported(t.run(c.Context, append(c.Args().Slice(), "--help")) != app.ExitOK)
			}},
		{name: "version", usage: "print the version", run: func(t *tool, _ *cli.Context) error {
			t.say("%s version %s", t.Name, app.Version)
			return nil
		}},
	}
}

// report is response-stats, which takes the place of this process, and its name in what it prints: a shell
// does not find the other one.
func report(t *tool, c *cli.Context) error {
	path := t.Home.Programs() + "/" + reporter
	if err := app.CheckTool(path); err != nil {
		return fmt.Errorf("%s is not run: %w", reporter, err)
	}
	args := append([]string{c.Command.HelpName}, c.Args().Slice()...)
	if len(args) == 1 {
		args = append(args, "--date", "today") // without a word it is cron's
	}
	return fmt.Errorf("running %s: %w", path, syscall.Exec(path, args, t.ToolEnv(os.Environ())))
}

// address reads an address that a person typed.
func address(text string) (arproto.Request, error) {
	addr, err := arproto.ParseAddr(text)
	if err != nil && strings.Contains(text, "/") {
		err = fmt.Errorf("%s is a network: only single addresses are blocked", printable.Line(text))
	}
	return arproto.Request{Addr: addr}, err
}

// who reads an address, or the name of an account, whichever the chosen responses are about. Where some are
// about addresses, john.doe is an account, and 203.0.1137 an address with a mistake in it.
func who(t *tool, text string) (arproto.Request, error) {
	request, err := address(text)
	network, netErr := netip.ParsePrefix(text)
	if netErr == nil && slices.Contains(config.NetworkBits, network.Bits()) {
		request, err = address(network.Addr().String()) // as list shows who has a network blocked
	}
	accounts := slices.ContainsFunc(t.chosen, func(k enforcer.Kind) bool { return k.Accounts })
	addresses := slices.ContainsFunc(t.chosen, func(k enforcer.Kind) bool { return !k.Accounts })
	mistyped := strings.Contains(text, ".") && !strings.ContainsFunc(text, unicode.IsLetter)
	switch {
	case err == nil && !addresses:
		return request, fmt.Errorf("%s is an address, and %s is about accounts", request.Addr, t.chosen[0].Name)
	case err == nil || !accounts || strings.ContainsAny(text, "/:") || addresses && mistyped:
		return request, err
	}
	return arproto.Request{User: text}, nil
}

// requests reads whom a person named, each once.
func requests(t *tool, c *cli.Context) ([]arproto.Request, error) {
	var out []arproto.Request
	for _, text := range c.Args().Slice() {
		request, err := who(t, text)
		if err != nil {
			return nil, command.Mistaken("nothing was done", "%v", err)
		}
		if !slices.ContainsFunc(out, func(r arproto.Request) bool { return about(r) == about(request) }) {
			out = append(out, request)
		}
	}
	return out, nil
}

// about returns the target of a request, and request the request about a target.
func about(r arproto.Request) target.Target {
	if r.Addr.IsValid() {
		return target.Of(r.Addr)
	}
	return target.Account(r.User)
}

func request(t target.Target) arproto.Request {
	return arproto.Request{Addr: t.Addr(), User: t.Account()}
}

const (
	forFlag   = "for"
	allowFlag = "allow"
)

// duration reads an option that says how long; zero when it was not given.
func duration(c *cli.Context, option string) (time.Duration, error) {
	text := c.String(option)
	if text == "" {
		return 0, nil
	}
	var d config.Duration
	if err := d.UnmarshalText([]byte(text)); err != nil || d.Duration <= 0 {
		return 0, command.Mistaken("write it as 30m, 2h or 7d",
			"--%s takes how long, found %s", option, arproto.Quote(text))
	}
	return d.Duration, nil
}

// synonyms are words that people know from elsewhere.
var synonyms = map[string]string{
	"add": "block", "ban": "block", "drop": "block", "deny": "block",
	"delete": "unban", "del": "unban", "remove": "unban", "unblock": "unban",
	"free": "unban", "pardon": "unban",
	"ls": "list", "blocked": "list", "banned": "list", "info": "show", "clear": "flush",
	"restore": "repair", "reconcile": "repair", "expire": "maintain", "allow": "whitelist",
	"ignoreip": "whitelist", "tail": "watch", "top": "watch",
	"load": "import", "dump": "export", "setup": "configure", "doctor": "check",
	"queue": "mail", "?": "help",
}
