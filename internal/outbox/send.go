package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// message is the next one to send.
type message struct {
	to     []string
	topics []Topic        // that with the oldest item first
	index  map[string]int // of topics, by key
}

// add puts an item into its topic.
func (m *message) add(item Item) {
	i, ok := m.index[item.Key]
	if !ok {
		i = len(m.topics)
		m.index[item.Key], m.topics = i, append(m.topics, nil)
	}
	m.topics[i] = append(m.topics[i], item)
}

// maxDigest bounds how many topics one message holds. What is over goes into the next.
const maxDigest = 2000

// gatherTime is how long a digest waits for items that are not settled.
const gatherTime = 6 * time.Second

// pick chooses the next message that may go now. There is none when it is nil; then due is
// when there may be one, or zero.
func (d *Deliverer) pick() (next *message, due time.Time) {
	now := d.now()
	d.progress.forget(now, d.limits.Coalesce)
	if len(d.items) == 0 || now.Before(d.progress.Retry) {
		return nil, d.progress.Retry
	}
	messages, due := d.messages(now)
	pace := pace{most: d.limits.PerHour, sent: d.progress.Sent}
	for _, m := range messages {
		together, at := pace.next(now, len(m.topics)+d.unsettled)
		if together > 1 && d.unsettled > 0 && now.Sub(m.topics[0][0].First) < gatherTime {
			at = now.Add(unsettledPause) // more is about to be ready: let it go along
		}
		if at.After(now) {
			due = earliest(due, at)
			continue
		}
		m.topics = m.topics[:min(together, len(m.topics), maxDigest)]
		return m, time.Time{}
	}
	return nil, due
}

// messages sorts what may go by who gets it, and returns when the next of what must wait may
// go.
func (d *Deliverer) messages(now time.Time) ([]*message, time.Time) {
	var due time.Time
	var messages []*message // that with the oldest item first
	byKey := map[string]*message{}
	for _, item := range slices.SortedFunc(maps.Values(d.items), older) {
		if at, ok := d.progress.Mailed[item.Key]; ok && !item.Rest {
			due = earliest(due, at.Add(d.limits.Coalesce))
			continue
		}
		var to []string
		for _, r := range item.To {
			if retry := d.progress.Deferred[r].Retry; retry.After(now) {
				due = earliest(due, retry)
				continue
			}
			to = append(to, r)
		}
		if len(to) == 0 {
			continue
		}
		key := strings.Join(to, ",")
		if item.Alone {
			key += "|" + item.ID
		}
		if byKey[key] == nil {
			byKey[key] = &message{to: to, index: map[string]int{}}
			messages = append(messages, byKey[key])
		}
		byKey[key].add(item)
	}
	return messages, due
}

// older orders items by when they were added.
func older(a, b Item) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.ID, b.ID)) }

// send makes one attempt to send a message and notes what came of it.
func (d *Deliverer) send(ctx context.Context, m *message) error {
	if err := d.limits.Unset; err != nil {
		return d.failed(m, err)
	}
	raw, err := d.compose(ctx, m)
	for raw == nil && len(m.topics) > 1 && errors.Is(err, ErrTooLong) {
		m.topics = m.topics[:len(m.topics)/2] // the rest goes in the next
		raw, err = d.compose(ctx, m)
	}
	if raw == nil {
		return d.sent(m, nil, err)
	}
	d.fault(err)
	result, err := d.courier.Send(ctx, m.to, raw)
	if err != nil {
		return d.failed(m, err)
	}
	return d.sent(m, result, nil)
}

// compose returns nil when the message cannot be made: it must not hold up all others.
func (d *Deliverer) compose(ctx context.Context, m *message) (raw []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			raw, err = nil, fmt.Errorf("composing: %v", p)
		}
	}()
	counted := d.progress.Counted
	if m.topics[0][0].Alone {
		counted = 0
	}
	return d.courier.Compose(ctx, m.to, m.topics, counted)
}

// failed notes that the server as a whole failed. All that waits, waits on.
func (d *Deliverer) failed(m *message, err error) error {
	d.failure = err
	d.progress.Failures++
	pause := backoff(d.progress.Failures)
	d.progress.Retry, d.progress.Error = d.now().Add(pause), printable.Error(err)
	d.courier.Failed(&Item{Program: m.topics[0][0].Program},
		fmt.Errorf("sending %s: %w (%d waiting, next attempt in %s)", d.box.name, err, len(d.items), pause))
	return d.box.save(d.progress)
}

