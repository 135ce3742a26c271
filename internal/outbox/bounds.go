package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// aloneMark ends the names of new items that are not digestible.
const aloneMark = "-a"

const (
	// fewItems is up to how many new items their bytes are not added up. An item is far below
	// maxBytes/fewItems.
	fewItems = 500
	// maxFailed bounds how many refused items are kept.
	maxFailed = 1000
)

// The files that count the new items that had no room: a byte each. The deliverer renames the first
// to the second before it adds up.
const (
	countedFile = "counted"
	takenFile   = "counted.taken"
)

// makeRoom removes the oldest new items, digestible ones first, while there are too many for another, and counts
// them. Only when no deliverer is at work are there that many.
func (b *Box) makeRoom() error {
	names, err := b.names(dirNew)
	if err != nil || len(names) < min(fewItems, b.maxItems) {
		return err
	}
	sizes, total := map[string]int{}, 0
	for _, name := range names {
		if info, err := b.root.Lstat(path(dirNew, name)); err == nil {
			sizes[name] = int(info.Size())
			total += sizes[name]
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(alone(a), alone(b)) })
	for left := len(names); left >= b.maxItems || total > b.maxBytes; left-- {
		name := names[len(names)-left]
		total -= sizes[name]
		switch err := b.root.Remove(path(dirNew, name)); {
		case errors.Is(err, os.ErrNotExist): // another process was faster
		case err != nil:
			return err
		default:
			if err := b.fill(countedFile, os.O_CREATE|os.O_APPEND, []byte{'.'}); err != nil {
				return err
			}
		}
	}
	return nil
}

// alone is 1 for the name of a new item that goes alone, else 0.
func alone(name string) int {
	if strings.HasSuffix(name, aloneMark) {
		return 1
	}
	return 0
}

// takeCounted adds to the progress what new items had no room. When the process is killed within, some are
// counted twice.
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
	if err := d.count(int(info.Size())); err != nil {
		return err
	}
	return b.root.Remove(takenFile)
}

// count notes how many items are only counted.
func (d *Deliverer) count(n int) error {
	d.progress.Counted += n
	d.courier.Failed(nil, fmt.Errorf("the %s queue is full: %d more are only counted, %d in all", d.box.name, n, d.progress.Counted))
	return d.box.save(d.progress)
}

// trim counts the oldest digestible items instead of keeping them while too much waits.
func (d *Deliverer) trim() error {
	total := 0
	var oldest []Item
	for _, item := range d.ready {
		total += item.size
		if !item.Alone {
			oldest = append(oldest, item)
		}
	}
	slices.SortFunc(oldest, older)
	left, n, drop := len(d.ready), 0, 0
	for ; drop < len(oldest) && (left > d.box.maxItems || total > d.box.maxBytes); drop++ {
		left--
		total -= oldest[drop].size
		n += oldest[drop].Count
	}
	if drop == 0 {
		return nil
	}
	if err := d.count(n); err != nil {
		return err
	}
	for _, item := range oldest[:drop] {
		delete(d.ready, item.ID)
		if err := d.box.remove(dirReady, item.ID); err != nil {
			return err
		}
	}
	return nil
}

// older orders items by when their first was added.
func older(a, b Item) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.ID, b.ID)) }
