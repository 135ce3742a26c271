package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// whitelisting is the command whitelist: who is never blocked.
type whitelisting struct{ *tool }

func (t whitelisting) command() *cli.Command {
	c := &cli.Command{
		Name: "whitelist", Usage: "who is never blocked, and why; add and remove entries",
		ArgsUsage: "list|test|add|refresh|remove", HideHelpCommand: true,
		UsageText: "ossec-ar whitelist list\nossec-ar whitelist test 203.0.113.7\nossec-ar whitelist add 192.0.2.0/24\nossec-ar whitelist remove 192.0.2.0/24",
		Subcommands: []*cli.Command{
			t.word("list", "", "show all entries and where they stand", 0, 0, t.list),
			t.word("test", "ADDRESS", "say which entry covers an address; exit status 1 when none does", 1, 1,
				t.test),
			t.word("add", "ENTRY",
				"add an address, network or host name to etc/whitelist.d/"+neverblock.OwnName, 1, 1, t.add),
			t.word("refresh", "", "ask for the addresses of all host names on it now, as maintain does", 0, 0, t.refresh),
			t.word("remove", "ENTRY", "take an entry out of it", 1, 1, t.remove),
		},
		Action: func(c *cli.Context) error {
			return command.Mistaken("as in "+t.Name+" whitelist list",
				"whitelist takes one of list, test, add, refresh, remove")
		},
	}
	for _, sub := range c.Subcommands {
		sub.UsageText = "" // list has another
	}
	return c
}

func (t whitelisting) read() *whitelist.List {
	list, err := neverblock.List(t.Home, t.settings.Whitelist, t.Now())
	if err != nil {
		t.Complain(err)
	}
	return list
}

func (t whitelisting) list(*cli.Context) int {
	list := t.read()
	out := bufio.NewWriter(t.Stdout)
	last := whitelist.Match{}
	list.Entries(func(m whitelist.Match, _ netip.Prefix) {
		if m != last { // an entry of several networks
			fmt.Fprintf(out, "%-30s  %s\n", printable.Line(m.Entry), printable.Line(m.Source))
			last = m
		}
	})
	for _, fault := range list.Faults() {
		t.Complain(fault)
	}
	if err := out.Flush(); err != nil {
		return t.fail(fmt.Errorf("writing the whitelist: %w", err))
	}
	return app.ExitOK
}

func (t whitelisting) test(c *cli.Context) int {
	request, err := address(c.Args().First())
	if err != nil {
		return t.usage(command.Mistaken("", "%v", err))
	}
	list := t.read()
	match, covered := list.Match(request.Addr)
	for _, fault := range list.Faults() {
		t.Complain(fault)
	}
	if !covered {
		t.say("%s is not whitelisted", request.Addr)
		return app.ExitFailed
	}
	t.say("%s is whitelisted by %s", request.Addr, printable.Line(match.String()))
	return app.ExitOK
}

// refresh shows what the host names on the whitelist are now.
func (t whitelisting) refresh(c *cli.Context) int {
	if names := t.read().HostNames(); len(names) > 0 && t.ask(c.Context, names) == nil {
		return app.ExitFailed
	}
	return app.ExitOK
}

// ask asks for all host names on the whitelist and shows what came of some of them; nil when that
// could not be remembered.
func (t whitelisting) ask(ctx context.Context, show []string) map[string]neverblock.Name {
	if !t.settings.Whitelist.ResolveNames {
		t.Complain(errors.New("whitelist.resolve_names is false: host names protect nobody"))
		return map[string]neverblock.Name{}
	}
	known, err := neverblock.Refresh(ctx, t.Home, t.settings.Whitelist, t.Resolver, t.Now())
	if err != nil {
		t.Complain(err)
		return nil
	}
	for _, name := range show {
		n := known[name]
		addrs := n.At(t.Now())
		switch {
		case len(addrs) == 0 && n.Fault != "":
			t.Complain(fmt.Errorf("%s protects nobody yet: %s", name, printable.Line(n.Fault)))
		case len(addrs) == 0:
			t.Complain(fmt.Errorf("%s has no address now, and so protects nobody", name))
		case n.Fault != "":
			t.say("%s is %s, as remembered (%s)", name, join(addrs), printable.Line(n.Fault))
		default:
			t.say("%s is %s", name, join(addrs))
		}
	}
	return known
}

func join(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return strings.Join(texts, ", ")
}

func (t whitelisting) editor() neverblock.Editor {
	return neverblock.Editor{Home: t.Home, Wait: t.settings.Lease.LockTimeout.Duration, DryRun: t.dryRun}
}

func (t whitelisting) add(c *cli.Context) int {
	entry := strings.TrimSpace(c.Args().First())
	if err := whitelist.CheckEntry(entry); err != nil {
		return t.usage(command.Mistaken("an entry is an address, a network as 192.0.2.0/24, or a host name",
			"%v", err))
	}
	if strings.ContainsAny(entry, "#\n\r") {
		return t.usage(command.Mistaken("", "an entry has no # and no line break in it"))
	}
	added, err := t.editor().Add(entry)
	switch {
	case err != nil:
		return t.fail(err)
	case !added:
		t.say("%s stands in %s already", entry, neverblock.OwnFile(t.Home))
	case t.dryRun:
		t.say("would add %s to %s", entry, neverblock.OwnFile(t.Home))
	default:
		t.say("added %s to %s", entry, neverblock.OwnFile(t.Home))
		t.sayCovered(c.Context, entry)
	}
	return app.ExitOK
}

// sayCovered names what is blocked by now though an entry covers it.
func (t whitelisting) sayCovered(ctx context.Context, entry string) {
	var list whitelist.List
	if list.Add(entry, neverblock.OwnFile(t.Home)) != nil {
		return // it was checked before
	}
	if names := list.HostNames(); len(names) > 0 {
		known := t.ask(ctx, names)
		list.Names = func(name string) ([]netip.Addr, error) { return known[name].At(t.Now()), nil }
	}
	never := list.Sieve()
	snapshots, _, _ := t.snapshots(ctx, filter{})
	n := 0
	for r := range rows(snapshots, never, filter{}) {
		if r.State != whitelisted {
			continue
		}
		if n++; n <= mostShown {
			t.say("%s is blocked by %s: the next maintain frees it, or %s unban %s", r.Target,
				r.Response, t.Name, r.Target)
		}
	}
	if n > mostShown {
		t.say("and %d more", n-mostShown)
	}
}

func (t whitelisting) remove(c *cli.Context) int {
	entry := strings.TrimSpace(c.Args().First())
	removed, err := t.editor().Remove(entry)
	if err != nil {
		return t.fail(err)
	}
	elsewhere := ""
	t.read().Entries(func(m whitelist.Match, _ netip.Prefix) {
		if m.Entry == entry && !strings.HasPrefix(m.Source, neverblock.OwnFile(t.Home)+":") {
			elsewhere = m.Source
		}
	})
	switch {
	case removed && t.dryRun:
		t.say("would remove %s from %s", printable.Line(entry), neverblock.OwnFile(t.Home))
	case removed:
		t.say("removed %s from %s", printable.Line(entry), neverblock.OwnFile(t.Home))
	case elsewhere == "":
		t.say("%s was not on the whitelist", printable.Line(entry))
	}
	if elsewhere != "" {
		t.Complain(fmt.Errorf("%s stands in %s too, which only you can edit", printable.Line(entry),
			printable.Line(elsewhere)))
		return app.ExitFailed
	}
	return app.ExitOK
}
