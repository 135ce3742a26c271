package outbox

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Progress is what the deliverer has to remember beside the items.
type Progress struct {
	Sent []sending `json:"sent,omitempty"` // in the last hour, oldest first
	// Mailed is when an item of each key was last sent, for as long as that counts.
	Mailed map[string]time.Time `json:"mailed,omitempty"`
	// Failures counts the attempts in a row in which the server as a whole failed; Retry is
	// when to try again.
	Failures int       `json:"failures,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`
	Error    string    `json:"error,omitempty"`
	// Deferred is the same for single recipients.
	Deferred map[string]deferral `json:"deferred,omitempty"`
	Counted  Counted             `json:"counted,omitzero"`
	Taken    string              `json:"taken,omitempty"` // which file of arrivals is in it
}

// sending is one message that was sent.
type sending struct {
	At     time.Time `json:"at"`
	Digest bool      `json:"digest,omitempty"`
}

type deferral struct {
	Failures int       `json:"failures"`
	Retry    time.Time `json:"retry"`
}

// Counted is what had no room and no message has mentioned yet.
type Counted struct {
	Total int `json:"total,omitempty"`
	// Top counts what it was about. Of many it has those that came most often, and counts them
	// too high rather than too low.
	Top map[string]int `json:"top,omitempty"`
}

// maxTop bounds Counted.Top.
const maxTop = 200

// add counts items about something. Where another name has no room it takes over the least count
// (Metwally et al., "Efficient Computation of Frequent and Top-k Elements": Space-Saving).
func (c *Counted) add(about string, n int) {
	c.Total += n
	if c.Top == nil {
		c.Top = map[string]int{}
	}
	if _, known := c.Top[about]; !known && len(c.Top) >= maxTop {
		least := about
		for name, count := range c.Top {
			if least == about || count < c.Top[least] {
				least = name
			}
		}
		n += c.Top[least]
		delete(c.Top, least)
	}
	c.Top[about] += n
}

// queue is what is in the queue's file: the progress on its first line, then an item on each.
type queue struct {
	Progress
	items []*Item
}

// load reads the queue's file. What is damaged in it is an error, and the rest is good; a file
// that is missing is an empty queue.
func (b *Box) load() (*queue, error) {
	q := &queue{}
	first := true
	err := b.readLines(queueFile, func(line []byte) error {
		if first {
			first = false
			return json.Unmarshal(line, &q.Progress)
		}
		item := &Item{}
		if err := json.Unmarshal(line, item); err != nil {
			return err
		}
		q.items = append(q.items, item)
		return nil
	})
	if q.Mailed == nil {
		q.Mailed = map[string]time.Time{}
	}
	if q.Deferred == nil {
		q.Deferred = map[string]deferral{}
	}
	return q, err
}

