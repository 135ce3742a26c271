package blockfile

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// List is a file with a line for each address, among others that are not touched.
type List struct {
	file          linefile.File
	before, after string // what stands before and after the address in a line
	reloader
}

var _ enforcer.Enforcer = (*List)(nil)

func newList(c config.Blockfile, stateDir string, lockWait time.Duration) *List {
	l := &List{
		file:     linefile.File{Path: c.File, LockWait: lockWait},
		reloader: reloader{argv: c.Reload, list: c.File, dir: stateDir, every: reloadEvery},
	}
	if stateDir != "" {
		l.file.LockPath = filepath.Join(stateDir, "ip-customblock.lock")
	}
	l.before, l.after, _ = strings.Cut(c.Format, config.AddressPlace)
	return l
}

// Backend returns the file.
func (l *List) Backend(context.Context) string { return l.file.Path }

// RemoveLock removes the lock file beside the file.
func (l *List) RemoveLock() error { return l.file.RemoveLock() }

// Describe returns what Block would do.
func (l *List) Describe(t target.Target) string {
	return fmt.Sprintf("add the line %q to %s", l.line(t), l.file.Path)
}

func (l *List) line(t target.Target) string { return l.before + t.String() + l.after }

// parse reads one line, with or without its end.
func (l *List) parse(line []byte) (target.Target, bool) {
	text, starts := strings.CutPrefix(strings.Trim(string(line), " \t\r\n"), strings.TrimLeft(l.before, " \t"))
	text, ends := strings.CutSuffix(text, strings.TrimRight(l.after, " \t"))
	if !starts || !ends {
		return target.Target{}, false
	}
	return parse(text)
}

// entries returns all entries, in the order of the file.
func (l *List) entries(content []byte) []linefile.Entry { return linefile.Entries(content, l.parse) }

// matching returns the entries for any of the targets.
func (l *List) matching(content []byte, targets []target.Target) []linefile.Entry {
	return linefile.Of(targets, l.entries(content))
}

// Block adds the line, unless it is there, and has the list read again. A missing file is made (0644).
func (l *List) Block(ctx context.Context, t target.Target, _ enforcer.Known) (enforcer.Outcome, error) {
	done, read, err := l.add(ctx, t)
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding a line for %s to %s: %w", t, l.file.Path, err)
	}
	return enforcer.Outcome{Made: done.Made, Already: done.Nothing && !read, Notes: done.Notes}, nil
}

// BlockAll is Block for many, in one edit.
func (l *List) BlockAll(ctx context.Context, all []target.Target) error {
	if len(all) == 0 {
		return nil
	}
	if _, _, err := l.add(ctx, all...); err != nil {
		return fmt.Errorf("adding %d lines to %s: %w", len(all), l.file.Path, err)
	}
	return nil
}

func (l *List) add(ctx context.Context, all ...target.Target) (linefile.Edited, bool, error) {
	return l.edit(ctx, true, func() (linefile.Edited, error) {
		return l.file.Edit(ctx, func(content []byte) linefile.Plan { return l.planAdd(content, all) })
	})
}

func (l *List) planAdd(content []byte, all []target.Target) linefile.Plan {
	p := linefile.Plan{At: len(content), Mend: linefile.MissingEnd(content)}
	there := map[target.Target]bool{}
	for _, e := range l.entries(content) {
		there[e.Target] = true
	}
	for _, t := range all {
		if !there[t] {
			there[t] = true
			p.Lines = append(append(p.Lines, l.line(t)...), linefile.LineEnd(content)...)
		}
	}
	return p
}

// Unblock takes the line out and has the list read again. A missing file is not made.
func (l *List) Unblock(ctx context.Context, t target.Target) error {
	return l.UnblockJoint(ctx, t, nil)
}

// UnblockJoint is Unblock that also takes out what waiting returns.
func (l *List) UnblockJoint(ctx context.Context, t target.Target, waiting func() []target.Target) error {
	return l.remove(ctx, t.String(), []target.Target{t}, waiting, l.matching)
}

// UnblockAll is Unblock for many, in one edit.
func (l *List) UnblockAll(ctx context.Context, all []target.Target) error {
	return l.remove(ctx, addresses(len(all)), all, nil, l.matching)
}

// Flush takes out the lines of all that List returns.
func (l *List) Flush(ctx context.Context) error {
	all := func(content []byte, _ []target.Target) []linefile.Entry { return l.entries(content) }
	return l.remove(ctx, "all addresses", nil, nil, all)
}

func (l *List) remove(ctx context.Context, whom string, targets []target.Target,
	waiting func() []target.Target, find linefile.Finder) error {
	_, _, err := l.edit(ctx, false, func() (linefile.Edited, error) {
		return l.file.Remove(ctx, targets, waiting, find)
	})
	if err != nil {
		return fmt.Errorf("taking %s out of %s: %w", whom, l.file.Path, err)
	}
	return nil
}

// edit has the file changed, and read again when that is due; with entries it holds some afterwards.
func (l *List) edit(ctx context.Context, entries bool,
	change func() (linefile.Edited, error)) (done linefile.Edited, read bool, err error) {
	if err := trusted(l.file.Path); err != nil {
		return done, false, err
	}
	done, err = change()
	if err != nil || done.Nothing && !l.due(entries) {
		return done, false, err
	}
	return done, true, l.reload(ctx)
}

// List returns the addresses and networks of all lines of this form, whoever wrote them.
func (l *List) List(context.Context) (listing enforcer.Listing, err error) {
	now, err := linefile.Load(l.file.Path)
	if err != nil {
		return listing, fmt.Errorf("listing blocked addresses: %w", err)
	}
	defer now.Close()
	seen := map[target.Target]bool{}
	for _, e := range l.entries(now.Content) {
		if !seen[e.Target] {
			seen[e.Target] = true
			listing.Blocks = append(listing.Blocks, enforcer.Block{Target: e.Target})
		}
	}
	if l.due(len(listing.Blocks) > 0) {
		listing.Faults = []string{l.file.Path + " has changed since it was last read (ip_customblock.reload)"}
	}
	return listing, nil
}

// Mend has a list read again that has changed since it was read.
func (l *List) Mend(ctx context.Context) ([]string, error) {
	listing, err := l.List(ctx)
	if err != nil || len(listing.Faults) == 0 {
		return nil, err
	}
	if err := l.reload(ctx); err != nil {
		return nil, err
	}
	return []string{"had " + l.file.Path + " read again (" + strings.Join(l.argv, " ") + ")"}, nil
}

// Inspect returns whether the file can be used.
func (l *List) Inspect(ctx context.Context, _ string) []enforcer.Finding {
	listing, err := l.List(ctx)
	all := found("list "+l.file.Path, addresses(len(listing.Blocks))+" in it",
		"make it a file that only root can write to", errors.Join(err, trusted(l.file.Path)))
	if len(l.argv) > 0 {
		all = append(all, found("reload", l.argv[0]+" can be run", "correct reload in [ip_customblock]",
			l.runs())...)
	}
	if len(listing.Faults) > 0 {
		all = append(all, found("last reload", "", "ossec-ar repair", errors.New(listing.Faults[0]))...)
	}
	return all
}
