// Package outbox is a bounded queue on disk of messages to people, and the deliverer
// that works through it: alone (it holds a lock), with retries, a limit of messages an hour,
// and digests when more waits than that leaves room for. It loses nothing silently: what
// does not fit is counted, and the next message says how much that was.
//
// It knows neither what an item says nor how a message is sent: that is the Courier's.
package outbox

import (
	"crypto/rand"
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
	dirWaiting = "waiting"
	dirRefused = "refused" // items that were refused for good
	dirTmp     = "tmp"
)

// Item is one thing to report. Who adds it sets the fields up to Body, the Courier Key and To.
type Item struct {
	Program string    `json:"program"` // in whose name it is logged
	First   time.Time `json:"first"`   // when it was added
	// Alone is set when the item goes in a message of its own, as a report does. Others are
	// digestible: many may go in one message.
	Alone bool            `json:"alone,omitempty"`
	Body  json.RawMessage `json:"body"`

	Settled bool     `json:"settled,omitempty"` // the Courier knows all of it
	Key     string   `json:"key,omitempty"`     // items with the same key are about the same
	To      []string `json:"to,omitempty"`      // who still have to get it
	Rest    bool     `json:"rest,omitempty"`    // it was sent before, and some did not get it
	// Error and Failed are why and when it was refused.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`

	ID   string `json:"-"` // its file's name
	size int    // of its file
}

// Box is the folder of a queue, opened. Only the process that holds its lock sends; anybody
// adds. All files in it are reached through root, never by the path: see state.OpenDir.
type Box struct {
	dir  string // as people know it
	name string // for messages: "mail"
	root *os.Root
	// The bounds of the items that wait, in number and bytes, and of the refused ones that are kept.
	maxItems, maxBytes, maxRefused int
}

func newBox(dir string, root *os.Root) *Box {
	return &Box{dir, filepath.Base(dir), root, 10_000, 64 << 20, 1000}
}

// Open opens the queue, unless others than this process's user could have put it there. A
// missing one is an error that errors.Is os.ErrNotExist.
func Open(dir string) (*Box, error) {
	root, err := openRoot(dir, func(*os.Root) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("opening the %s queue: %w", filepath.Base(dir), err)
	}
	return newBox(dir, root), nil
}

