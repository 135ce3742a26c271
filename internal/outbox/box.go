// Package outbox is a bounded queue on disk of messages to people, and the deliverer
// that works through it: alone (it holds a lock), with retries, a limit of messages an hour,
// and digests when more waits than that leaves room for. It loses nothing silently: what
// does not fit is counted, and the next message says how much that was.
//
// It knows neither what an item says nor how a message is sent: that is the Courier's.
package outbox

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Item is one thing to report. Who adds it sets the fields from Program to Body; the others are the
// queue's and the Courier's.
type Item struct {
	Program string    `json:"program"`         // in whose name it is logged
	First   time.Time `json:"first"`           // when it was added
	About   string    `json:"about,omitempty"` // in a word, for when it can only be counted
	// Key is the same for items that are about the same. While they wait they become one. The
	// Courier may change it once, when it settles the item.
	Key string `json:"key,omitempty"`
	// Alone is set when the item goes in a message of its own, as a report does. Others are
	// digestible: many may go in one message.
	Alone bool            `json:"alone,omitempty"`
	Body  json.RawMessage `json:"body"`

	ID      string    `json:"id"`
	Last    time.Time `json:"last"`              // when the last was added that it is made of
	Count   int       `json:"count"`             // of how many it is made
	Settled bool      `json:"settled,omitempty"` // the Courier knows all of it
	To      []string  `json:"to,omitempty"`      // who still have to get it
	Urgent  bool      `json:"urgent,omitempty"`  // it goes first, with no others than such
	Rest    bool      `json:"rest,omitempty"`    // it was sent before, and some did not get it
	// Error and Failed are why and when it was refused.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}

// State is how an item stands in the queue.
type State string

// The states.
const (
	Arrived State = "arrived" // not settled yet
	Waiting State = "waiting"
	Refused State = "refused"
)

// State returns how the item stands.
func (i *Item) State() State {
	switch {
	case !i.Failed.IsZero():
		return Refused
	case i.Settled:
		return Waiting
	}
	return Arrived
}

// older orders items by when they were added.
func older(a, b *Item) int { return a.First.Compare(b.First) }

// setID gives an item an ID of its own.
func (i *Item) setID() {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	i.ID = fmt.Sprintf("%x-%x", i.First.UnixNano(), b)
}

// The files of the queue. Who adds to it appends to the first, under its lock. The deliverer
// renames that, and brings what it holds into the queue's own file, which it alone writes.
const (
	arrivalsFile = "arrivals"
	takenFile    = "arrivals.taken"
	queueFile    = "queue"
	retryFile    = "retry-now" // is there when a person wants another attempt at once
	lockFile     = "deliver.lock"
)

// entry is one line of arrivals: an item, or what a person wants done with some.
type entry struct {
	Item  *Item    `json:"item,omitempty"`
	Only  string   `json:"only,omitempty"`  // what an item was about that had no room
	Drop  []string `json:"drop,omitempty"`  // IDs of items to remove
	Again []string `json:"again,omitempty"` // of refused ones that are to wait again
}

// Box is the folder of a queue, opened. Only the process that holds its lock sends; anybody
// adds. All files in it are reached through root, never by the path: see state.OpenRoot.
type Box struct {
	dir  string // as people know it
	name string // for messages: "mail"
	root *os.Root
	// maxArrivals is from how many bytes on arrivals are only counted; from half of it on, they
	// come in brief.
	maxArrivals int64
	// The bounds of the items that wait, in number and in bytes of their bodies, and of the
	// refused ones that are kept.
	maxItems, maxBytes, maxRefused int
}

func newBox(dir string, root *os.Root) *Box {
	return &Box{dir: dir, name: filepath.Base(dir), root: root,
		maxArrivals: 16 << 20, maxItems: 2000, maxBytes: 8 << 20, maxRefused: 1000}
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

// Make opens the queue and makes it if it is missing.
func Make(dir string) (*Box, error) {
	above, err := state.MakeDir(filepath.Dir(dir))
	var root *os.Root
	if err == nil {
		above.Close()
		root, err = openRoot(dir, func(above *os.Root) error {
			if err := above.Mkdir(filepath.Base(dir), 0o700); !errors.Is(err, os.ErrExist) {
				return err
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("making the %s queue: %w", filepath.Base(dir), err)
	}
	return newBox(dir, root), nil
}

// gone reports whether the folder was deleted, as by a purge.
func (b *Box) gone() bool {
	info, err := b.root.Stat(".")
	return err == nil && info.Sys().(*syscall.Stat_t).Nlink == 0
}

// openRoot opens a folder in the state folder, after prepare has been called with that one.
func openRoot(dir string, prepare func(above *os.Root) error) (*os.Root, error) {
	above, err := state.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer above.Close() // only looked into
	if err := prepare(above); err != nil {
		return nil, err
	}
	return state.OpenRootIn(above, filepath.Base(dir))
}

// Add puts an item into the queue. It is safe on disk when Add returns without an error. shorten
// makes a body shorter, for when many wait.
func (b *Box) Add(item Item, shorten func(json.RawMessage) json.RawMessage) error {
	item.setID()
	item.Last, item.Count = item.First, 1
	return b.append(func(size int64) entry {
		switch {
		case size >= b.maxArrivals:
			return entry{Only: item.About}
		case size >= b.maxArrivals/2:
			item.Body = shorten(item.Body)
		}
		return entry{Item: &item}
	})
}

// Drop has items removed.
func (b *Box) Drop(ids ...string) error {
	return b.append(func(int64) entry { return entry{Drop: ids} })
}

// Retry has all that waits be tried at once, and refused items wait again. The first takes no room
// on the disk, which may be why all waits.
func (b *Box) Retry(refused ...string) error {
	var err error
	if len(refused) > 0 {
		err = b.append(func(int64) entry { return entry{Again: refused} })
	}
	return errors.Join(err, b.root.WriteFile(retryFile, nil, 0o600))
}

// append adds a line to arrivals, where size bytes stand already, and syncs it.
func (b *Box) append(make func(size int64) entry) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing to the %s queue: %w", b.name, err)
		}
	}()
	file, err := b.lockArrivals(os.O_CREATE)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size >= 3*b.maxArrivals {
		return errors.New("it is full, and nobody delivers")
	}
	line, err := json.Marshal(make(size))
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return errors.Join(err, file.Truncate(size))
	}
	_ = unix.Flock(int(file.Fd()), unix.LOCK_UN) // others need not wait for the disk
	if err := file.Sync(); err != nil || size > 0 {
		return err
	}
	return state.SyncRoot(b.root)
}

// arrivalsWait bounds the waiting for others who add. They hold the lock for an instant.
const arrivalsWait = 10 * time.Second

// lockArrivals opens the file of arrivals and locks it, so that it stays the one of that name.
func (b *Box) lockArrivals(flags int) (*os.File, error) {
	for {
		file, err := b.lockFile(arrivalsFile, flags|os.O_APPEND, arrivalsWait)
		if err != nil {
			return nil, err
		}
		here, err := file.Stat()
		if err == nil {
			var there os.FileInfo
			if there, err = b.root.Lstat(arrivalsFile); err == nil && os.SameFile(here, there) {
				return file, nil
			}
		}
		_ = file.Close() // nothing was written
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

// maxFile bounds what is read of a file, in bytes.
const maxFile = 64 << 20

// readLines calls each with the lines of a file, of which there may be none. A line that is cut
// off or damaged comes as an error.
func (b *Box) readLines(name string, each func(line []byte) error) error {
	file, err := state.OpenOwn(b.root, name, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the %s queue: %w", b.name, err)
	}
	defer file.Close() // only read from
	var faults error
	lines := bufio.NewReader(io.LimitReader(file, maxFile))
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := each(line); err != nil && faults == nil { // one of many is enough
				faults = fmt.Errorf("damaged file in the queue: %s, line %d", filepath.Join(b.dir, name), n)
			}
		}
		if errors.Is(err, io.EOF) {
			return faults
		}
		if err != nil {
			return fmt.Errorf("reading the %s queue: %w", b.name, err)
		}
	}
}
