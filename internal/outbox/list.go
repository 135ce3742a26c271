package outbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// State is how items stand in the queue.
type State string

// The states.
const (
	Arrived State = "arrived" // not settled yet
	Waiting State = "waiting"
	Refused State = "refused"
)

// Row is the items of one state that are about the same, for the same people.
type Row struct {
	State State
	Topic
}

// List returns all that is in the queue, oldest first, and what the deliverer remembers.
func (b *Box) List(now time.Time) (rows []Row, p Progress, err error) {
	if p, err = b.load(); err != nil {
		return nil, p, err
	}
	p.forget(now, 0)
	for _, folder := range []string{dirWaiting, dirRefused} {
		names, err := b.names(folder)
		if err != nil {
			return nil, p, err
		}
		for _, name := range names {
			item, err := b.read(folder, name)
			if err != nil {
				continue // it is gone, or the deliverer sets it aside
			}
			state := Waiting
			if folder == dirRefused {
				state = Refused
			} else if !item.Settled {
				state = Arrived
			}
			same := slices.IndexFunc(rows, func(r Row) bool {
				first := r.Topic[0]
				return item.Settled && r.State == state && first.Key == item.Key &&
					slices.Equal(first.To, item.To)
			})
			if same < 0 {
				rows = append(rows, Row{state, Topic{item}})
			} else {
				rows[same].Topic = append(rows[same].Topic, item)
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return older(a.Topic[0], b.Topic[0]) })
	return rows, p, nil
}

// PutBack lets refused items wait again; others are left alone.
func (b *Box) PutBack(row Row) error {
	for _, item := range row.Topic {
		if row.State != Refused {
			continue
		}
		err := b.root.Rename(path(dirRefused, item.ID), path(dirWaiting, item.ID))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("putting an item back: %w", err)
		}
	}
	return nil
}

// Drop removes items.
func (b *Box) Drop(row Row) (err error) {
	folder := dirWaiting
	if row.State == Refused {
		folder = dirRefused
	}
	for _, item := range row.Topic {
		err = errors.Join(err, b.remove(folder, item.ID))
	}
	return err
}
