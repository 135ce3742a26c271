package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// outgoing is one mail to be sent now.
type outgoing struct {
	to      []string
	notices []notice
}

// maxDigest bounds how many addresses one mail names, so that servers take it: some 200
// bytes of each are in it. What is over goes into the next.
const maxDigest = 2000

// gatherTime is how long a mail of several addresses waits for those that are not ready.
const gatherTime = 3 * settleTime

// group is the notices that go to the same people.
type group struct {
	to      []string
	notices []notice // oldest first
}

// pick chooses the next mail that may go now. There is none when mail is nil; then due is
// when there may be one, or zero.
func (d *deliverer) pick() (mail *outgoing, due time.Time, err error) {
	now := d.now()
	d.forget(now)
	if len(d.ready) == 0 {
		return nil, time.Time{}, nil
	}
	if now.Before(d.progress.Retry) {
		return nil, d.progress.Retry, nil
	}
	groups, due := d.groups(now)
	pace := pace{most: d.settings.MaxPerHour, sent: d.progress.Sent}
	for _, g := range groups {
		together, at := pace.next(now, len(g.notices)+d.unsettled)
		if together > 1 && d.unsettled > 0 && now.Sub(g.notices[0].First) < gatherTime {
			at = now.Add(unsettledPause) // more is about to be ready: let it go along
		}
		if at.After(now) {
			due = earliest(due, at)
			continue
		}
		chosen := g.notices[:min(together, len(g.notices), maxDigest)]
		return &outgoing{g.to, chosen}, time.Time{}, nil
	}
	return nil, due, nil
}

// forget drops what no longer counts.
func (d *deliverer) forget(now time.Time) {
	p := pace{sent: d.progress.Sent}
	p.forget(now)
	d.progress.Sent = p.sent
	// A pause that is longer than any is the clock's, which was set back.
	if d.progress.Retry.Sub(now) > maxBackoff {
		d.progress.Retry = time.Time{}
	}
	maps.DeleteFunc(d.progress.Mailed, func(_ string, at time.Time) bool {
		return now.Sub(at) >= d.settings.Coalesce.Duration || at.After(now)
	})
	maps.DeleteFunc(d.progress.Refused, func(_ string, r refusal) bool {
		return now.Sub(r.Retry) > 24*time.Hour || r.Retry.Sub(now) > maxBackoff
	})
}

// groups sorts what may go by who gets it, the group that has waited longest first, and
// returns when the next of what must wait may go.
func (d *deliverer) groups(now time.Time) ([]*group, time.Time) {
	var due time.Time
	byKey := map[string]*group{}
	for _, n := range d.ready {
		if at, ok := d.progress.Mailed[n.key()]; ok {
			if free := at.Add(d.settings.Coalesce.Duration); free.After(now) {
				due = earliest(due, free)
				continue
			}
		}
		var to []string
		for _, r := range n.Recipients {
			if refusal := d.progress.Refused[r]; refusal.Retry.After(now) {
				due = earliest(due, refusal.Retry)
				continue
			}
			to = append(to, r)
		}
		if len(to) == 0 && len(n.Recipients) > 0 {
			continue
		}
		key := strings.Join(to, ",")
		if n.Kind == kindMessage {
			key += "|" + n.ID
		}
		g := byKey[key]
		if g == nil {
			g = &group{to: to}
			byKey[key] = g
		}
		g.notices = append(g.notices, n)
	}
	groups := slices.Collect(maps.Values(byKey))
	for _, g := range groups {
		slices.SortFunc(g.notices, func(a, b notice) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.ID, b.ID)) })
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(a.notices[0].First.Compare(b.notices[0].First), cmp.Compare(a.notices[0].ID, b.notices[0].ID))
	})
	return groups, due
}

// deliver makes one attempt to send a mail and notes what came of it.
func (d *deliverer) deliver(ctx context.Context, m *outgoing) error {
	if err := d.settings.notSet; err != nil {
		return d.failed(m, err)
	}
	raw, err := d.compose(m)
	for raw == nil && len(m.notices) > 1 && errors.Is(err, errTooLong) {
		m.notices = m.notices[:len(m.notices)/2] // the rest goes in the next
		raw, err = d.compose(m)
	}
	if raw == nil {
		return d.sent(m, all(m.to, refused{err}))
	}
	if err != nil {
		d.fault(err)
	}
	result, err := d.send(ctx, d.settings, m.to, raw)
	if err != nil {
		return d.failed(m, err)
	}
	return d.sent(m, result)
}

// compose returns nil when there is no way to make the mail. With a mail, the error tells
// of a broken template. One that cannot be made must not stand in the way of all others.
func (d *deliverer) compose(m *outgoing) (raw []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			raw, err = nil, fmt.Errorf("composing the mail: %v", p)
		}
	}()
	if msg := m.notices[0].Message; msg != nil {
		c := composed{subject: msg.Subject, text: msg.Text, html: msg.HTML}
		err := c.write(d.settings, m.to, d.now(), messageID(d.settings, m.notices, m.to))
		return c.raw, err
	}
	c, err := compose(d.settings, m.notices, m.to, d.now())
	return c.raw, err
}

