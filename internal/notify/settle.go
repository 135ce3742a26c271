package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

const (
	// settleTime is how long after a notice was queued its facts may still be coming: the
	// alert is written and the address blocked by processes that started beside ours.
	settleTime = 2 * time.Second
	// leaseAge is how old a lease must be to count at once: a response takes it first and
	// gives it back when it fails to block.
	leaseAge = 300 * time.Millisecond
)

// Settle is outbox.Courier's. The alerts of all items are looked for together.
func (o *office) Settle(ctx context.Context, items []*outbox.Item) {
	entries := make([]entry, len(items))
	var ids []string
	for i, item := range items {
		entries[i] = open(item)
		if entries[i].Facts == nil && entries[i].AlertID != "" {
			ids = append(ids, entries[i].AlertID)
		}
	}
	found, err := alerts.Find(ctx, o.Home.Alerts(), ids...)
	for _, e := range entries {
		item := e.Item
		if e.Written() {
			item.To, item.Settled, item.Urgent = o.post.recipients(&e), true, e.Kind == notice.Failed
			continue
		}
		if item.Settled = o.settle(&e, found[e.AlertID], err); !item.Settled {
			continue
		}
		item.Urgent = stateOf(e.Notice) == isFailed
		item.Key = e.Key(item.Urgent)
		item.To = o.post.recipients(&e)
		item.Body, _ = json.Marshal(e.Notice) // it has nothing that cannot be encoded
	}
}

// settle completes an entry, or returns false when facts may still be coming. found is its alert,
// and err why it is not, or nil.
func (o *office) settle(e *entry, found *alerts.Alert, err error) bool {
	age := o.Now().Sub(e.Item.First)
	late := age >= settleTime || age < 0 // the clock was set back
	facts, whole := e.facts(found, err, late)
	if !whole && !late {
		return false
	}
	standing, sure := o.standing(e)
	if !sure && !late {
		return false
	}
	e.Facts, e.Standing = &facts, standing
	e.RuleID = cmp.Or(e.RuleID, facts.RuleID)
	last := facts.Time
	if e.Item.Count > 1 {
		last = e.Item.Last
	}
	e.Rules = []notice.RuleCount{{
		ID: e.RuleID, Level: facts.Level, Description: facts.Description, Count: e.Item.Count, Last: last,
	}}
	return true
}

// facts returns what is known of the alert, and whether that is all there is.
func (e *entry) facts(found *alerts.Alert, err error, late bool) (notice.Facts, bool) {
	if e.Facts != nil {
		return *e.Facts, true
	}
	bare := notice.Facts{ID: e.AlertID, Time: e.Item.First, RuleID: e.RuleID, User: e.User, Location: e.Where}
	if host, rest, ok := strings.Cut(e.Where, "->"); ok {
		bare.Host, bare.Location = host, rest
	}
	switch {
	case !strings.Contains(e.AlertID, "."):
		bare.Missing = "the call named no alert"
		return bare, true
	case found == nil && err == nil:
		bare.Missing = "it is not in alerts.log or alerts.json: its level may be below log_alert_level, " +
			"or it is kept on the manager"
		return bare, false
	case found == nil:
		bare.Missing = printable.Error(err)
		return bare, false
	case found.Partial && !late:
		return bare, false
	}
	return notice.Facts{
		ID: found.ID, Time: found.Time, RuleID: cmp.Or(found.RuleID, e.RuleID), Level: found.Level,
		Description: found.Description, Groups: found.Groups, Host: found.Host,
		User: cmp.Or(found.User, e.User), Location: found.Location,
		Log: strings.Join(found.Log, "\n"), LogCut: found.Truncated,
	}.Clean(), true
}

// refresh brings an entry that waited up to date: what was blocked when the alert came may be free by
// now, and the other way round.
func (o *office) refresh(e *entry) {
	now, _ := o.leased(&e.Notice)
	if now.Unknown != "" {
		return
	}
	e.Standing.Locked, e.Standing.Unlocked = now.Locked, now.Unlocked
	switch {
	case now.Blocked():
		now.Whitelisted = e.Standing.Whitelisted
		e.Standing, e.Freed = now, time.Time{}
	case e.Standing.Blocked() && e.Freed.IsZero():
		e.Freed = o.Now().UTC()
	}
}

// standing returns who holds the address, and whether that will hardly change within the
// settle time.
func (o *office) standing(e *entry) (notice.Standing, bool) {
	s, renewed := o.leased(&e.Notice)
	if !e.Addr.IsValid() {
		return s, true
	}
	if o.list == nil {
		var err error
		if o.list, err = neverblock.List(o.Home, o.config.Whitelist, o.Now()); err != nil {
			o.Warn(err)
		}
	}
	match, covered := o.list.Match(e.Addr)
	if covered {
		s.Whitelisted = printable.Line(match.String())
	}
	switch {
	case e.Kind == notice.End:
		return s, !s.Blocked() && len(s.Lifting) == 0
	case s.Blocked():
		return s, o.Now().Sub(renewed) >= leaseAge
	case len(s.Waiting) > 0:
		return s, false // another response may block it
	}
	return s, covered
}
