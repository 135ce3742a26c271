// Package hostsdeny blocks addresses through the access control files of TCP
// wrappers, /etc/hosts.deny as a rule: hosts_access(5), hosts_options(5). It is
// an enforcer.Enforcer.
//
// The file belongs to the administrator. An edit adds or takes out whole lines
// of one form, and every other byte stays: comments, lists of several
// addresses, entries with options, neighbours such as 1.2.3.40, line ends. Nor
// does it touch a line that continues another one. A reader never meets a file
// that is half-written, empty or missing. What the lines do is up to the
// services that link libwrap, of which many systems have none: see internal/libwrap.
package hostsdeny

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Kind is host-deny.
var Kind = enforcer.Kind{
	Name:    "host-deny",
	Summary: "deny attackers the services that use TCP wrappers, in hosts.deny",
	InFile:  true,
	New: func(c config.Config, stateDir string) (enforcer.Enforcer, error) {
		lock := ""
		if stateDir != "" {
			lock = filepath.Join(stateDir, "hosts.deny.lock")
		}
		return New(Options{
			Path: c.HostDeny.File, Daemons: c.HostDeny.Daemons, Allow: c.HostDeny.AllowForm,
			LockPath: lock, LockWait: c.Lease.LockTimeout.Duration,
		}), nil
	},
	Hint: linefile.Hint,
}

// Where the file is and how its lines look, when Options leaves it open.
const (
	DefaultPath     = "/etc/hosts.deny"
	DefaultDaemons  = "ALL"
	DefaultLockWait = 30 * time.Second
)

// Options are which file is edited, and how. The zero value is hosts.deny as
// the stock script of OSSEC edits it.
type Options struct {
	// Path is the file; a symbolic link is followed, never replaced.
	Path string
	// Daemons is the daemon list of each entry, as hosts_access(5) writes it:
	// names separated by blanks or commas. With a colon, a comment sign, a quote
	// or a backslash in it, every method fails.
	Daemons string
	// Allow writes "ALL : ADDRESS : deny" before the first rule of the file, for
	// systems where one file, hosts.allow, holds both. The first match decides
	// there, so an entry behind "ALL : ALL : allow" would do nothing.
	Allow bool
	// LockPath is the lock file to use when there can be none beside Path, in a folder
	// that only root writes to; "" for no other.
	LockPath string
	// LockWait bounds the wait for other processes that edit the file.
	LockWait time.Duration
}

// Enforcer edits one file. It holds no state of its own.
type Enforcer struct {
	file linefile.File
	form form
}

var _ enforcer.Enforcer = (*Enforcer)(nil)

// Backend returns the file that addresses are blocked in.
func (e *Enforcer) Backend(context.Context) string { return e.file.Path }

// RemoveLock removes the lock file beside the file.
func (e *Enforcer) RemoveLock() error { return e.file.RemoveLock() }

// New returns an enforcer for the file that options names.
func New(options Options) *Enforcer {
	e := &Enforcer{
		file: linefile.File{Path: options.Path, LockPath: options.LockPath, LockWait: options.LockWait},
		form: newForm(options.Daemons, options.Allow),
	}
	if e.file.Path == "" {
		e.file.Path = DefaultPath
	}
	if e.file.LockWait <= 0 {
		e.file.LockWait = DefaultLockWait
	}
	return e
}

// Block adds the entry for addr, unless a plain entry for all daemons or for
// the configured ones denies it already. A missing file is made (0644), and a
// last line without an end is ended: libwrap denies everyone on such a file.
func (e *Enforcer) Block(ctx context.Context, addr target.Target,
	_ enforcer.Known) (enforcer.Outcome, error) {
	done, err := e.add(ctx, addr)
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding entry for %s to %s: %w", addr, e.file.Path, err)
	}
	return enforcer.Outcome{Made: done.Made, Already: done.Nothing, Notes: done.Notes}, nil
}

