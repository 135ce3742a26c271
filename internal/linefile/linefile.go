// Package linefile edits files of lines that belong to the administrator: an edit adds or takes out
// whole lines, and every other byte, the owner, the mode and the attributes stay. A reader never meets
// a file that is half-written, empty or missing. What a line says is the caller's affair.
package linefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

const (
	// MaxSize is how large a file may be, in bytes.
	MaxSize  = 64 << 20
	maxTries = 20 // edits begun anew because the file changed meanwhile
)

// ErrChanged means that somebody without our lock changed the file between
// our reading and our writing.
var ErrChanged = errors.New("it keeps being changed by another program")

// Hint returns what a person can do about an error of an edit, "" when nothing is known.
func Hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run it as root"
	case errors.Is(err, state.ErrLocked), errors.Is(err, ErrChanged):
		return "another program edits the file all the time: `fuser -v FILE` names it"
	}
	return ""
}

// File is a file to be edited. It holds no state of its own.
type File struct {
	// Path is the file; a symbolic link is followed, never replaced.
	Path string
	// LockPath is the lock file to use when there can be none beside Path, in a folder
	// that only root writes to; "" for no other.
	LockPath string
	// LockWait bounds the wait for other processes that edit the file.
	LockWait time.Duration

	// BeforeSwap, when a test sets it, runs after an edit is prepared and before
	// it is checked that nobody else has changed the file.
	BeforeSwap func()
}

// Edited is what an edit came to.
type Edited struct {
	Made    bool // the file was missing
	Nothing bool // there was nothing to do
	Notes   []string
}

// Edit puts one plan into effect: it locks out other processes of ours, reads, asks decide, and
// adds to the file, replaces it or, where that can't be, writes into it.
func (f *File) Edit(ctx context.Context, decide func(content []byte) Plan) (Edited, error) {
	return f.edit(ctx, func(content []byte, _ bool) Plan { return decide(content) })
}

// Finder returns the lines of a file that stand for any of the targets, in the order of the file.
type Finder func(content []byte, targets []target.Target) []Entry

// Remove takes out the lines of targets, which are gone from the disk when it returns. Where there are any,
// it also takes out those of what waiting returns, nil for nothing: targets for which processes wait to do
// the same, this one among them. It is called while the others are locked out.
func (f *File) Remove(ctx context.Context, targets []target.Target, waiting func() []target.Target,
	find Finder) (Edited, error) {
	done, err := f.edit(ctx, func(content []byte, locked bool) Plan {
		lines := find(content, targets)
		if len(lines) == 0 || !locked || waiting == nil {
			return Cut(lines)
		}
		others := slices.DeleteFunc(waiting(), func(t target.Target) bool { return slices.Contains(targets, t) })
		if len(others) > 0 {
			lines = find(content, append(others, targets...))
		}
		return Cut(lines)
	})
	if err == nil && done.Nothing { // perhaps because another process took them out just now
		err = f.syncFolder()
	}
	return done, err
}

func (f *File) edit(ctx context.Context, decide func(content []byte, locked bool) Plan) (done Edited, err error) {
	target, err := followLinks(f.Path)
	if err != nil {
		return done, err
	}
	lock, notes, err := f.lock(ctx, target)
	if err != nil {
		return done, err
	}
	// Others need not wait until the new file's name is on the disk.
	unlock := sync.OnceFunc(lock.Release)
	defer unlock()
	done.Notes = notes

	for range maxTries {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		err := f.attempt(target, lock != nil, decide, unlock, &done)
		if !errors.Is(err, ErrChanged) {
			return done, err
		}
	}
	return done, ErrChanged
}

// attempt reads, decides and writes once, and calls placed as soon as another process may do
// the same.
func (f *File) attempt(target string, locked bool, decide func([]byte, bool) Plan, placed func(),
	done *Edited) error {
	before, err := Load(target)
	if err != nil {
		return err
	}
	defer before.Close()
	p := decide(before.Content, locked)
	done.Nothing = p.Nothing() && !done.Made
	switch {
	case p.Nothing():
		return nil
	case before.file == nil:
		done.Made = true
		return makeEmpty(target)
	case locked && before.stat.Nlink == 1 && !p.fitsBehind(before.Content):
		// Unlocked, the temporary file might be another process's.
		err := f.replace(target, before, p, placed)
		if !errors.Is(err, errInPlace) {
			return err
		}
	}
	return f.writeInto(target, before, p, locked)
}

