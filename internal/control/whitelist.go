package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// whitelistCommand is about who is never blocked.
func whitelistCommand(t *tool) *cli.Command {
	own := "etc/whitelist.d/" + neverblock.OwnName
	c := &cli.Command{
		Name: "whitelist", Usage: "who is never blocked, and why; add and remove entries",
		ArgsUsage: "list|test|add|refresh|remove",
		UsageText: "ossec-ar whitelist list\nossec-ar whitelist test 203.0.113.7\n" +
			"ossec-ar whitelist add 192.0.2.0/24\nossec-ar whitelist remove 192.0.2.0/24",
		Action: func(*cli.Context) error {
			return command.Mistaken("as in "+t.Name+" whitelist list",
				"whitelist takes one of list, test, add, refresh, remove")
		},
	}
	for _, w := range []word{
		{name: "list", usage: "show all entries and where they stand", run: listEntries},
		{name: "test", operands: "ADDRESS", usage: "say which entry covers an address; exit status 1 when none does",
			least: 1, most: 1, run: testAddress},
		{name: "add", operands: "ENTRY", usage: "add an address, network or host name to " + own, least: 1,
			most: 1, run: addEntry, flags: []cli.Flag{forTime()}},
		{name: "refresh", usage: "ask for the addresses of all host names on it now, as maintain does",
			run: refresh},
		{name: "remove", operands: "ENTRY", usage: "take an entry out of " + own, least: 1, most: 1,
			run: removeEntry, flags: []cli.Flag{&cli.BoolFlag{Name: limitedFlag,
				Usage: "only if it was added for a time, by --for, --allow or the response allow"}}},
	} {
		c.Subcommands = append(c.Subcommands, t.word(w))
	}
	return c
}

// readWhitelist returns the whitelist; what is wrong in it is reported, and failed is set.
func readWhitelist(t *tool) (list *whitelist.List, failed bool) {
	list, err := neverblock.List(t.Home, t.settings.Whitelist, t.Now())
	for _, fault := range append(list.Faults(), err) {
		if fault != nil {
			t.Complain(fault)
			failed = true
		}
	}
	return list, failed
}

func listEntries(t *tool, _ *cli.Context) error {
	list, failed := readWhitelist(t)
	out := bufio.NewWriter(t.Stdout)
	last := whitelist.Match{}
	list.Entries(func(m whitelist.Match, _ netip.Prefix) {
		if m != last { // an entry of several networks
			fmt.Fprintf(out, "%-36s  %s\n", printable.Line(m.Entry), printable.Line(m.Source))
			last = m
		}
	})
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the whitelist: %w", err)
	}
	return command.Reported(failed)
}

func testAddress(t *tool, c *cli.Context) error {
	request, err := address(c.Args().First())
	if err != nil {
		return command.Mistaken("", "%v", err)
	}
	list, _ := readWhitelist(t) // the answer counts
	match, covered := list.Match(request.Addr)
	if !covered {
		t.say("%s is not whitelisted", request.Addr)
		return command.ErrReported
	}
	t.say("%s is whitelisted by %s", request.Addr, printable.Line(match.String()))
	return nil
}

// refresh shows what the host names on the whitelist are now.
func refresh(t *tool, c *cli.Context) error {
	list, failed := readWhitelist(t)
	if names := list.HostNames(); len(names) > 0 && ask(c.Context, t, names) == nil {
		failed = true
	}
	return command.Reported(failed)
}

// ask asks for all host names on the whitelist and shows what came of some of them; nil when that
// could not be remembered.
func ask(ctx context.Context, t *tool, show []string) map[string]neverblock.Name {
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

func editor(t *tool) neverblock.Editor {
	return neverblock.Editor{Home: t.Home, Wait: t.settings.Lease.LockTimeout.Duration, DryRun: t.dryRun}
}

func addEntry(t *tool, c *cli.Context) error {
	entry, file := strings.TrimSpace(c.Args().First()), neverblock.OwnFile(t.Home)
	if err := whitelist.CheckEntry(entry); err != nil {
		return command.Mistaken("an entry is an address, a network as 192.0.2.0/24, or a host name", "%v", err)
	}
	if strings.ContainsAny(entry, "#\n\r") {
		return command.Mistaken("", "an entry has no # and no line break in it")
	}
	limit, err := duration(c, forFlag)
	if err != nil {
		return err
	}
	added, err := editor(t).Add(entry, t.end(limit))
	switch {
	case err != nil:
		return err
	case !added:
		t.say("%s stands in %s already", entry, file)
	case t.dryRun:
		t.say("would add %s to %s", entry, file)
	default:
		t.say("added %s to %s", entry, file)
		warnOfAll(t, entry)
		sayCovered(c.Context, t, entry)
	}
	return nil
}

// warnOfAll says what an entry does that covers all addresses of a family.
func warnOfAll(t *tool, entry string) {
	var list whitelist.List
	_ = list.Add(entry, "") // it was checked before
	list.Entries(func(_ whitelist.Match, p netip.Prefix) {
		if p.Bits() != 0 { // it is -1 for a host name
			return
		}
		family := "IPv4"
		if p.Addr().Is6() {
			family = "IPv6"
		}
		t.Complain(fmt.Errorf("%s covers every %s address: none is blocked any more", entry, family))
		t.Advise(t.Name + " whitelist remove " + entry)
	})
}

// sayCovered names what is blocked by now though an entry covers it.
func sayCovered(ctx context.Context, t *tool, entry string) {
	var list whitelist.List
	if list.Add(entry, neverblock.OwnFile(t.Home)) != nil {
		return // it was checked before
	}
	if names := list.HostNames(); len(names) > 0 {
		known := ask(ctx, t, names)
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

const limitedFlag = "limited"

func removeEntry(t *tool, c *cli.Context) error {
	entry, file := strings.TrimSpace(c.Args().First()), neverblock.OwnFile(t.Home)
	limited := c.Bool(limitedFlag)
	removed, err := editor(t).Remove(entry, limited)
	if err != nil {
		return err
	}
	elsewhere := ""
	list, failed := readWhitelist(t)
	list.Entries(func(m whitelist.Match, _ netip.Prefix) {
		if m.Entry == entry && !limited && !strings.HasPrefix(m.Source, file+":") {
			elsewhere = m.Source
		}
	})
	entry = printable.Line(entry)
	switch {
	case removed && t.dryRun:
		t.say("would remove %s from %s", entry, file)
	case removed:
		t.say("removed %s from %s", entry, file)
	case limited:
		t.say("no entry of %s ends by itself", entry)
	case elsewhere == "":
		t.say("%s was not on the whitelist", entry)
	}
	if elsewhere != "" {
		return fmt.Errorf("%s stands in %s too, which only you can edit", entry, printable.Line(elsewhere))
	}
	return command.Reported(failed)
}
