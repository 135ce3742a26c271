package notify

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/notice"
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

// settle completes a notice, or returns false when facts may still be coming.
func (o *office) settle(ctx context.Context, e *entry) bool {
	age := o.Now().Sub(e.First)
	late := age >= settleTime || age < 0 // the clock was set back
	facts, whole := o.facts(ctx, e, late)
	if !whole && !late {
		return false
	}
	standing, sure := o.standing(ctx, e)
	if !sure && !late {
		return false
	}
	e.Facts, e.Standing = &facts, standing
	if e.RuleID == "" {
		e.RuleID = facts.RuleID
	}
	e.Rules = []notice.RuleCount{{
		ID: e.RuleID, Level: facts.Level, Description: facts.Description, Count: 1, Last: facts.Time,
	}}
	return true
}

// facts returns what is known of the alert, and whether that is all there is.
func (o *office) facts(ctx context.Context, e *entry, late bool) (notice.Facts, bool) {
	if e.Facts != nil {
		return *e.Facts, true
	}
	bare := notice.Facts{ID: e.AlertID, Time: e.First, RuleID: e.RuleID, User: e.User, Location: e.Where}
	if host, rest, ok := strings.Cut(e.Where, "->"); ok {
		bare.Host, bare.Location = host, rest
	}
	if !strings.Contains(e.AlertID, ".") {
		bare.Missing = "the call named no alert"
		return bare, true
	}
	found, err := alerts.Find(ctx, o.Home.Alerts(), e.AlertID)
	switch {
	case found == nil && errors.Is(err, alerts.ErrNoAlert) && !errors.As(err, new(*os.PathError)):
		bare.Missing = "it is not in alerts.log or alerts.json: its level may be below log_alert_level, " +
			"or it is kept on the manager"
		return bare, false
	case found == nil:
		bare.Missing = printable.Error(err)
		return bare, false
	case found.Partial && !late:
		return bare, false
	}
	facts := notice.Facts{
		ID: found.ID, Time: found.Time, RuleID: found.RuleID, Level: found.Level,
		Description: found.Description,
		Groups:      found.Groups, Host: found.Host, User: found.User, Location: found.Location,
		Log: strings.Join(found.Log, "\n"), LogCut: found.Truncated,
	}.Clean()
	if facts.RuleID == "" {
		facts.RuleID = e.RuleID
	}
	if facts.User == "" {
		facts.User = e.User
	}
	return facts, true
}

// standing returns who holds the address, and whether that will hardly change within the
// settle time.
func (o *office) standing(ctx context.Context, e *entry) (notice.Standing, bool) {
	if !e.Addr.IsValid() {
		return notice.Standing{}, true
	}
	s, renewed := leased(o.Home, e.Addr)
	switch {
	case e.Kind == notice.End:
		return s, !s.Blocked() && len(s.Lifting) == 0
	case s.Blocked():
		return s, o.Now().Sub(renewed) >= leaseAge
	}
	if o.list == nil {
		var err error
		if o.list, err = neverblock.List(o.Home, o.config.Whitelist, o.Now()); err != nil {
			o.Failed(nil, err)
		}
	}
	match, covered := o.list.Match(e.Addr)
	if covered {
		s.Whitelisted = printable.Line(match.String())
	}
	return s, covered
}
