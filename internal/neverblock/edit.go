package neverblock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// OwnName is the file in etc/whitelist.d that Add and Remove edit; no other is ever changed.
const OwnName = "ossec-ar.list"

// OwnFile returns the path of that file.
func OwnFile(home ossec.Home) string { return filepath.Join(home.Whitelists(), OwnName) }

// Editor edits the suite's own whitelist file.
type Editor struct {
	Home   ossec.Home
	Wait   time.Duration // for the lock, which one editor holds
	DryRun bool          // report what would change, and change nothing
}

// untilMark stands before the end of an entry, in the comment of its line.
const untilMark = "# until "

// maxLimited bounds the entries that have an end: a daemon's call of the response allow adds one, and
// every response reads them all.
const maxLimited = 1000

// Add adds an entry, up to a time or, with the zero time, for ever, and reports whether it changed
// anything: an entry that lasts longer stays.
func (e Editor) Add(entry string, until time.Time) (added bool, err error) {
	full := false
	line := entry + "\n"
	if !until.IsZero() {
		line = entry + " " + untilMark + until.UTC().Format(time.RFC3339) + "\n"
	}
	err = e.edit(func(lines []string) []string {
		at := slices.IndexFunc(lines, func(l string) bool { return entryOf(l) == entry })
		if at < 0 {
			limited := 0
			for _, l := range lines {
				if !endOf(l).IsZero() {
					limited++
				}
			}
			if full = !until.IsZero() && limited >= maxLimited; full {
				return lines
			}
			added = true
			return append(lines, line)
		}
		old := endOf(lines[at])
		if added = !old.IsZero() && (until.IsZero() || until.After(old)); added {
			lines = slices.Clone(lines)
			lines[at] = line
		}
		return lines
	})
	if full && err == nil {
		err = fmt.Errorf("%d entries of %s end by themselves already, and one more is too many", maxLimited,
			OwnFile(e.Home))
	}
	return added, err
}

// Expire removes the entries whose end has come.
func (e Editor) Expire(now time.Time) error {
	text, err := state.Read(OwnFile(e.Home), maxOwn)
	if errors.Is(err, os.ErrNotExist) || err == nil && !strings.Contains(string(text), untilMark) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.edit(func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
			end := endOf(l)
			return !end.IsZero() && !now.Before(end)
		})
	})
}

// endOf returns when the entry of a line ends, zero for never.
func endOf(line string) time.Time {
	_, end, _ := strings.Cut(line, untilMark)
	at, _ := time.Parse(time.RFC3339, strings.TrimSpace(end)) // another comment is no end
	return at
}

// Remove removes an entry, with limited only one that has an end, and reports whether it was there.
func (e Editor) Remove(entry string, limited bool) (removed bool, err error) {
	err = e.edit(func(lines []string) []string {
		kept := slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
			return entryOf(l) == entry && !(limited && endOf(l).IsZero())
		})
		removed = len(kept) < len(lines)
		return kept
	})
	return removed, err
}

// byteOrderMark is what some editors begin a file with.
const byteOrderMark = "\ufeff"

// entryOf returns what a line of a whitelist file says.
func entryOf(line string) string {
	entry, _, _ := strings.Cut(line, "#")
	return strings.TrimSpace(entry)
}

// maxOwn bounds the file, in bytes.
const maxOwn = 16 << 20

// edit changes the lines of the file, each with its end. Who may write in the folder above must not
// lead the edit elsewhere, so it works by the folder's descriptor.
func (e Editor) edit(change func(lines []string) []string) error {
	path := OwnFile(e.Home)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil { // /etc/ossec-ar, too
		return fmt.Errorf("making the whitelist folder: %w", err)
	}
	root, err := state.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() // nothing is lost
	locks, err := state.MakeDir(e.Home.State())
	if err != nil {
		return err
	}
	defer locks.Close()
	lock, err := locks.Exclusive("whitelist.lock", e.Wait)
	if err != nil {
		return fmt.Errorf("editing %s: %w", path, err)
	}
	defer lock.Release()
	old, err := state.Read(path, maxOwn)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	lines := slices.Collect(strings.Lines(strings.TrimPrefix(string(old), byteOrderMark)))
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n"
	}
	changed := change(lines)
	if slices.Equal(changed, lines) || e.DryRun {
		return nil
	}
	text := []byte(strings.Join(changed, ""))
	if err := state.ReplaceIn(root, OwnName, text, 0o644, state.ReplaceOptions{}); err != nil {
		return fmt.Errorf("editing %s: %w", path, err)
	}
	return nil
}
