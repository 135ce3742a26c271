package blockfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Folder is the path of a folder that holds an empty file for each address. The file's name is the
// address; of a network it is written with "_" in place of "/".
type Folder string

var _ enforcer.Enforcer = Folder("")

// Backend returns the folder.
func (f Folder) Backend(context.Context) string { return string(f) }

// Describe returns what Block would do.
func (f Folder) Describe(t target.Target) string {
	if t.IsSingle() {
		return "make the file " + f.path(t)
	}
	return fmt.Sprintf("make the file %s for %s", f.path(t), t)
}

func (f Folder) path(t target.Target) string {
	return filepath.Join(string(f), strings.Replace(t.String(), "/", "_", 1))
}

// Block makes the file, and the folder (0755) when that is missing.
func (f Folder) Block(_ context.Context, t target.Target, _ enforcer.Known) (enforcer.Outcome, error) {
	var out enforcer.Outcome
	if err := trusted(string(f)); err != nil {
		return out, fmt.Errorf("making a file for %s: %w", t, err)
	}
	err := f.make(t)
	if errors.Is(err, fs.ErrNotExist) {
		if err = errors.Join(os.MkdirAll(string(f), 0o755), os.Chmod(string(f), 0o755)); err == nil {
			out.Made = true
			err = f.make(t)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		var info fs.FileInfo
		if info, err = os.Lstat(f.path(t)); err == nil && info.Mode().IsRegular() {
			out.Already = true
			return out, nil
		}
		err = errors.Join(err, fmt.Errorf("%s is there and no plain file", f.path(t)))
	}
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("making a file for %s: %w", t, err)
	}
	return out, nil
}

// make makes the file, which everybody may read, as the folder: whatever the daemon's umask is, the server
// does not run as root.
func (f Folder) make(t target.Target) error {
	file, err := os.OpenFile(f.path(t), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o644), file.Close())
}

// BlockAll is Block for many.
func (f Folder) BlockAll(ctx context.Context, all []target.Target) error {
	var failed enforcer.Failures
	for _, t := range all {
		_, err := f.Block(ctx, t, enforcer.Unknown)
		failed.Add(errors.Join(err, ctx.Err()))
	}
	return failed.All()
}

// Unblock removes the file. It is gone from the disk afterwards.
func (f Folder) Unblock(ctx context.Context, t target.Target) error {
	return f.UnblockAll(ctx, []target.Target{t})
}

// UnblockAll is Unblock for many.
func (f Folder) UnblockAll(ctx context.Context, all []target.Target) error {
	if err := trusted(string(f)); err != nil {
		return fmt.Errorf("removing files: %w", err)
	}
	var failed enforcer.Failures
	removed := false
	for _, t := range all {
		err := os.Remove(f.path(t))
		removed = removed || err == nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed.Add(fmt.Errorf("removing the file for %s: %w", t, err))
		}
		failed.Add(ctx.Err())
	}
	if removed {
		failed.Add(f.sync())
	}
	return failed.All()
}

func (f Folder) sync() error {
	folder, err := os.Open(string(f))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// List returns the addresses and networks that have a plain file.
func (f Folder) List(context.Context) (l enforcer.Listing, err error) {
	files, err := os.ReadDir(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l, fmt.Errorf("listing blocked addresses: %w", err)
	}
	for _, file := range files {
		t, ok := parse(strings.Replace(file.Name(), "_", "/", 1))
		if ok && file.Type().IsRegular() {
			l.Blocks = append(l.Blocks, enforcer.Block{Target: t})
		}
	}
	return l, nil
}

// Mend has nothing to do: the next block makes a missing folder.
func (f Folder) Mend(context.Context) ([]string, error) { return nil, nil }

// Flush removes the files of all that List returns.
func (f Folder) Flush(ctx context.Context) error {
	l, err := f.List(ctx)
	if err != nil {
		return err
	}
	all := make([]target.Target, len(l.Blocks))
	for i, b := range l.Blocks {
		all[i] = b.Target
	}
	return f.UnblockAll(ctx, all)
}

// Inspect returns whether the folder can be used.
func (f Folder) Inspect(ctx context.Context, _ string) []enforcer.Finding {
	l, err := f.List(ctx)
	return found("folder "+string(f), addresses(len(l.Blocks))+" in it; something of yours has to read them",
		"make it a folder that only root can write to", errors.Join(err, trusted(string(f))))
}
