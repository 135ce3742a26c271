// Package account blocks accounts of this host: it locks the password and lets the account expire,
// so that neither password nor key lets anybody in, and can end the sessions. It is an
// enforcer.Enforcer over usermod(8), which keeps /etc/shadow's own locks and rules.
//
// Attackers choose names, so it refuses (enforcer.Refused) whatever is no plain account of
// /etc/passwd, or one that the host or its administrators need. It never asks a directory
// (NSS, LDAP), and what it gives back is what was there before: an account that an administrator
// had locked or let expire stays so.
package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Name is the name of the response.
const Name = "disable-account"

// Kind is disable-account.
var Kind = enforcer.Kind{
	Name:     Name,
	Summary:  "lock the accounts that attackers use",
	Accounts: true,
	InFile:   true,
	New: func(c config.Config, stateDir string) (enforcer.Enforcer, error) {
		return &Enforcer{settings: c.Account, dir: stateDir, now: time.Now}, nil
	},
	Hint: hint,
}

// maxWait bounds the waiting for other calls, which run usermod one after the other.
const maxWait = 60 * time.Second

// Enforcer locks and unlocks accounts.
type Enforcer struct {
	settings config.Account
	dir      string // for the record and its lock, "" when there is none
	now      func() time.Time
}

var _ enforcer.Enforcer = (*Enforcer)(nil)

// Backend returns what is done to an account.
func (e *Enforcer) Backend(context.Context) string {
	switch e.settings.Method {
	case config.AccountLock:
		return "password lock"
	case config.AccountExpire:
		return "account expiry"
	}
	return "password lock, account expiry"
}

// Describe returns what Block would do.
func (e *Enforcer) Describe(t target.Target) string {
	files, err := read()
	if err == nil {
		err = e.refused(files, t.Account())
	}
	if err != nil {
		return fmt.Sprintf("%s: %v", t, err)
	}
	return "usermod " + strings.Join(append(e.closing(), "--", t.Account()), " ")
}

// Block locks an account, verifies it in /etc/shadow, and ends its sessions if so configured.
func (e *Enforcer) Block(ctx context.Context, t target.Target, _ enforcer.Known) (enforcer.Outcome, error) {
	out, err := e.block(ctx, t.Account())
	var refused *enforcer.Refused
	if err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("locking the account %s: %w", t, err)
	}
	return out, err
}

func (e *Enforcer) block(ctx context.Context, name string) (out enforcer.Outcome, err error) {
	lock, note := e.lock()
	defer lock.Release()
	if errors.Is(note, state.ErrLocked) { // whoever has it would lose what it notes
		return out, note
	}
	files, err := read()
	if err != nil {
		return out, err
	}
	if err := e.refused(files, name); err != nil {
		return out, err
	}
	rec, rerr := e.load()
	entry := files.shadow[name]
	was, ours := rec[name]
	switch {
	case ours && e.open(entry) == "":
		out.Already = true
		return out, e.endSessions(ctx, files, name)
	case !ours && len(rec) >= e.settings.Max:
		return out, &enforcer.Refused{Why: fmt.Sprintf("%d accounts are locked already (account.max)", len(rec))}
	case !ours:
		was = before{Locked: true, Expire: entry.expire, UID: files.passwd[name].uid}
	}
	if rerr == nil {
		rec[name] = e.note(was, entry)
		rerr = e.save(rec)
	}
	if note = errors.Join(note, rerr); note != nil {
		out.Notes = []string{fmt.Sprintf("%v: %s cannot be unlocked by itself; use usermod -U -e '' %s", note,
			name, name)}
	}
	if err := usermod(ctx, name, e.closing()...); err != nil {
		return out, err
	}
	if files, err = read(); err != nil {
		return out, err
	}
	if why := e.open(files.shadow[name]); why != "" {
		return out, fmt.Errorf("usermod reported success, and %s", why)
	}
	return out, e.endSessions(ctx, files, name)
}

// Unblock gives an account back as it was. One that is not ours it leaves alone.
func (e *Enforcer) Unblock(ctx context.Context, t target.Target) error {
	lock, err := e.lock()
	defer lock.Release()
	if err == nil {
		err = e.unblock(ctx, t.Account())
	}
	if err != nil {
		return fmt.Errorf("unlocking the account %s: %w", t, err)
	}
	return nil
}

func (e *Enforcer) unblock(ctx context.Context, name string) error {
	rec, err := e.load()
	if err != nil {
		return err
	}
	files, err := read()
	if err != nil {
		return err
	}
	was, ours := rec[name]
	now := name
	if _, exists := files.shadow[name]; ours && !exists {
		now = files.renamed(was.UID)
	}
	entry, exists := files.shadow[now]
	switch {
	case entry.expire == mark && (!ours || was.Expire == mark):
		return fmt.Errorf("how it was before is not recorded: if no other home locked it, usermod -U -e '' %s", now)
	case !ours:
		return nil
	case exists:
		if err := giveBack(ctx, now, entry, was); err != nil {
			return err
		}
	}
	delete(rec, name)
	return e.save(rec)
}

