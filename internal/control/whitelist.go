package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// whitelistCommand is who is never blocked.
func (t *tool) whitelistCommand() *cli.Command {
	c := &cli.Command{
		Name: "whitelist", Usage: "who is never blocked, and why; add and remove entries", ArgsUsage: "list|test|add|refresh|remove", HideHelpCommand: true,
		UsageText: "ossec-ar whitelist list\nossec-ar whitelist test 203.0.113.7\nossec-ar whitelist add 192.0.2.0/24\nossec-ar whitelist remove 192.0.2.0/24",
		Subcommands: []*cli.Command{
			t.word("list", "", "show all entries and where they stand", 0, 0, t.whitelistAll),
			t.word("test", "ADDRESS", "say which entry covers an address; exit status 1 when none does", 1, 1, t.whitelistTest),
			t.word("add", "ENTRY", "add an address, network or host name to etc/whitelist.d/"+whitelistName, 1, 1, t.whitelistAdd),
			t.word("refresh", "", "ask for the addresses of all host names on it now, as maintain does", 0, 0, t.whitelistRefresh),
			t.word("remove", "ENTRY", "take an entry out of it", 1, 1, t.whitelistRemove),
		},
		Action: func(c *cli.Context) error {
			return mistaken("as in "+t.Name+" whitelist list", "whitelist takes one of list, test, add, refresh, remove")
		},
	}
	for _, sub := range c.Subcommands {
		sub.UsageText = "" // list has another
	}
	return c
}

func (t *tool) readWhitelist() *whitelist.List {
	list, err := neverblock.List(t.Home, t.settings.Whitelist, t.Now())
	if err != nil {
		t.Complain(err)
	}
	return list
}

func (t *tool) whitelistAll(*cli.Context) int {
	list := t.readWhitelist()
	out := bufio.NewWriter(t.Stdout)
	last := whitelist.Match{}
	list.Entries(func(m whitelist.Match) {
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

func (t *tool) whitelistTest(c *cli.Context) int {
	request, err := address(c.Args().First())
	if err != nil {
		return t.usage(mistaken("", "%v", err))
	}
	list := t.readWhitelist()
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

// whitelistRefresh shows what the host names on the whitelist are now.
func (t *tool) whitelistRefresh(c *cli.Context) int {
	list := t.readWhitelist()
	if names := list.HostNames(); len(names) > 0 && t.refreshNames(c.Context, names) == nil {
		return app.ExitFailed
	}
	return app.ExitOK
}

// refreshNames asks for all host names on the whitelist and shows what came of some of them; nil
// when that could not be remembered.
func (t *tool) refreshNames(ctx context.Context, show []string) map[string]neverblock.Name {
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

// whitelistName is the file that add and remove edit.
const whitelistName = "ossec-ar.list"

func (t *tool) whitelistFile() string { return filepath.Join(t.Home.Whitelists(), whitelistName) }

func (t *tool) whitelistAdd(c *cli.Context) int {
	entry := strings.TrimSpace(c.Args().First())
	if err := whitelist.CheckEntry(entry); err != nil {
		return t.usage(mistaken("an entry is an address, a network as 192.0.2.0/24, or a host name", "%v", err))
	}
	if strings.ContainsAny(entry, "#\n\r") {
		return t.usage(mistaken("", "an entry has no # and no line break in it"))
	}
	added := false
	err := t.editWhitelist(func(lines []string) []string {
		if slices.ContainsFunc(lines, func(l string) bool { return entryOf(l) == entry }) {
			return lines
		}
		added = true
		return append(lines, entry+"\n")
	})
	switch {
	case err != nil:
		return t.fail(err)
	case !added:
		t.say("%s stands in %s already", entry, t.whitelistFile())
	case t.dryRun:
		t.say("would add %s to %s", entry, t.whitelistFile())
	default:
		t.say("added %s to %s", entry, t.whitelistFile())
		t.sayCovered(c.Context, entry)
	}
	return app.ExitOK
}

// sayCovered names what is blocked by now though an entry covers it.
func (t *tool) sayCovered(ctx context.Context, entry string) {
	var list whitelist.List
	if list.Add(entry, t.whitelistFile()) != nil {
		return // it was checked before
	}
	if names := list.HostNames(); len(names) > 0 {
		known := t.refreshNames(ctx, names)
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
			t.say("%s is blocked by %s: the next maintain frees it, or %s unban %s", r.Addr, r.Response, t.Name, r.Addr)
		}
	}
	if n > mostShown {
		t.say("and %d more", n-mostShown)
	}
}

func (t *tool) whitelistRemove(c *cli.Context) int {
	entry := strings.TrimSpace(c.Args().First())
	removed := false
	err := t.editWhitelist(func(lines []string) []string {
		kept := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return entryOf(l) == entry })
		removed = len(kept) < len(lines)
		return kept
	})
	if err != nil {
		return t.fail(err)
	}
	elsewhere := ""
	t.readWhitelist().Entries(func(m whitelist.Match) {
		if m.Entry == entry && !strings.HasPrefix(m.Source, t.whitelistFile()+":") {
			elsewhere = m.Source
		}
	})
	switch {
	case removed && t.dryRun:
		t.say("would remove %s from %s", printable.Line(entry), t.whitelistFile())
	case removed:
		t.say("removed %s from %s", printable.Line(entry), t.whitelistFile())
	case elsewhere == "":
		t.say("%s was not on the whitelist", printable.Line(entry))
	}
	if elsewhere != "" {
		t.Complain(fmt.Errorf("%s stands in %s too, which only you can edit", printable.Line(entry), printable.Line(elsewhere)))
		return app.ExitFailed
	}
	return app.ExitOK
}

// entryOf is what a line of a whitelist file says.
func entryOf(line string) string {
	entry, _, _ := strings.Cut(line, "#")
	return strings.TrimSpace(entry)
}

// maxWhitelist bounds the file that add and remove edit, in bytes.
const maxWhitelist = 16 << 20

// editWhitelist changes the lines of the file, each with its end. Who may write in the folder above
// must not lead the edit elsewhere, so it works by the folder's descriptor.
func (t *tool) editWhitelist(edit func(lines []string) []string) error {
	path := t.whitelistFile()
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making the whitelist folder: %w", err)
	}
	root, err := state.OpenDir(dir)
	if err != nil {
		return err
	}
	defer root.Close() // nothing is lost
	if err := state.MakeDir(t.Home.State()); err != nil {
		return err
	}
	lock, err := state.Exclusive(filepath.Join(t.Home.State(), "whitelist.lock"), t.settings.Lease.LockTimeout.Duration)
	if err != nil {
		return fmt.Errorf("editing %s: %w", path, err)
	}
	defer lock.Release()
	old, err := state.Read(path, maxWhitelist)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(string(old), "\ufeff")) {
		lines = append(lines, line)
	}
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n"
	}
	changed := edit(lines)
	if slices.Equal(changed, lines) || t.dryRun {
		return nil
	}
	if err := replaceIn(root, whitelistName, strings.Join(changed, "")); err != nil {
		return fmt.Errorf("editing %s: %w", path, err)
	}
	return nil
}

// replaceIn puts a file into an open folder, all at once.
func replaceIn(root *os.Root, name, text string) error {
	const fresh = "." + whitelistName + ".new" // in a folder of root's alone, under a lock
	if err := root.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, root.Remove(fresh))
	}
	return root.Rename(fresh, name)
}
