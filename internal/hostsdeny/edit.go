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

var (
	// errChanged means that somebody without our lock changed the file between
	// our reading and our writing.
	errChanged = errors.New("it keeps being changed by another program")
	// errInPlace means that the file can't be replaced by another one of the same
	// owner, mode and labels, though it may be possible to write into it.
	errInPlace = errors.New("it can't be replaced")
)

// edited is what an edit came to.
type edited struct {
	made    bool // the file was missing
	nothing bool // there was nothing to do
	notes   []string
}

// edit puts one plan into effect: it locks out other processes of ours, reads,
// asks decide, and replaces the file or, where that can't be, writes into it.
func (e *Enforcer) edit(ctx context.Context, decide func(content []byte) plan) (edited, error) {
	var done edited
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
		made, err := e.attempt(target, lock != nil, decide, unlock)
		done.made = done.made || made
		if !errors.Is(err, errChanged) {
			return done, err
		}
	}
	return done, errChanged
}

// attempt reads, decides and writes once, and calls placed as soon as another process may do
// the same.
func (e *Enforcer) attempt(
	target string, locked bool, decide func([]byte) plan, placed func(),
) (made bool, err error) {
	before, err := load(target)
	if err != nil {
		return false, err
	}
	defer before.close()
	p := decide(before.content)
	if p.nothing() {
		return false, nil
	}
	missing := before.file == nil
	switch {
	case missing && !locked:
		return true, makeEmpty(target)
	case !locked || before.stat.Nlink > 1:
		err = errInPlace // unlocked, the temporary file might be another process's
	default:
		err = e.replace(target, before, p, placed)
	}
	if errors.Is(err, errInPlace) && !missing {
		return false, e.writeInto(target, before, p, locked)
	}
	return missing && err == nil, err
}

// makeEmpty makes a missing file, to be edited in the next attempt.
func makeEmpty(target string) error {
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return errChanged
	}
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return errChanged
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
	file    *os.File
	stat    unix.Stat_t
	mode    os.FileMode
	content []byte
}

func (s *snapshot) close() {
	if s.file != nil {
		_ = s.file.Close() // only read from
	}
}

// load reads the file at path, which must be a regular one of bounded size.
func load(path string) (*snapshot, error) {
	// O_NONBLOCK: a named pipe must not make us wait for its writer.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return &snapshot{}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &snapshot{file: file}
	if err := s.read(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *snapshot) read() error {
	if err := unix.Fstat(int(s.file.Fd()), &s.stat); err != nil {
		return &fs.PathError{Op: "fstat", Path: s.file.Name(), Err: err}
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.mode = info.Mode()
	if !s.mode.IsRegular() {
		return fmt.Errorf("%s is not a regular file", s.file.Name())
	}
	if s.stat.Size > maxSize {
		return fmt.Errorf("%s has %d bytes, more than the %d that are allowed",
			s.file.Name(), s.stat.Size, maxSize)
	}
	s.content = make([]byte, s.stat.Size)
	n, err := io.ReadFull(s.file, s.content)
	if errors.Is(err, io.ErrUnexpectedEOF) || (errors.Is(err, io.EOF) && s.stat.Size > 0) {
		err = nil // shortened while being read; the write will notice
	}
	s.content = s.content[:n]
	return err
}

// unchanged reports whether target is still the file that was read.
func (s *snapshot) unchanged(target string) (bool, error) {
	var now unix.Stat_t
	err := unix.Lstat(target, &now)
	if errors.Is(err, unix.ENOENT) {
		return s.file == nil, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "lstat", Path: target, Err: err}
	}
	was := &s.stat
	return s.file != nil && now.Dev == was.Dev && now.Ino == was.Ino && now.Size == was.Size &&
		int64(len(s.content)) == was.Size && now.Mtim == was.Mtim && now.Ctim == was.Ctim, nil
}