// save writes the queue's file anew. Where no second one fits, as on a full disk, it goes over the
// old one: if that stayed, who got a message would get it at each attempt.
func (b *Box) save(q *queue) error {
	const temp = queueFile + ".tmp"
	err := b.fill(temp, q)
	if err == nil {
		err = b.root.Rename(temp, queueFile)
	}
	if err == nil {
		err = state.SyncRoot(b.root)
	} else {
		_ = b.root.Remove(temp) // it may not be there
		if b.fill(queueFile, q) == nil {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("writing to the %s queue: %w", b.name, err)
	}
	return nil
}

// fill writes the queue over what a file holds, cuts that off behind it, and syncs it.
func (b *Box) fill(name string, q *queue) error {
	file, err := state.OpenOwn(b.root, name, os.O_WRONLY|os.O_CREATE)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	lines := json.NewEncoder(w)
	err = lines.Encode(q.Progress)
	for _, item := range q.items {
		if err == nil {
			err = lines.Encode(item)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		var size int64
		if size, err = file.Seek(0, io.SeekCurrent); err == nil {
			err = errors.Join(file.Truncate(size), file.Sync())
		}
	}
	return errors.Join(err, file.Close())
}

// List returns all that is in the queue, oldest first, and what the deliverer remembers. The
// error is of what is damaged; the rest is good.
func (b *Box) List(now time.Time) ([]*Item, Progress, error) {
	q, err := b.load()
	err = errors.Join(err, b.absorb(takenFile, q, nil), b.absorb(arrivalsFile, q, nil))
	q.forget(now, 24*time.Hour)
	slices.SortStableFunc(q.items, older)
	return q.items, q.Progress, err
}

// absorb brings what has arrived in a file into the queue, unless it is there. each, unless nil,
// is called now and then, to keep the queue small.
func (b *Box) absorb(name string, q *queue, each func()) error {
	info, err := b.root.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the %s queue: %w", b.name, err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	taken := fmt.Sprint(stat.Ino, stat.Mtim.Nano())
	if q.Taken == taken {
		return nil
	}
	q.Taken = taken
	lines := 0
	return b.readLines(name, func(line []byte) error {
		if lines++; each != nil && lines%1000 == 0 {
			each()
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		q.apply(e)
		return nil
	})
}

// apply does what a line of arrivals asks for.
func (q *queue) apply(e entry) {
	if e.Item != nil {
		q.items = append(q.items, e.Item)
	}
	if e.Only != "" {
		q.Counted.add(e.Only, 1)
	}
	if e.Again == nil && e.Drop == nil {
		return
	}
	q.items = slices.DeleteFunc(q.items, func(i *Item) bool {
		if slices.Contains(e.Again, i.ID) {
			i.Failed, i.Error = time.Time{}, ""
		}
		return slices.Contains(e.Drop, i.ID)
	})
}

// take brings all that has arrived into the queue.
func (d *Deliverer) take() error {
	b := d.box
	switch err := b.root.Remove(retryFile); {
	case err == nil:
		d.queue.Retry, d.queue.Deferred = time.Time{}, map[string]deferral{}
	case !errors.Is(err, os.ErrNotExist): // it would be asked for again and again
		return fmt.Errorf("removing the request for another attempt: %w", err)
	}
	counted, mark := d.queue.Counted.Total, d.queue.Taken
	for range 2 { // the first may be what a killed process had taken
		d.fault(b.absorb(takenFile, d.queue, d.settleDown))
		d.settleDown()
		if d.queue.Taken != mark {
			if err := b.save(d.queue); err != nil {
				return err
			}
		}
		if err := b.root.Remove(takenFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("writing to the %s queue: %w", b.name, err)
		}
		file, err := b.lockArrivals(0)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err == nil {
			err = errors.Join(b.root.Rename(arrivalsFile, takenFile), file.Close())
		}
		if err != nil {
			return fmt.Errorf("reading the %s queue: %w", b.name, err)
		}
	}
	if n := d.queue.Counted.Total; n > counted {
		d.fault(fmt.Errorf("the %s queue is full: the next message says what is only counted", b.name))
	}
	return nil
}

// settleDown makes one item of those that are about the same, and keeps the queue within its
// bounds.
func (d *Deliverer) settleDown() {
	d.queue.merge(d.courier)
	d.queue.bound(d.box, d.courier)
}

// merge makes one item of those that are about the same and for the same people.
func (q *queue) merge(courier Courier) {
	first := map[string]*Item{}
	q.items = slices.DeleteFunc(q.items, func(i *Item) bool {
		if i.Alone || i.Rest || i.State() == Refused {
			return false
		}
		key := fmt.Sprint(i.Settled, i.Urgent, i.Key, i.To)
		into := first[key]
		if into == nil {
			first[key] = i
			return false
		}
		into.Body = courier.Merge(into.Body, i.Body)
		into.Count += i.Count
		into.Last = i.Last
		return true
	})
}

// bound lets go of what has no room: long texts first, then items, those that came least often
// first, of equals the oldest.
func (q *queue) bound(b *Box, courier Courier) {
	var least []*Item
	size := 0
	for _, i := range q.items {
		size += len(i.Body)
		if i.State() != Refused {
			least = append(least, i)
		}
	}
	rank := func(i *Item) int {
		if i.Alone {
			return math.MaxInt
		}
		return i.Count
	}
	slices.SortStableFunc(least, func(a, b *Item) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), older(a, b))
	})
	for _, i := range q.items {
		if size > b.maxBytes && !i.Alone {
			size -= len(i.Body)
			i.Body = courier.Shorten(i.Body)
			size += len(i.Body)
		}
	}
	gone := map[*Item]bool{}
	for n := len(least); n > 1 && (n > b.maxItems || size > b.maxBytes); n-- {
		i := least[len(least)-n]
		size -= len(i.Body)
		q.Counted.add(i.About, i.Count)
		gone[i] = true
	}
	q.items = slices.DeleteFunc(q.items, func(i *Item) bool { return gone[i] })
}

// Why returns why one of so many waiting items waits, and until when; "" when it is due.
func (p *Progress) Why(item *Item, waiting int, limits Limits, now time.Time) (why string, until time.Time) {
	pace := pace{most: limits.PerHour, sent: slices.Clone(p.Sent)}
	_, at := pace.next(now, max(1, waiting))
	var deferred time.Time
	for _, to := range item.To {
		deferred = earliest(deferred, p.Deferred[to].Retry)
	}
	mailed, known := p.Mailed[item.Key]
	switch {
	case item.State() != Waiting:
	case p.Retry.After(now):
		return "the last attempt failed", p.Retry
	case known && !item.Rest && !item.Alone && mailed.Add(limits.Coalesce).After(now):
		return "one about it went just now", mailed.Add(limits.Coalesce)
	case deferred.After(now):
		return "the server deferred it", deferred
	case at.After(now):
		return fmt.Sprintf("%d went in the last hour, %d may", len(pace.sent), limits.PerHour), at
	}
	return "", time.Time{}
}

// forget drops what no longer counts, and what a clock that was set back left in the future.
func (p *Progress) forget(now time.Time, coalesce time.Duration) {
	pace := pace{sent: p.Sent}
	pace.forget(now)
	p.Sent = pace.sent
	if p.Retry.Sub(now) > maxBackoff {
		p.Retry = time.Time{}
	}
	maps.DeleteFunc(p.Mailed, func(_ string, at time.Time) bool {
		return now.Sub(at) >= coalesce || at.After(now)
	})
	maps.DeleteFunc(p.Deferred, func(_ string, d deferral) bool {
		return now.Sub(d.Retry) > 24*time.Hour || d.Retry.Sub(now) > maxBackoff
	})
}
