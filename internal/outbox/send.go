package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// message is the next one to send. Of its items one with each key goes.
type message struct {
	to    []string
	items []*Item // oldest first
}

// gatherTime is how long a digest waits for items that are not settled.
const gatherTime = 6 * time.Second

// pick chooses the next message that may go now. There is none when it is nil; then due is
// when there may be one, or zero.
func (d *Deliverer) pick() (next *message, due time.Time) {
	now := d.now()
	q := d.queue
	q.forget(now, d.limits.Coalesce)
	messages, due := d.messages(now)
	if len(messages) > 0 && now.Before(q.Retry) {
		return nil, q.Retry
	}
	pace := pace{most: d.limits.PerHour, sent: q.Sent}
	for _, m := range messages {
		together, at := pace.next(now, len(m.items)+d.unsettled)
		if together > 1 && d.unsettled > 0 && now.Sub(m.items[0].First) < gatherTime {
			at = now.Add(unsettledPause) // more is about to be ready: let it go along
		}
		if at.After(now) {
			due = earliest(due, at)
			continue
		}
		m.items = m.items[:min(together, len(m.items))]
		return m, time.Time{}
	}
	return nil, due
}

// messages sorts what may go by who gets it, and returns when the next of what must wait may
// go.
func (d *Deliverer) messages(now time.Time) (messages []*message, due time.Time) {
	waiting := slices.DeleteFunc(
		slices.Clone(d.queue.items),
		func(i *Item) bool { return i.State() != Waiting },
	)
	slices.SortStableFunc(waiting, older)
	byKey := map[string]*message{}
	for _, item := range waiting {
		if at, ok := d.queue.Mailed[item.Key]; ok && !item.Rest && !item.Alone {
			due = earliest(due, at.Add(d.limits.Coalesce))
			continue
		}
		var to []string
		for _, r := range item.To {
			if retry := d.queue.Deferred[r].Retry; retry.After(now) {
				due = earliest(due, retry)
				continue
			}
			to = append(to, r)
		}
		if len(to) == 0 {
			continue
		}
		key := fmt.Sprint(item.Urgent, to)
		if item.Alone {
			key += "|" + item.ID
		}
		if byKey[key] == nil {
			byKey[key] = &message{to: to}
			messages = append(messages, byKey[key])
		}
		byKey[key].items = append(byKey[key].items, item)
	}
	slices.SortStableFunc(messages, func(a, b *message) int { // the urgent ones first
		switch {
		case a.items[0].Urgent == b.items[0].Urgent:
			return 0
		case a.items[0].Urgent:
			return -1
		}
		return 1
	})
	return messages, due
}

// send makes one attempt to send a message and notes what came of it.
func (d *Deliverer) send(ctx context.Context, m *message) error {
	if err := d.limits.Unset; err != nil {
		return d.failed(m, err)
	}
	counted := d.queue.Counted
	if m.items[0].Alone {
		counted = Counted{}
	}
	n, result, err := d.courier.Send(ctx, m.to, m.items, counted)
	m.items = m.items[:max(1, min(n, len(m.items)))] // the rest goes in the next
	switch {
	case err == nil:
		return d.sent(m, result)
	case permanent(err):
		result = map[string]error{}
		for _, to := range m.to {
			result[to] = err
		}
		return d.sent(m, result)
	}
	return d.failed(m, err)
}

// failed notes that the server as a whole failed. All that waits, waits on.
func (d *Deliverer) failed(m *message, err error) error {
	d.failure = err
	q := d.queue
	q.Failures++
	pause := backoff(q.Failures)
	q.Retry, q.Error = d.now().Add(pause), printable.Error(err)
	if d.limits.Unset != nil { // which Configure reported
		return d.box.save(q)
	}
	waiting := 0
	for _, i := range q.items {
		if i.State() == Waiting {
			waiting++
		}
	}
	d.courier.Failed(&Item{Program: m.items[0].Program},
		fmt.Errorf("sending %s: %w (%d waiting, next attempt in %s)", d.box.name, err, waiting, pause))
	return d.box.save(q)
}

// sent notes what came of a message. A process that is killed before that sends this one message
// again, no other.
func (d *Deliverer) sent(m *message, result map[string]error) error {
	q := d.queue
	d.failure, q.Failures, q.Retry, q.Error = nil, 0, time.Time{}, ""
	var accepted, deferred, refused []string
	var final, temporary error
	for _, to := range m.to {
		err := result[to]
		switch {
		case err == nil:
			accepted = append(accepted, to)
			delete(q.Deferred, to)
		case permanent(err):
			refused, final = append(refused, to), errors.Join(final, err)
		default:
			deferred, temporary = append(deferred, to), errors.Join(temporary, err)
			failures := q.Deferred[to].Failures + 1
			q.Deferred[to] = deferral{failures, d.now().Add(pause(failures, err))}
		}
	}
	if len(accepted)+len(refused) > 0 { // who refuses is not to be asked more often either
		q.Sent = append(q.Sent, sending{d.now(), len(m.items) > 1})
	}
	if len(accepted) > 0 && !m.items[0].Alone {
		q.Counted = Counted{}
	}
	for _, item := range m.items {
		if len(accepted) > 0 && !item.Rest && !item.Alone {
			q.Mailed[item.Key] = d.now()
		}
		if len(refused) > 0 {
			d.keepAside(*item, refused, final)
		}
		item.To = slices.DeleteFunc(slices.Clone(item.To), func(r string) bool {
			return slices.Contains(m.to, r) && !slices.Contains(deferred, r)
		})
		item.Rest = item.Rest || len(deferred) < len(m.to)
	}
	q.items = slices.DeleteFunc(q.items, func(i *Item) bool { return len(i.To) == 0 && i.Settled })
	err := d.box.save(q)
	if len(accepted) > 0 {
		d.courier.Sent(m.items)
	}
	for _, err := range []error{final, temporary} {
		if err != nil {
			d.failure = errors.Join(d.failure, err)
			d.courier.Failed(m.items[0], fmt.Errorf("sending %s: %w", d.box.name, err))
		}
	}
	return err
}

// keepAside keeps an item for those who refused it, so that a person can look at it.
func (d *Deliverer) keepAside(item Item, refused []string, why error) {
	kept := 0
	for _, i := range d.queue.items {
		if i.State() == Refused {
			kept++
		}
	}
	if kept >= d.box.maxRefused {
		d.courier.Failed(&item, fmt.Errorf("%d refused items are kept: one more is dropped", kept))
		return
	}
	item.Rest, item.Error, item.Failed, item.To = true, printable.Error(why), d.now().UTC(), refused
	item.setID() // it may be put back beside what is left of it
	d.queue.items = append(d.queue.items, &item)
}