// giveBack undoes what closing did, and nothing that an administrator did before or since.
func giveBack(ctx context.Context, name string, entry shadowEntry, was before) error {
	var args []string
	if entry.expire == mark {
		args = append(args, "--expiredate", was.Expire)
	}
	switch {
	case was.Locked || !entry.locked():
	case was.Empty && entry.password == "!":
		if err := run(ctx, "passwd", "--delete", "--", name); err != nil {
			return err
		}
	default:
		args = append(args, "--unlock")
	}
	if len(args) == 0 {
		return nil
	}
	return usermod(ctx, name, args...)
}

// BlockAll is Block for each: there are few accounts.
func (e *Enforcer) BlockAll(ctx context.Context, all []target.Target) error {
	for _, t := range all {
		if _, err := e.Block(ctx, t, enforcer.Unknown); err != nil {
			return err
		}
	}
	return nil
}

// UnblockAll is Unblock for each.
func (e *Enforcer) UnblockAll(ctx context.Context, all []target.Target) error {
	for _, t := range all {
		if err := e.Unblock(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// List returns the accounts that are locked by this enforcer, and as Shared those that have its mark and
// are not recorded: another home locked them, or the record was lost.
func (e *Enforcer) List(context.Context) (l enforcer.Listing, err error) {
	rec, err := e.load()
	if err != nil {
		return l, err
	}
	files, err := read()
	if err != nil && len(rec) == 0 {
		return l, nil // a host without local accounts, say
	}
	if err != nil {
		return l, err
	}
	for name, entry := range files.shadow {
		if _, ours := rec[name]; !ours && entry.expire == mark {
			l.Blocks = append(l.Blocks,
				enforcer.Block{Target: target.Account(name), Open: e.open(entry), Shared: true})
		}
	}
	for name := range rec {
		entry, exists := files.shadow[name]
		block := enforcer.Block{Target: target.Account(name)}
		if exists {
			block.Open = e.open(entry)
			if why := e.refused(files, name); why != nil {
				block.Never = "what is never locked: " + why.Error()
			}
		}
		l.Blocks = append(l.Blocks, block)
	}
	return l, nil
}

// Mend does nothing: accounts have no place that could be missing.
func (e *Enforcer) Mend(context.Context) ([]string, error) { return nil, nil }

// Flush gives back all accounts.
func (e *Enforcer) Flush(ctx context.Context) error {
	rec, err := e.load()
	if err != nil {
		return err
	}
	var failed enforcer.Failures
	for name := range rec {
		failed.Add(e.Unblock(ctx, target.Account(name)))
	}
	return failed.All()
}

// mark is the day on which accounts that are locked here expired: 1970-08-03, long past, and a
// day that nobody chooses. 0 and 1 are what people write.
const mark = "214"

// note returns the record of an account that is about to be closed. What an earlier closing has changed
// stays as it was recorded then; the rest is how an administrator has it now.
func (e *Enforcer) note(was before, entry shadowEntry) before {
	if entry.expire != mark {
		was.Expire = entry.expire
	}
	if !strings.HasPrefix(entry.password, "!") {
		was.Locked, was.Empty = e.settings.Method == config.AccountExpire, entry.password == ""
	}
	return was
}

// closing are the options of usermod(8) that lock an account.
func (e *Enforcer) closing() []string {
	var args []string
	if e.settings.Method != config.AccountExpire {
		args = append(args, "--lock")
	}
	if e.settings.Method != config.AccountLock {
		args = append(args, "--expiredate", mark)
	}
	return args
}

// open returns by what somebody can still log in, "" when nobody can.
func (e *Enforcer) open(entry shadowEntry) string {
	switch {
	case e.settings.Method != config.AccountExpire && !entry.locked():
		return "its password is not locked"
	case e.settings.Method != config.AccountLock && !entry.expired(e.now()):
		return "the account is not expired"
	}
	return ""
}

// lock keeps other calls from editing. Where there can be none, a block is made all the same, with a note.
func (e *Enforcer) lock() (*state.Lock, error) {
	if e.dir == "" {
		return nil, errors.New("there is no folder for the state")
	}
	dir, err := state.OpenDir(e.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Exclusive(Name+".edit", maxWait)
}

// unwritten is usermod's exit status when it could not write the files, mostly because another
// program edits them, usermod(8). It has waited for that as long as lckpwdf(3) does, 15 seconds.
const unwritten = 1

func usermod(ctx context.Context, name string, options ...string) error {
	return run(ctx, "usermod", append(options, "--", name)...)
}

func run(ctx context.Context, program string, args ...string) error {
	path, err := exec.Find(program, nil)
	if err != nil {
		return err
	}
	_, err = exec.Command(ctx, path, "", args...)
	return err
}

func hint(err error) string {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "install the package passwd (Debian) or shadow-utils (Fedora)"
	case exec.Status(err) == unwritten:
		return "if another program edits the accounts (vipw), end it, or remove the /etc/passwd.lock and " +
			"/etc/shadow.lock that it left"
	}
	return ""
}
