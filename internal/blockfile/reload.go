package blockfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

const (
	reloadEvery   = 2 * time.Second
	reloadTimeout = 20 * time.Second // of the program
	reloadWait    = 30 * time.Second // for the same process that reloads
	maxRecord     = 64 << 10         // bytes
)

// reloader has a program read the list again, no more often than every so often. Whoever changed the
// list returns only when a reload has begun after that: of many at once one waits until the time has
// come, the others wait in line behind it, and find that it was done for them too.
type reloader struct {
	argv  []string // none: nothing needs to be done
	list  string   // the path of the list
	dir   string   // the state folder, "" when there is none: then each change is followed by a reload
	every time.Duration
}

// reloaded is the last reload, as it is recorded in the state folder.
type reloaded struct {
	List  string // how the list was when the reload began
	Ended time.Time
	Err   string // why it failed
}

func (l reloaded) err() error {
	if l.Err == "" {
		return nil
	}
	return errors.New(l.Err)
}

// stamp returns a text that is another one after each change of the list.
func (r *reloader) stamp() string {
	var s unix.Stat_t
	if err := unix.Stat(r.list, &s); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %d %d %d.%09d %d.%09d", s.Dev, s.Ino, s.Size,
		s.Mtim.Sec, s.Mtim.Nsec, s.Ctim.Sec, s.Ctim.Nsec)
}

// recordName is the file in the state folder that says how the last reload went.
const recordName = "ip-customblock.reload"

// last returns the last reload; one without a List when there was none, or none that is recorded.
func (r *reloader) last() (last reloaded) {
	if data, err := state.Load(r.dir, recordName, maxRecord); err != nil || json.Unmarshal(data, &last) != nil {
		return reloaded{}
	}
	return last
}

// due reports whether the list was not read as it is now. With entries false it holds none, and if it
// was never read then it need not be.
func (r *reloader) due(entries bool) bool {
	if len(r.argv) == 0 || r.dir == "" {
		return false
	}
	last := r.last()
	if last.List == "" {
		return entries
	}
	return last.Err != "" || last.List != r.stamp()
}

// reload returns when the list has been read again since it was last changed. What fails
// fails for all who wait in line for it, and is tried again by the next call.
func (r *reloader) reload(ctx context.Context) error {
	if len(r.argv) == 0 {
		return nil
	}
	if r.dir == "" {
		return r.run(ctx)
	}
	arrived := time.Now()
	lock, err := r.lock()
	if errors.Is(err, state.ErrLocked) {
		return err
	}
	if err != nil {
		return r.run(ctx) // more often than it should be, but the block comes first
	}
	defer lock.Release()
	last := r.last()
	meanwhile := last.Ended.After(arrived) && !last.Ended.After(time.Now()) // the clock may have been put back
	if last.List == r.stamp() && (last.Err == "" || meanwhile) {
		return last.err()
	}
	select {
	case <-time.After(min(r.every, time.Until(last.Ended.Add(r.every)))): // likewise
	case <-ctx.Done():
		return ctx.Err()
	}
	now := reloaded{List: r.stamp()}
	err = r.run(ctx)
	now.Ended = time.Now()
	if err != nil {
		now.Err = err.Error()
	}
	// What can't be recorded is reloaded once more by the next call.
	if data, jsonErr := json.Marshal(now); jsonErr == nil {
		_ = state.Save(r.dir, recordName, data)
	}
	return err
}

// lock takes the place of the one process that reloads.
func (r *reloader) lock() (*state.Lock, error) {
	dir, err := state.OpenDir(r.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Exclusive(recordName+".lock", reloadWait)
}

// run runs the program, which nobody but root may be able to change.
func (r *reloader) run(ctx context.Context) error {
	if err := trusted(r.argv[0]); err != nil {
		return fmt.Errorf("having it read again: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	if _, err := exec.Command(ctx, r.argv[0], "", r.argv[1:]...); err != nil {
		return fmt.Errorf("having it read again: %w", err)
	}
	return nil
}

// runs returns an error when the program can't be run.
func (r *reloader) runs() error {
	info, err := os.Stat(r.argv[0])
	if err == nil && (!info.Mode().IsRegular() || info.Mode()&0o111 == 0) {
		err = fmt.Errorf("%s is no program", r.argv[0])
	}
	return errors.Join(err, trusted(r.argv[0]))
}
