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

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// The folders of the queue. Whatever is in one of them is whole: it was written to tmp,
// synced and renamed.
const (
	dirNew    = "new"    // events, as they came in
	dirReady  = "ready"  // notices that wait to be sent
	dirFailed = "failed" // notices that the server refused for good
	dirTmp    = "tmp"
)

// queue is the folder var/active-response/mail, opened. Only the process that holds its
// lock sends; anybody adds. All files in it go by way of root, never by the path: see
// state.OpenDir.
type queue struct {
	dir  string // as people know it
	root *os.Root
}

// openQueue opens the queue, unless others than we could have put it there. A missing one
// is an error that errors.Is os.ErrNotExist.
func openQueue(dir string) (*queue, error) {
	root, err := openRoot(dir, func(*os.Root) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("opening the mail queue: %w", err)
	}
	return &queue{dir, root}, nil
}

// makeQueue opens the queue and makes what is missing of it.
func makeQueue(dir string) (*queue, error) {
	err := state.MakeDir(filepath.Dir(dir))
	var root *os.Root
	if err == nil {
		root, err = openRoot(dir, func(folder *os.Root) error { return makeFolder(folder, filepath.Base(dir)) })
	}
	if err != nil {
		return nil, fmt.Errorf("making the mail queue: %w", err)
	}
	for _, folder := range []string{dirNew, dirReady, dirFailed, dirTmp} {
		if err := makeFolder(root, folder); err != nil {
			return nil, fmt.Errorf("making the mail queue: %w", errors.Join(err, root.Close()))
		}
	}
	return &queue{dir, root}, nil
}

// openRoot opens a folder in the state folder, which is made ready for it before.
func openRoot(dir string, ready func(folder *os.Root) error) (*os.Root, error) {
	folder, err := state.OpenDir(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer folder.Close() // only looked into
	if err := ready(folder); err != nil {
		return nil, err
	}
	return state.OpenDirIn(folder, filepath.Base(dir))
}

func makeFolder(in *os.Root, name string) error {
	if err := in.Mkdir(name, 0o700); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// add puts an event into the queue. It is there, whatever happens to the machine, when
// add returns.
func (q *queue) add(e event) error {
	name := fmt.Sprintf("%019d-%d-%s", e.Queued.UnixNano(), os.Getpid(), random())
	if err := q.write(dirNew, name, e); err != nil {
		return fmt.Errorf("writing to the mail queue: %w", err)
	}
	return nil
}

// place is where a file lies in the queue.
func place(folder, name string) string { return filepath.Join(folder, name+".json") }

// write puts v in a file of a folder, in place of one that has that name.
func (q *queue) write(folder, name string, v any) (err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dirTmp, fmt.Sprintf("%s.%d", name, os.Getpid()))
	file, err := q.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
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
		err = q.root.Rename(tmp, place(folder, name))
	}
	if err != nil {
		return errors.Join(err, q.root.Remove(tmp))
	}
	return q.sync(folder)
}

// replace puts v in a file of a folder and takes the file old away, which may have the
// same name. Where there is no room for another file it goes over the old one, whose room
// it has: if that stayed as it is, those who got the mail would get it at each attempt.
// Should that fail too, it does stay, for twice is better than never.
func (q *queue) replace(folder, old, name string, v any) error {
	err := q.write(folder, name, v)
	switch {
	case err != nil:
		if oerr := q.overwrite(place(folder, old), v); oerr != nil {
			return errors.Join(err, oerr)
		}
		return q.root.Rename(place(folder, old), place(folder, name))
	case old != name:
		return q.remove(folder, old)
	}
	return nil
}

// overwrite puts v in a file that is there. Who reads the file stops at the end of the
// first value, so until the whole is written it tells the old one, or is damaged.
func (q *queue) overwrite(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	file, err := q.root.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = overwriteFile(file, data); err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return err
}

func overwriteFile(file *os.File, data []byte) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	within := min(int64(len(data)), info.Size())
	if _, err := file.WriteAt(data[within:], within); err != nil { // first, for only this can lack room
		return errors.Join(err, file.Truncate(info.Size()))
	}
	if _, err := file.WriteAt(data[:within], 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(data)))
}

func (q *queue) sync(folder string) error {
	file, err := q.root.Open(filepath.Join(folder, "."))
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

// names lists a folder, oldest first in dirNew. A missing folder is empty. What is not
// called as a file of ours is none.
func (q *queue) names(folder string) ([]string, error) {
	entries, err := q.entries(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the mail queue: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && e.Type().IsRegular() && strings.Trim(name, "0123456789abcdef-") == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (q *queue) entries(folder string) ([]os.DirEntry, error) {
	file, err := q.root.Open(folder)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read from
	return file.ReadDir(-1)
}

// errDamagedFile marks a file of the queue that does not read.
var errDamagedFile = errors.New("damaged file in the mail queue")

// read reads one file.
func (q *queue) read(folder, name string, into any) error {
	file, err := q.root.Open(place(folder, name))
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	if err := json.NewDecoder(file).Decode(into); err != nil {
		return fmt.Errorf("%w %s: %w", errDamagedFile, filepath.Join(q.dir, place(folder, name)), err)
	}
	return nil
}

func (q *queue) remove(folder, name string) error {
	if err := q.root.Remove(place(folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing from the mail queue: %w", err)
	}
	return nil
}

// setAsideDamaged keeps a file that does not read for somebody to look at.
func (q *queue) setAsideDamaged(folder, name string) error {
	return q.root.Rename(place(folder, name), filepath.Join(dirFailed, name+".damaged"))
}

// sweep removes what killed processes left in tmp.
func (q *queue) sweep(now time.Time) {
	entries, _ := q.entries(dirTmp) // what is there harms nobody
	for _, e := range entries {
		if info, err := q.root.Lstat(filepath.Join(dirTmp, e.Name())); err == nil && now.Sub(info.ModTime()) > time.Hour {
			_ = q.root.Remove(filepath.Join(dirTmp, e.Name()))
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
func (q *queue) load() (progress, error) {
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

func (q *queue) save(p progress) error {
	if err := q.write("", progressFile, p); err != nil {
		return fmt.Errorf("writing the progress of the mail queue: %w", err)
	}
	return nil
}
