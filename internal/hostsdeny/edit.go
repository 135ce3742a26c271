package hostsdeny

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

const (
	maxSize  = 64 << 20 // bytes; libwrap reads the whole file for each connection
	maxTries = 20       // edits begun anew because the file changed meanwhile
	maxLinks = 40       // symbolic links in a row, as the kernel has it
)

// errChanged means that somebody without our lock changed the file between
// our reading and our writing.
var errChanged = errors.New("it keeps being changed by another program")

// edited is what an edit came to.
type edited struct {
	made    bool // the file was missing
	nothing bool // there was nothing to do
	notes   []string
}

// edit puts one plan into effect: it locks out other processes of ours, reads, asks decide, and
// adds to the file, replaces it or, where that can't be, writes into it.
func (e *Enforcer) edit(ctx context.Context, decide func(content []byte) plan) (done edited, err error) {
	if err := e.form.check(); err != nil {
		return done, err
	}
	target, err := followLinks(e.path)
	if err != nil {
		return done, err
	}
	lock, notes, err := e.lock(ctx, target)
	if err != nil {
		return done, err
	}
	// Others need not wait until the new file's name is on the disk.
	unlock := sync.OnceFunc(lock.Release)
	defer unlock()
	done.notes = notes

	for range maxTries {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		err := e.attempt(target, lock != nil, decide, unlock, &done)
		if !errors.Is(err, errChanged) {
			return done, err
		}
	}
	return done, errChanged
}

// attempt reads, decides and writes once, and calls placed as soon as another process may do
// the same.
func (e *Enforcer) attempt(target string, locked bool, decide func([]byte) plan, placed func(),
	done *edited) error {
	before, err := load(target)
	if err != nil {
		return err
	}
	defer before.close()
	p := decide(before.content)
	done.nothing = p.nothing() && !done.made
	switch {
	case p.nothing():
		return nil
	case before.file == nil:
		done.made = true
		return makeEmpty(target)
	case locked && before.stat.Nlink == 1 && !p.fitsBehind(before.content):
		// Unlocked, the temporary file might be another process's.
		err := e.replace(target, before, p, placed)
		if !errors.Is(err, errInPlace) {
			return err
		}
	}
	return e.writeInto(target, before, p, locked)
}

// makeEmpty makes a missing file, to be edited in the next attempt.
func makeEmpty(target string) error {
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		err = errors.Join(file.Chmod(0o644), file.Close())
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		return errChanged
	}
	return err
}

// lockBeside returns the lock file for target, beside it as /etc/.pwd.lock is beside
// /etc/passwd: who edits the file from another home (OSSEC's, Wazuh's) waits for the same.
func lockBeside(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".ossec-ar.lock")
}

// lock keeps other processes of ours out. Without a lock file it goes on with
// notes, for an address that stays unblocked is worse; edits then go into the
// file in place, where they are small writes that do not undo one another.
func (e *Enforcer) lock(ctx context.Context, target string) (*state.Lock, []string, error) {
	wait := e.lockWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	var notes []string
	for _, path := range []string{lockBeside(target), e.lockPath} {
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
	for range maxLinks {
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

// snapshot is the file as it was read. A missing one is empty and has no file.
type snapshot struct {
	file    *state.File
	stat    unix.Stat_t
	content []byte
}

func (s *snapshot) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// load reads the file at path, which must be a plain one of bounded size.
func load(path string) (*snapshot, error) {
	file, err := state.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &snapshot{}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &snapshot{file: file, stat: file.Stat()}
	if s.stat.Size > maxSize {
		err = fmt.Errorf("%s has %d bytes, more than the %d that are allowed", path, s.stat.Size, maxSize)
	} else {
		s.content = make([]byte, s.stat.Size)
		var n int
		n, err = io.ReadFull(file, s.content)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // empty, or shortened while being read; the write will notice
		}
		s.content = s.content[:n]
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// changed returns errChanged when target is not the file that was read any more.
func (e *Enforcer) changed(target string, before *snapshot) error {
	if e.beforeSwap != nil {
		e.beforeSwap()
	}
	var now unix.Stat_t
	err := unix.Lstat(target, &now)
	was := &before.stat
	switch {
	case errors.Is(err, unix.ENOENT):
		return errChanged
	case err != nil:
		return &fs.PathError{Op: "lstat", Path: target, Err: err}
	case now.Dev != was.Dev || now.Ino != was.Ino || now.Size != was.Size ||
		int64(len(before.content)) != was.Size || now.Mtim != was.Mtim || now.Ctim != was.Ctim:
		return errChanged
	}
	return nil
}
