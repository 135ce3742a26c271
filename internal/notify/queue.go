package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/statedir"
)

// The folders of the queue. Whatever is in one of them is whole: it was written to tmp,
// synced and renamed.
const (
	dirNew    = "new"    // events, as they came in
	dirReady  = "ready"  // notices that wait to be sent
	dirFailed = "failed" // notices that the server refused for good
	dirTmp    = "tmp"
)

// queue is the folder var/active-response/mail. Only the process that holds its lock
// sends; anybody adds.
type queue struct{ dir string }

func (q queue) path(elem ...string) string {
	return filepath.Join(append([]string{q.dir}, elem...)...)
}

// make makes the folders, and refuses any that others than we could have put there.
func (q queue) make() error {
	for _, dir := range []string{filepath.Dir(q.dir), q.dir, q.path(dirNew), q.path(dirReady), q.path(dirFailed), q.path(dirTmp)} {
		if err := statedir.Make(dir); err != nil {
			return fmt.Errorf("making the mail queue: %w", err)
		}
	}
	return nil
}

// add puts an event into the queue. It is there, whatever happens to the machine, when
// add returns.
func (q queue) add(e event) error {
	if err := q.make(); err != nil {
		return err
	}
	name := fmt.Sprintf("%019d-%d-%s", e.Queued.UnixNano(), os.Getpid(), random())
	if err := q.write(dirNew, name, e); err != nil {
		return fmt.Errorf("writing to the mail queue: %w", err)
	}
	return nil
}

// write puts v in a file of a folder, in place of one that has that name.
func (q queue) write(folder, name string, v any) (err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := q.path(dirTmp, fmt.Sprintf("%s.%d", name, os.Getpid()))
	file, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, q.path(folder, name+".json"))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(q.path(folder))
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = file.Sync()
	if errors.Is(err, unix.EINVAL) { // a file system that cannot
		err = nil
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return err
}

// names lists a folder, oldest first in dirNew. A missing folder is empty.
func (q queue) names(folder string) ([]string, error) {
	entries, err := os.ReadDir(q.path(folder))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the mail queue: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && e.Type().IsRegular() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// errDamagedFile marks a file of the queue that does not read.
var errDamagedFile = errors.New("damaged file in the mail queue")

// read reads one file.
func (q queue) read(folder, name string, into any) error {
	file, err := os.OpenFile(q.path(folder, name+".json"), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	if err := json.NewDecoder(file).Decode(into); err != nil {
		return fmt.Errorf("%w %s: %w", errDamagedFile, file.Name(), err)
	}
	return nil
}

func (q queue) remove(folder, name string) error {
	if err := os.Remove(q.path(folder, name+".json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing from the mail queue: %w", err)
	}
	return nil
}

// setAsideDamaged keeps a file that does not read for somebody to look at.
func (q queue) setAsideDamaged(folder, name string) error {
	return os.Rename(q.path(folder, name+".json"), q.path(dirFailed, name+".damaged"))
}

// sweep removes what killed processes left in tmp.
func (q queue) sweep(now time.Time) {
	entries, _ := os.ReadDir(q.path(dirTmp)) // what is there harms nobody
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > time.Hour {
			_ = os.Remove(q.path(dirTmp, e.Name()))
		}
	}
}

// progress is what the deliverer has to remember from one run to the next.
type progress struct {
	Sent []sending `json:"sent"` // in the last hour, oldest first
	// Mailed is when each notice's key was last mailed, for as long as that counts.
	Mailed map[string]time.Time `json:"mailed"`
	// Failures counts the attempts in a row that the server let down; Retry is when to
	// try again.
	Failures int       `json:"failures,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`
	Error    string    `json:"error,omitempty"`
	// Refused is the same for single recipients.
	Refused map[string]refusal `json:"refused,omitempty"`
}

// sending is one mail that was sent.
type sending struct {
	At     time.Time `json:"at"`
	Digest bool      `json:"digest,omitempty"`
}

type refusal struct {
	Failures int       `json:"failures"`
	Retry    time.Time `json:"retry"`
}

const progressFile = "progress"

// load reads the progress; what cannot be read begins anew.
func (q queue) load() (progress, error) {
	var p progress
	err := q.read("", progressFile, &p)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		p = progress{}
	}
	if p.Mailed == nil {
		p.Mailed = map[string]time.Time{}
	}
	if p.Refused == nil {
		p.Refused = map[string]refusal{}
	}
	return p, err
}

func (q queue) save(p progress) error {
	if err := q.write("", progressFile, p); err != nil {
		return fmt.Errorf("writing the progress of the mail queue: %w", err)
	}
	return nil
}
