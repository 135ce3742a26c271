package outbox

import (
	"context"
	"encoding/json"
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

// Courier knows what the items are about and how messages are sent. Its methods are called
// one after the other.
type Courier interface {
	// Configure reads the settings anew: a process that waits must not go by old ones.
	Configure() (Limits, error)
	// Settle completes items that were added: Settled, Key, Urgent, To, Body. It leaves those alone of
	// which facts may still be coming, and is asked again.
	Settle(ctx context.Context, items []*Item)
	// Merge returns the body of an item that is made of two; Shorten a shorter one.
	Merge(body, later json.RawMessage) json.RawMessage
	Shorten(body json.RawMessage) json.RawMessage
	// Send sends a message of the first of the items, as many as it has room for, within a time of its
	// own, and returns their number. counted is what had no room in the queue. An error says that the
	// server as a whole failed and another attempt makes sense, unless it is Permanent: then the message
	// cannot be made. Without one, the map has what came of it for each recipient: nil, it is
	// accepted; an error that is Permanent, refused for good; another one, deferred, for as long as
	// its RetryAfter says where it has that.
	Send(ctx context.Context, to []string, items []*Item, counted Counted) (int, map[string]error, error)

	// Sent logs that a message of these items was sent.
	Sent(items []*Item)
	// Skipped logs that nobody is to get an item.
	Skipped(item *Item)
	// Failed logs an error about an item.
	Failed(item *Item, err error)
	// Warn logs what is wrong and keeps nothing from being sent.
	Warn(err error)
}

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
	queue     *queue
	unsettled int
	failure   error
}

// NewDeliverer returns a deliverer of the items in a box.
func NewDeliverer(box *Box, courier Courier, now func() time.Time) *Deliverer {
	return &Deliverer{box: box, courier: courier, now: now}
}

// Failure returns why the last attempt to send failed, nil when it did not.
func (d *Deliverer) Failure() error { return d.failure }

// Run works through the queue as long as something falls due within linger, gives up the
// lock, and looks once more, for whoever added an item or asked for another attempt
// meanwhile saw the lock and started nothing. When ctx ends it begins no further message, and what
// is left waits for the next deliverer.
func (d *Deliverer) Run(ctx context.Context, lock *os.File, linger time.Duration) error {
	for {
		d.begin()
		err := d.run(ctx, linger)
		_ = lock.Close() // it is only a lock
		if err != nil || ctx.Err() != nil || !d.arrived() {
			return err
		}
		if lock, err = d.box.Lock(0); errors.Is(err, ErrBusy) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// begin reads the queue.
func (d *Deliverer) begin() {
	var err error
	d.queue, err = d.box.load()
	d.fault(err)
}

func (d *Deliverer) run(ctx context.Context, linger time.Duration) error {
	for {
		next, err := d.step(ctx)
		if err != nil || next.IsZero() || next.Sub(d.now()) > linger {
			return err
		}
		d.wait(ctx, next)
		if ctx.Err() != nil || d.box.gone() {
			return nil
		}
	}
}

// wakePause is how often a waiting deliverer looks for what has arrived.
const wakePause = 200 * time.Millisecond

// wait waits until then, or until something has arrived or the queue was deleted.
func (d *Deliverer) wait(ctx context.Context, until time.Time) {
	for {
		rest := until.Sub(d.now())
		if rest <= 0 || d.arrived() || d.box.gone() {
			return
		}
		timer := time.NewTimer(min(rest, wakePause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// arrived reports whether something has arrived that is not in the queue, or a person wants another
// attempt.
func (d *Deliverer) arrived() bool {
	return slices.ContainsFunc([]string{arrivalsFile, retryFile}, func(name string) bool {
		_, err := d.box.root.Lstat(name)
		return err == nil
	})
}

// fault passes an error on that ends nothing, line by line.
func (d *Deliverer) fault(err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		d.courier.Warn(errors.New(line))
	}
}

// step does all that is due and returns when the next thing falls due, the zero time when
// nothing is left.
func (d *Deliverer) step(ctx context.Context) (time.Time, error) {
	var err error
	d.limits, err = d.courier.Configure()
	d.fault(err)
	if err := d.take(); err != nil {
		return time.Time{}, err
	}
	next, err := d.settle(ctx)
	for err == nil && ctx.Err() == nil {
		message, due := d.pick()
		if message == nil {
			return earliest(next, due), nil
		}
		err = d.send(context.WithoutCancel(ctx), message)
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

// settle has the courier settle what has arrived, and removes what is for nobody. It returns when
// to look again at what is not settled, the zero time when that is nothing.
func (d *Deliverer) settle(ctx context.Context) (again time.Time, err error) {
	q := d.queue
	arrived := slices.DeleteFunc(slices.Clone(q.items), func(i *Item) bool { return i.State() != Arrived })
	if d.unsettled = len(arrived); d.unsettled == 0 {
		return again, nil
	}
	d.courier.Settle(ctx, arrived)
	nobody := map[*Item]bool{}
	for _, item := range arrived {
		switch {
		case !item.Settled:
			again = earliest(again, d.now().Add(unsettledPause))
			continue
		case len(item.To) > 0:
		case d.limits.Unset != nil: // that is no reason to drop it: another run may find them set
			item.Settled = false
			continue
		default:
			d.courier.Skipped(item)
			nobody[item] = true
		}
		d.unsettled--
	}
	if d.unsettled == len(arrived) {
		return again, nil
	}
	q.items = slices.DeleteFunc(q.items, func(i *Item) bool { return nobody[i] })
	d.settleDown()
	if err := d.box.save(q); err != nil {
		return again, fmt.Errorf("settling what has arrived: %w", err)
	}
	return again, nil
}
