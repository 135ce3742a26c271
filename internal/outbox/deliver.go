package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Limits are the settings of the deliverer.
type Limits struct {
	PerHour  int           // messages that are sent in an hour, at most
	Coalesce time.Duration // at most one message about one key in this time
	Unset    error         // why nothing can be sent at all, or nil
}

// Courier knows what the items are about and how messages are sent. Its methods are called one
// after the other.
type Courier interface {
	// Configure reads the settings anew: a process that waits must not go by old ones.
	Configure() (Limits, error)
	// Settle completes an item that was added: Key, To, Body. It returns false when facts may
	// still be coming, and is asked again.
	Settle(ctx context.Context, item *Item) bool
	// Merge adds the body of a later item with the same key.
	Merge(into *Item, more Item)
	// Compose makes one message of items. counted is how many others are only counted. With
	// a message, the error is of something beside it. ErrTooLong asks for fewer items.
	Compose(ctx context.Context, to []string, items []Item, counted int) ([]byte, error)
	// Send returns an error when the server as a whole failed and another attempt makes
	// sense; without one, what came of it for each recipient: nil, it is accepted; an error that is
	// Permanent, refused for good; another one, deferred.
	Send(ctx context.Context, to []string, message []byte) (map[string]error, error)

	// Sent logs that a message of these items was sent.
	Sent(items []Item)
	// Skipped logs that nobody is to get an item.
	Skipped(item Item)
	// Failed logs an error about an item, or about none.
	Failed(item *Item, err error)
}

// ErrTooLong says that a message of so many items gets too long.
var ErrTooLong = errors.New("the message is too long")

// permanent reports whether trying again is of no use.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// Deliverer works through the queue. There is one at a time: it holds the lock.
type Deliverer struct {
	box     *Box
	now     func() time.Time
	courier Courier

	limits    Limits
	ready     map[string]Item // by ID, as they stand in dirReady
	progress  Progress
	logged    map[string]bool // faults that have been logged
	seen      map[string]bool // new items that the last step saw
	unsettled int             // how many of them are not settled
	failure   error
}

// NewDeliverer returns a deliverer of the items in a box.
func NewDeliverer(box *Box, courier Courier, now func() time.Time) *Deliverer {
	return &Deliverer{box: box, courier: courier, now: now}
}

// Failure returns why the last attempt to send failed, nil when it did not.
func (d *Deliverer) Failure() error { return d.failure }

// begin reads what the queue holds.
func (d *Deliverer) begin() {
	d.ready, d.logged = map[string]Item{}, map[string]bool{}
	d.box.sweep(d.now())
	var err error
	d.progress, err = d.box.load()
	d.fault(err)
}

// fault logs an error that ends nothing, once in this run.
func (d *Deliverer) fault(err error) {
	if err == nil || d.logged[err.Error()] {
		return
	}
	d.logged[err.Error()] = true
	for line := range strings.SplitSeq(err.Error(), "\n") {
		d.courier.Failed(nil, errors.New(line))
	}
}

// step does all that is due and returns when the next thing falls due, the zero time when
// nothing is left.
func (d *Deliverer) step(ctx context.Context) (time.Time, error) {
	var err error
	d.limits, err = d.courier.Configure()
	d.fault(err)
	switch err := d.box.takeRetry(); {
	case err == nil:
		d.progress.Retry, d.progress.Deferred = time.Time{}, map[string]deferral{}
	case !errors.Is(err, os.ErrNotExist): // it would be asked for again and again
		return time.Time{}, fmt.Errorf("removing the request for another attempt: %w", err)
	}
	if err := d.takeCounted(); err != nil {
		return time.Time{}, err
	}
	if err := d.refresh(); err != nil {
		return time.Time{}, err
	}
	next, err := d.fold(ctx)
	if err == nil {
		err = d.trim()
	}
	for err == nil {
		message, due := d.pick()
		if message == nil {
			return earliest(next, due), nil
		}
		if err = d.send(ctx, message); err == nil {
			err = ctx.Err()
		}
	}
	return time.Time{}, err
}

// earliest returns the earlier of two times, of which a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// unsettledPause is how soon to look again at items whose facts may still be coming.
const unsettledPause = 50 * time.Millisecond

// fold settles the new items and puts them among those that are ready. It returns when to
// look again at the others, the zero time when there are none.
func (d *Deliverer) fold(ctx context.Context) (again time.Time, err error) {
	names, err := d.box.names(dirNew)
	d.seen, d.unsettled = map[string]bool{}, 0
	for _, name := range names {
		d.seen[name] = true
	}
	changed := map[string][]string{} // names of the new items, by the ID of what they went into
	for _, name := range names {
		item, err := d.box.read(dirNew, name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue // somebody dropped it
		case errors.Is(err, errDamaged):
			d.fault(err)
			err = d.box.setAside(dirNew, name)
		case err != nil:
		case !d.courier.Settle(ctx, &item):
			d.unsettled++
			again = earliest(again, d.now().Add(unsettledPause))
		case len(item.To) > 0:
			id := d.admit(item, name)
			changed[id] = append(changed[id], name)
		case d.limits.Unset != nil: // the settings are broken just now: that is no reason to drop it
			again = earliest(again, d.now().Add(backoff(1)))
		default:
			d.courier.Skipped(item)
			err = d.box.remove(dirNew, name)
		}
		if err != nil {
			return again, err
		}
	}
	return again, errors.Join(err, d.store(changed))
}

// admit puts a new item among those that are ready, or into the one with its key, and
// returns the ID.
func (d *Deliverer) admit(item Item, name string) string {
	item.Count, item.Last = 1, item.First
	if item.Alone {
		item.Key = name
	}
	item.ID = idOf(item.Key)
	have, waiting := d.ready[item.ID]
	have.Folded = slices.DeleteFunc(have.Folded, func(folded string) bool { return !d.seen[folded] })
	if slices.Contains(have.Folded, name) { // the process was killed within store
		return item.ID
	}
	if waiting {
		have.Count++
		have.Last = item.Last
		have.To = append(have.To, item.To...)
		slices.Sort(have.To)
		have.To = slices.Compact(have.To)
		d.courier.Merge(&have, item)
	} else {
		have = item
	}
	have.Folded = append(have.Folded, name)
	d.ready[item.ID] = have
	return item.ID
}

// store writes the changed items and then removes the new ones that they were made of.
func (d *Deliverer) store(changed map[string][]string) error {
	for id, names := range changed {
		item := d.ready[id]
		if err := d.box.write(dirReady, id, &item); err != nil {
			return fmt.Errorf("writing to the %s queue: %w", d.box.name, err)
		}
		d.ready[id] = item // it has its size now
		for _, name := range names {
			if err := d.box.remove(dirNew, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// refresh brings ready up to what the folder holds: a person may have dropped an item, or
// put a refused one back.
func (d *Deliverer) refresh() error {
	names, err := d.box.names(dirReady)
	if err != nil {
		return err
	}
	there := map[string]Item{}
	for _, name := range names {
		item, known := d.ready[name]
		if !known {
			item, err = d.box.read(dirReady, name)
		}
		switch {
		case errors.Is(err, errDamaged):
			d.fault(err)
			if err := d.box.setAside(dirReady, name); err != nil {
				return err
			}
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		case err == nil:
			item.Error = "" // it may have been put back
			there[name] = item
		}
		err = nil
	}
	d.ready = there
	return nil
}
