package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Limits are the settings of the deliverer.
type Limits struct {
	PerHour  int           // messages that are sent in an hour, at most
	Coalesce time.Duration // at most one message about one key in this time
	Unset    error         // why nothing can be sent at all, or nil
}

// Topic is the items of one message with the same key, oldest first.
type Topic []Item

// Courier knows what the items are about and how messages are sent. Its methods are called
// one after the other.
type Courier interface {
	// Configure reads the settings anew: a process that waits must not go by old ones.
	Configure() (Limits, error)
	// Settle completes an item that was added: Key, To, Body. It returns false when facts may
	// still be coming, and is asked again.
	Settle(ctx context.Context, item *Item) bool
	// Compose makes one message of topics. counted is how many items are only counted. With
	// a message, the error is of something beside it. ErrTooLong asks for fewer topics.
	Compose(ctx context.Context, to []string, topics []Topic, counted int) ([]byte, error)
	// Send returns an error when the server as a whole failed and another attempt makes
	// sense; without one, what came of it for each recipient: nil, it is accepted; an error
	// that is Permanent, refused for good; another one, deferred.
	Send(ctx context.Context, to []string, message []byte) (map[string]error, error)

	// Sent logs that a message of these topics was sent.
	Sent(topics []Topic)
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
	items     map[string]Item // the settled ones by ID, as they are on disk
	progress  Progress
	logged    map[string]bool // faults that have been logged
	seen      map[string]bool // IDs that the last step saw
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
	d.items, d.logged = map[string]Item{}, map[string]bool{}
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
	next, err := d.look(ctx)
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

// look brings items up to what is on disk, where a person may have dropped some or put some
// back, and settles the new ones. It returns when to look again at those that are not
// settled, the zero time when there are none.
func (d *Deliverer) look(ctx context.Context) (again time.Time, err error) {
	names, err := d.box.names(dirWaiting)
	if err != nil {
		return again, err
	}
	before := d.items
	d.items, d.seen, d.unsettled = map[string]Item{}, map[string]bool{}, 0
	for _, name := range names {
		d.seen[name] = true
		item, known := before[name]
		if !known {
			item, err = d.box.read(dirWaiting, name)
		}
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue // somebody dropped it
		case errors.Is(err, errDamaged):
			d.fault(err)
			err = d.box.setAside(name)
		case err != nil:
		case item.Settled:
			d.items[name] = item
		case !d.courier.Settle(ctx, &item):
			d.unsettled++
			again = earliest(again, d.now().Add(unsettledPause))
		case len(item.To) > 0:
			item.Settled = true
			if item.Alone {
				item.Key = name
			}
			if err = d.box.rewrite(&item); err == nil {
				d.items[name] = item
			}
		case d.limits.Unset != nil: // the settings are broken just now: that is no reason to drop it
			again = earliest(again, d.now().Add(backoff(1)))
		default:
			d.courier.Skipped(item)
			err = d.box.remove(dirWaiting, name)
		}
		if err != nil {
			return again, err
		}
	}
	return again, nil
}
