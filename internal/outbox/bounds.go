package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
)

// aloneMark ends the IDs of items that are not digestible.
const aloneMark = "-a"

const (
	// fewItems is up to how many items their bytes are not added up when another is added: an
	// item is far below maxBytes/fewItems. When there are more, one addition of addUp does it.
	fewItems = 500
	addUp    = 16
)

// The files that count the items that had no room: a byte each. The deliverer renames the
// first to the second before it adds up.
const (
	countedFile = "counted"
	takenFile   = "counted.taken"
)

// makeRoom removes the oldest items, digestible ones first, while there are too many for
// another, and counts them. It is what bounds the queue when no deliverer runs.
func (b *Box) makeRoom() error {
	names, err := b.names(dirWaiting)
	if err != nil || len(names) < b.maxItems && (len(names) < fewItems || rand.N(addUp) > 0) {
		return err
	}
	sizes, total := map[string]int{}, 0
	for _, name := range names {
		if info, err := b.root.Lstat(path(dirWaiting, name)); err == nil {
			sizes[name] = int(info.Size())
			total += sizes[name]
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(alone(a), alone(b)) })
	for left := len(names); left >= b.maxItems || total > b.maxBytes; left-- {
		name := names[len(names)-left]
		total -= sizes[name]
		err := b.root.Remove(path(dirWaiting, name))
		if err == nil {
			err = b.fill(countedFile, os.O_CREATE|os.O_APPEND, []byte{'.'})
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // then another process was faster
			return err
		}
	}
	return nil
}

// alone is 1 for the ID of an item that goes alone, else 0.
func alone(id string) int {
	if strings.HasSuffix(id, aloneMark) {
		return 1
	}
	return 0
}

// takeCounted adds to the progress how many items had no room. When the process is killed
// within, they are counted twice.
func (d *Deliverer) takeCounted() error {
	b := d.box
	if _, err := b.root.Lstat(takenFile); errors.Is(err, os.ErrNotExist) {
		if err := b.root.Rename(countedFile, takenFile); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	info, err := b.root.Lstat(takenFile)
	if err != nil {
		return fmt.Errorf("counting what had no room: %w", err)
	}
	d.progress.Counted += int(info.Size())
	full := fmt.Errorf("the %s queue is full: %d items are only counted", b.name, d.progress.Counted)
	d.courier.Failed(nil, full)
	if err := b.save(d.progress); err != nil {
		return err
	}
	return b.root.Remove(takenFile)
}