// failed notes that the server as a whole let us down. All that waits, waits on.
func (d *deliverer) failed(m *outgoing, err error) error {
	d.failure = err
	d.progress.Failures++
	pause := backoff(d.progress.Failures)
	d.progress.Retry, d.progress.Error = d.now().Add(pause), oneLine(err)
	waits := fmt.Errorf("sending mail: %w (%d waiting, next attempt in %s)", err, len(d.ready), pause)
	d.logLine(notice{Program: m.notices[0].Program}, arlog.StatusError, arlog.Failed(waits))
	return d.queue.save(d.progress)
}

// sent notes what the server said for each recipient. First that a mail went, then what
// is done with: a process that is killed between sends this one mail again, no other.
func (d *deliverer) sent(m *outgoing, result map[string]error) error {
	now := d.now()
	d.failure = nil
	d.progress.Failures, d.progress.Retry, d.progress.Error = 0, time.Time{}, ""
	var accepted, deferred, lost []string
	var final, temporary error
	for _, to := range m.to {
		switch err := result[to]; {
		case err == nil:
			accepted = append(accepted, to)
			delete(d.progress.Refused, to)
		case errors.As(err, new(refused)):
			lost = append(lost, to)
			final = errors.Join(final, err)
		default:
			deferred = append(deferred, to)
			temporary = errors.Join(temporary, err)
			r := d.progress.Refused[to]
			r.Failures++
			r.Retry = now.Add(backoff(r.Failures))
			d.progress.Refused[to] = r
		}
	}
	if len(accepted) > 0 {
		d.progress.Sent = append(d.progress.Sent, sending{now, len(m.notices) > 1})
		for _, n := range m.notices {
			if !n.Rest {
				d.progress.Mailed[n.key()] = now
			}
		}
	}
	// On a full disk what went is done with all the same, or it would go again and again.
	unsaved := d.queue.save(d.progress)
	var unfinished error
	var lines []byte
	for _, n := range m.notices {
		if len(accepted) > 0 {
			lines = append(lines, d.line(n, arlog.StatusAdd, sentMessage(n, len(m.notices)))...)
		}
		if err := d.finish(n, m.to, deferred, lost, final); err != nil {
			unfinished = err // one of many tells enough
		}
	}
	if len(lines) > 0 {
		d.log(lines)
	}
	if unsaved != nil { // what was done with left room
		if err := d.queue.save(d.progress); err != nil {
			d.failure = err
			d.fault(err)
		}
	}
	for _, err := range []error{final, temporary} {
		if err != nil {
			d.failure = errors.Join(d.failure, err)
			d.logLine(m.notices[0], arlog.StatusError, arlog.Failed(fmt.Errorf("sending mail: %w", err)))
		}
	}
	return unfinished
}

// finish takes a notice out of the queue, or leaves it there for those recipients that
// did not get it yet. What was refused for good is kept aside for the lost ones; what
// cannot be kept aside stays where it is, to be refused again.
func (d *deliverer) finish(n notice, tried, deferred, lost []string, why error) error {
	var unkept error
	if len(lost) > 0 {
		aside := n
		aside.Error, aside.Failed, aside.Recipients = oneLine(why), d.now().UTC(), lost
		key, _, _ := strings.Cut(n.ID, "-") // it may have been set aside before
		if err := d.queue.write(dirFailed, key+"-"+random(), aside); err != nil {
			unkept = fmt.Errorf("keeping a refused mail: %w", err)
			deferred = slices.Concat(deferred, lost)
		}
	}
	old := n.ID
	n.Recipients = slices.DeleteFunc(slices.Clone(n.Recipients), func(r string) bool {
		return slices.Contains(tried, r) && !slices.Contains(deferred, r)
	})
	delete(d.ready, old)
	if len(n.Recipients) == 0 {
		return errors.Join(unkept, d.queue.remove(dirReady, old))
	}
	// Only what others got or never will is called anew. Many of one address may have been
	// put back, and under their common key they would take each other's place.
	if !n.Rest && len(deferred) < len(tried) {
		n.Rest = true
		n.setID()
	}
	d.ready[n.ID] = n
	if err := d.queue.replace(dirReady, old, n.ID, n); err != nil {
		return errors.Join(unkept, fmt.Errorf("writing to the mail queue: %w", err))
	}
	return unkept
}

func oneLine(err error) string { return cleanLine(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// sentMessage is what the log tells of a notice that was sent.
func sentMessage(n notice, together int) string {
	var text string
	switch {
	case n.Kind == kindMessage:
		text = "Email sent: " + cleanLine(n.Message.Subject)
	case !n.Addr.IsValid():
		text = "Email notification sent, of an alert without an address"
	case n.Kind == kindEnd:
		text = fmt.Sprintf("Email notification sent for the end of the block of IP: %s", n.Addr)
	case n.Standing.blocked():
		text = fmt.Sprintf("Email notification sent for blocked IP: %s", n.Addr)
	default:
		text = fmt.Sprintf("Email notification sent for IP: %s (%s)", n.Addr, stateOf(n))
	}
	if n.Count > 1 {
		text += fmt.Sprintf(" (%d alerts)", n.Count)
	}
	if together > 1 {
		text += fmt.Sprintf(" (in a mail of %d addresses)", together)
	}
	return text
}

// skippedMessage is what the log tells of a notice that nobody is to get.
func skippedMessage(n notice) string {
	why := fmt.Sprintf("no recipient is set for rule %s", arlog.Word(n.RuleID))
	if !n.Addr.IsValid() {
		return "Skipped: " + why
	}
	return arlog.Skipped(n.Addr, why)
}