// Make opens the queue and makes what is missing of it.
func Make(dir string) (*Box, error) {
	err := state.MakeDir(filepath.Dir(dir))
	var root *os.Root
	if err == nil {
		root, err = openRoot(dir, func(above *os.Root) error { return makeFolder(above, filepath.Base(dir)) })
	}
	for _, folder := range []string{dirWaiting, dirRefused, dirTmp} {
		if err == nil {
			err = makeFolder(root, folder)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("making the %s queue: %w", filepath.Base(dir), err)
	}
	return newBox(dir, root), nil
}

// openRoot opens a folder in the state folder, after prepare has been called with that one.
func openRoot(dir string, prepare func(above *os.Root) error) (*os.Root, error) {
	above, err := state.OpenDir(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer above.Close() // only looked into
	if err := prepare(above); err != nil {
		return nil, err
	}
	return state.OpenDirIn(above, filepath.Base(dir))
}

func makeFolder(in *os.Root, name string) error {
	if err := in.Mkdir(name, 0o700); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// Add puts an item into the queue. It is safe on disk when Add returns without an error.
func (b *Box) Add(item Item) error {
	item.setID()
	err := b.makeRoom()
	if err == nil {
		err = b.write(dirWaiting, item.ID, &item)
	}
	if err != nil {
		return fmt.Errorf("writing to the %s queue: %w", b.name, err)
	}
	return nil
}

// path returns where a file lies in the queue.
func path(folder, name string) string { return filepath.Join(folder, name+".json") }

// write puts an item, or anything else, in a file of a folder, replacing one of that name.
func (b *Box) write(folder, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dirTmp, fmt.Sprintf("%s.%d", name, os.Getpid()))
	err = b.fill(tmp, os.O_CREATE|os.O_TRUNC, data)
	if err == nil {
		err = b.root.Rename(tmp, path(folder, name))
	}
	if err != nil {
		return errors.Join(err, b.root.Remove(tmp))
	}
	if item, ok := v.(*Item); ok {
		item.size = len(data)
	}
	return syncFolder(b.root, folder)
}

// fill writes a file and syncs it.
func (b *Box) fill(name string, flags int, data []byte) error {
	file, err := b.root.OpenFile(name, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	if _, err = file.Write(data); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// rewrite writes a waiting item again. Where no other file fits, as on a full disk, it goes over
// the old one: if that stayed unchanged, who got the message would get it at each attempt.
func (b *Box) rewrite(item *Item) error {
	err := b.write(dirWaiting, item.ID, item)
	if err == nil {
		return nil
	}
	data, merr := json.Marshal(item)
	if ferr := errors.Join(merr, b.fill(path(dirWaiting, item.ID), os.O_TRUNC, data)); ferr != nil {
		return fmt.Errorf("writing to the %s queue: %w", b.name, errors.Join(err, ferr))
	}
	return nil
}

func syncFolder(root *os.Root, folder string) error {
	file, err := root.Open(filepath.Join(folder, "."))
	if err != nil {
		return err
	}
	err = file.Sync()
	if errors.Is(err, unix.EINVAL) { // a file system that cannot
		err = nil
	}
	return errors.Join(err, file.Close())
}

// names lists a folder, oldest first. A missing folder is empty. Files with
// names that are not the queue's own are left out.
func (b *Box) names(folder string) ([]string, error) {
	entries, err := entriesOf(b.root, folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the %s queue: %w", b.name, err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if ok && e.Type().IsRegular() && strings.Trim(name, "0123456789abcdef-") == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func entriesOf(root *os.Root, folder string) ([]os.DirEntry, error) {
	file, err := root.Open(folder)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read from
	return file.ReadDir(-1)
}

// errDamaged marks a file of the queue that cannot be parsed.
var errDamaged = errors.New("damaged file in the queue")

func (b *Box) readJSON(folder, name string, into any) (size int, err error) {
	data, err := b.root.ReadFile(path(folder, name))
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return 0, fmt.Errorf("%w %s: %w", errDamaged, filepath.Join(b.dir, path(folder, name)), err)
	}
	return len(data), nil
}

func (b *Box) read(folder, name string) (item Item, err error) {
	item.size, err = b.readJSON(folder, name, &item)
	item.ID = name
	return item, err
}

func (b *Box) remove(folder, name string) error {
	if err := b.root.Remove(path(folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing from the %s queue: %w", b.name, err)
	}
	return nil
}

// setAside keeps a damaged file for somebody to look at.
func (b *Box) setAside(name string) error {
	return b.root.Rename(path(dirWaiting, name), filepath.Join(dirRefused, name+".damaged"))
}

// sweep removes what killed processes left in tmp.
func (b *Box) sweep(now time.Time) {
	entries, _ := entriesOf(b.root, dirTmp) // what is there harms nobody
	for _, e := range entries {
		name := filepath.Join(dirTmp, e.Name())
		if info, err := b.root.Lstat(name); err == nil && now.Sub(info.ModTime()) > time.Hour {
			_ = b.root.Remove(name)
		}
	}
}

// FirstToday reports whether it is asked for the first time within a day: a fault of every
// call is logged once.
func (b *Box) FirstToday(now time.Time) bool {
	const file = "warned"
	info, err := b.root.Lstat(file)
	if err == nil && now.Sub(info.ModTime()).Abs() < 24*time.Hour {
		return false
	}
	if err = b.fill(file, os.O_CREATE, nil); err == nil {
		err = b.root.Chtimes(file, now, now)
	}
	return err == nil
}

// setID gives an item an ID of its own, which sorts by age.
func (i *Item) setID() {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	i.ID = fmt.Sprintf("%016x-%x", i.First.UnixNano(), b)
	if i.Alone {
		i.ID += aloneMark
	}
}
