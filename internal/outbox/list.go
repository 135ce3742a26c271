package outbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// State is how an item stands in the queue.
type State string

// The states.
const (
	Arrived State = "arrived" // not looked at yet
	Waiting State = "waiting"
	Refused State = "refused"
)

var folders = map[State]string{Arrived: dirNew, Waiting: dirReady, Refused: dirFailed}

// Row is one item in a list of the queue.
type Row struct {
	Item
	State State
}

// List returns all that is in the queue, oldest first, and how far the deliverer got at that time.
func (b *Box) List(now time.Time) ([]Row, Progress, error) {
	p, err := b.load()
	if err != nil {
		return nil, p, err
	}
	p.forget(now, 0)
	var rows []Row
	for state, folder := range folders {
		names, err := b.names(folder)
		if err != nil {
			return nil, p, err
		}
		for _, name := range names {
			if item, err := b.read(folder, name); err == nil { // else it is gone, or the deliverer sets it aside
				item.Count = max(item.Count, 1)
				rows = append(rows, Row{item, state})
			}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return older(a.Item, b.Item) })
	return rows, p, nil
}

// PutBack lets a refused item wait again; other items are left alone. It keeps its name,
// so that it replaces no other.
func (b *Box) PutBack(row Row) error {
	if row.State != Refused {
		return nil
	}
	err := b.root.Rename(path(dirFailed, row.ID), path(dirReady, row.ID))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("putting an item back: %w", err)
	}
	return nil
}

// Drop removes an item.
func (b *Box) Drop(row Row) error { return b.remove(folders[row.State], row.ID) }