// BlockAll is Block for many, in one edit.
func (e *Enforcer) BlockAll(ctx context.Context, addrs []target.Target) error {
	if _, err := e.add(ctx, addrs...); err != nil {
		return fmt.Errorf("adding %d entries to %s: %w", len(addrs), e.file.Path, err)
	}
	return nil
}

func (e *Enforcer) add(ctx context.Context, addrs ...target.Target) (linefile.Edited, error) {
	if len(addrs) == 0 {
		return linefile.Edited{}, nil
	}
	if err := e.form.check(); err != nil {
		return linefile.Edited{}, err
	}
	return e.file.Edit(ctx, func(content []byte) linefile.Plan { return e.form.planAdd(content, addrs) })
}

// Unblock takes out every plain entry for addr and the configured daemons, or ALL, in
// whatever spelling. A missing file is not made.
func (e *Enforcer) Unblock(ctx context.Context, addr target.Target) error {
	return e.UnblockJoint(ctx, addr, nil)
}

// UnblockJoint is Unblock that also takes out what waiting returns.
func (e *Enforcer) UnblockJoint(ctx context.Context, addr target.Target, waiting func() []target.Target) error {
	if err := e.remove(ctx, []target.Target{addr}, waiting, e.form.matching); err != nil {
		return fmt.Errorf("removing entry for %s from %s: %w", addr, e.file.Path, err)
	}
	return nil
}

// UnblockAll is Unblock for many, in one edit.
func (e *Enforcer) UnblockAll(ctx context.Context, addrs []target.Target) error {
	if len(addrs) == 0 {
		return nil
	}
	if err := e.remove(ctx, addrs, nil, e.form.matching); err != nil {
		return fmt.Errorf("removing %d entries from %s: %w", len(addrs), e.file.Path, err)
	}
	return nil
}

func (e *Enforcer) remove(ctx context.Context, addrs []target.Target, waiting func() []target.Target,
	find linefile.Finder) error {
	if err := e.form.check(); err != nil {
		return err
	}
	_, err := e.file.Remove(ctx, addrs, waiting, find)
	return err
}

// List returns the addresses of all plain entries for the configured daemons, or ALL,
// whoever wrote them. With Options.Allow those behind a rule of another form are open.
func (e *Enforcer) List(ctx context.Context) (enforcer.Listing, error) {
	var listing enforcer.Listing
	if err := errors.Join(ctx.Err(), e.form.check()); err != nil {
		return listing, fmt.Errorf("listing entries of %s: %w", e.file.Path, err)
	}
	now, err := linefile.Load(e.file.Path)
	if err != nil {
		return listing, fmt.Errorf("listing entries of %s: %w", e.file.Path, err)
	}
	defer now.Close()
	decided := e.form.decided(now.Content)
	seen := map[target.Target]bool{}
	for _, entry := range e.form.entries(now.Content) {
		if seen[entry.Target] {
			continue // the first one decides
		}
		seen[entry.Target] = true
		block := enforcer.Block{Target: entry.Target}
		if entry.Start >= decided {
			block.Open = "a rule that stands before its entry decides"
		}
		listing.Blocks = append(listing.Blocks, block)
	}
	return listing, nil
}

// Mend has nothing to do: the file is the administrator's.
func (e *Enforcer) Mend(context.Context) ([]string, error) { return nil, nil }

// Flush takes out all that List returns.
func (e *Enforcer) Flush(ctx context.Context) error {
	all := func(content []byte, _ []target.Target) []linefile.Entry { return e.form.entries(content) }
	if err := e.remove(ctx, nil, nil, all); err != nil {
		return fmt.Errorf("removing all entries from %s: %w", e.file.Path, err)
	}
	return nil
}

// Describe returns what Block would add.
func (e *Enforcer) Describe(addr target.Target) string {
	return fmt.Sprintf("add the line %q to %s", e.form.line(addr), e.file.Path)
}