// syncFolder waits until the name of the file as it is now is on the disk.
func (f *File) syncFolder() error {
	target, err := followLinks(f.Path)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(target) + "/") // "/": a pipe in its place would be waited for
	if err != nil {
		return err
	}
	defer root.Close() // only synced
	return state.SyncRoot(root)
}

// makeEmpty makes a missing file, to be edited in the next attempt.
func makeEmpty(target string) error {
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		err = errors.Join(file.Chmod(0o644), file.Close())
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		return ErrChanged
	}
	return err
}

// LockBeside returns the lock file for target, beside it as /etc/.pwd.lock is beside
// /etc/passwd: who edits the file from another home (OSSEC's, Wazuh's) waits for the same.
func LockBeside(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".ossec-ar.lock")
}

// RemoveLock removes the lock file beside the file, for when nobody of ours edits it any more.
func (f *File) RemoveLock() error {
	target, err := followLinks(f.Path)
	if err == nil {
		err = os.Remove(LockBeside(target))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lock keeps other processes of ours out. Without a lock file it goes on with
// notes, for an address that stays unblocked is worse; edits then go into the
// file in place, where they are small writes that do not undo one another.
func (f *File) lock(ctx context.Context, target string) (*state.Lock, []string, error) {
	wait := f.LockWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	var notes []string
	for _, path := range []string{LockBeside(target), f.LockPath} {
		if path == "" {
			continue
		}
		lock, err := state.Exclusive(path, wait)
		if err == nil || errors.Is(err, state.ErrLocked) {
			return lock, nil, err
		}
		notes = append(notes, fmt.Sprintf("lock file %s can't be used: %v", path, err))
	}
	return nil, append(notes, "edited "+target+" without a lock"), nil
}

// followLinks returns what path names in the end, be it there or not, by the one name
// that has no links in it: whoever edits the file must find the same lock.
func followLinks(path string) (string, error) {
	for range state.MaxLinks {
		next, err := os.Readlink(path)
		switch {
		case errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist):
			folder, name := filepath.Split(path)
			folder, err = filepath.EvalSymlinks(folder)
			return filepath.Join(folder, name), err
		case err != nil:
			return "", err
		case !filepath.IsAbs(next):
			// Not cleaned: ".." behind a link in folder is the parent of where that leads.
			folder, _ := filepath.Split(path)
			next = folder + next
		}
		path = next
	}
	return "", &fs.PathError{Op: "readlink", Path: path, Err: unix.ELOOP}
}

// Snapshot is the file as it was read. A missing one is empty and has no file.
type Snapshot struct {
	file    *state.File
	stat    unix.Stat_t
	Content []byte
}

// Close closes the file.
func (s *Snapshot) Close() {
	if s.file != nil {
		s.file.Close()
	}
}

// Load reads the file at path, which must be a plain one of bounded size.
func Load(path string) (*Snapshot, error) {
	file, err := state.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Snapshot{}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &Snapshot{file: file, stat: file.Stat()}
	if s.stat.Size > MaxSize {
		err = fmt.Errorf("%s has %d bytes, more than the %d that are allowed", path, s.stat.Size, MaxSize)
	} else {
		s.Content = make([]byte, s.stat.Size)
		var n int
		n, err = io.ReadFull(file, s.Content)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // empty, or shortened while being read; the write will notice
		}
		s.Content = s.Content[:n]
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// changed returns ErrChanged when target is not the file that was read any more.
func (f *File) changed(target string, before *Snapshot) error {
	if f.BeforeSwap != nil {
		f.BeforeSwap()
	}
	var now unix.Stat_t
	err := unix.Lstat(target, &now)
	was := &before.stat
	switch {
	case errors.Is(err, unix.ENOENT):
		return ErrChanged
	case err != nil:
		return &fs.PathError{Op: "lstat", Path: target, Err: err}
	case now.Dev != was.Dev || now.Ino != was.Ino || now.Size != was.Size ||
		int64(len(before.Content)) != was.Size || now.Mtim != was.Mtim || now.Ctim != was.Ctim:
		return ErrChanged
	}
	return nil
}