// outcome is what came of a message for its recipients.
type outcome struct {
	accepted, deferred, refused []string
	final, temporary            error
}

// outcome sorts the recipients by the server's answers, or refuses all for one reason.
func (d *Deliverer) outcome(m *message, result map[string]error, refused error) (o outcome) {
	for _, to := range m.to {
		err := result[to]
		switch {
		case refused != nil:
			o.refused, o.final = append(o.refused, to), refused
		case err == nil:
			o.accepted = append(o.accepted, to)
			delete(d.progress.Deferred, to)
		case permanent(err):
			o.refused, o.final = append(o.refused, to), errors.Join(o.final, err)
		default:
			o.deferred, o.temporary = append(o.deferred, to), errors.Join(o.temporary, err)
			failures := d.progress.Deferred[to].Failures + 1
			d.progress.Deferred[to] = deferral{failures, d.now().Add(backoff(failures))}
		}
	}
	return o
}

// sent notes the outcome. First that a message went, then that its items are done with: a
// process that is killed in between sends this one message again, no other.
func (d *Deliverer) sent(m *message, result map[string]error, refused error) error {
	d.failure = nil
	d.progress.Failures, d.progress.Retry, d.progress.Error = 0, time.Time{}, ""
	o := d.outcome(m, result, refused)
	items := slices.Concat(m.topics...)
	if len(o.accepted) > 0 {
		d.progress.Sent = append(d.progress.Sent, sending{d.now(), len(m.topics) > 1})
		for _, item := range items {
			if !item.Rest {
				d.progress.Mailed[item.Key] = d.now()
			}
		}
		if !items[0].Alone {
			d.progress.Counted = 0
		}
	}
	// On a full disk what went is done with all the same, or it would go again and again.
	unsaved := d.box.save(d.progress)
	if len(o.accepted) > 0 {
		d.courier.Sent(m.topics)
	}
	var unfinished error
	for _, item := range items {
		if err := d.finish(item, m.to, o); err != nil {
			unfinished = err // one of many is enough
		}
	}
	if unsaved != nil { // what was done with left room
		if err := d.box.save(d.progress); err != nil {
			d.failure = err
			d.fault(err)
		}
	}
	for _, err := range []error{o.final, o.temporary} {
		if err != nil {
			d.failure = errors.Join(d.failure, err)
			d.courier.Failed(&items[0], fmt.Errorf("sending %s: %w", d.box.name, err))
		}
	}
	return unfinished
}

// finish takes an item out of the queue, or leaves it there for those recipients that did
// not get it yet. What was refused is kept aside; what cannot be kept aside stays where it
// is, to be refused again.
func (d *Deliverer) finish(item Item, tried []string, o outcome) error {
	unkept := d.keepAside(item, o)
	stay := o.deferred
	if unkept != nil {
		stay = slices.Concat(o.deferred, o.refused)
	}
	item.To = slices.DeleteFunc(slices.Clone(item.To), func(r string) bool {
		return slices.Contains(tried, r) && !slices.Contains(stay, r)
	})
	if len(item.To) == 0 {
		delete(d.items, item.ID)
		return errors.Join(unkept, d.box.remove(dirWaiting, item.ID))
	}
	item.Rest = item.Rest || len(stay) < len(tried)
	d.items[item.ID] = item
	return errors.Join(unkept, d.box.rewrite(&item))
}

// keepAside keeps an item for those who refused it, so that a person can look at it.
func (d *Deliverer) keepAside(item Item, o outcome) error {
	if len(o.refused) == 0 {
		return nil
	}
	names, err := d.box.names(dirRefused)
	if err == nil && len(names) >= d.box.maxRefused {
		d.courier.Failed(&item, fmt.Errorf("%d refused items are kept: one more is dropped",
			d.box.maxRefused))
		return nil
	}
	item.Rest, item.Error, item.Failed, item.To = true, printable.Error(o.final), d.now().UTC(), o.refused
	item.setID() // it may be put back beside what is left of it
	if err == nil {
		err = d.box.write(dirRefused, item.ID, &item)
	}
	if err != nil {
		return fmt.Errorf("keeping refused %s: %w", d.box.name, err)
	}
	return nil
}
