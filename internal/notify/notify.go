// Package notify turns the notices in the outbox into mail: it finds the alert and how the
// address stands, writes the mail or the digest, and has it sent. It has the words of
// `ossec-ar mail`, too.
//
// It refuses to say that an address is blocked unless a response holds it, and to let
// anything from an alert out of its place in a mail: all of it is text that an attacker
// chose.
package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// office is the outbox's courier for mail.
type office struct {
	*app.Program
	config   config.Config
	settings *mail.Settings
	geo      geo
	list     *whitelist.List // nil until it is needed
	timeouts *ossec.Timeouts // likewise
	fault    func(error)     // gets what is wrong beside the work
}

func newOffice(p *app.Program) *office {
	o := &office{Program: p}
	o.fault = o.Warn
	return o
}

// Configure is outbox.Courier's.
func (o *office) Configure() (outbox.Limits, error) {
	var cerr, serr error
	o.config, cerr = config.Load(o.Home)
	o.settings, serr = mail.Load(o.Home, o.config.Mail)
	o.list, o.timeouts = nil, nil
	if !slices.Equal(o.geo.paths, o.config.Mail.GeoFiles) {
		o.geo.close()
		o.geo.paths = o.config.Mail.GeoFiles
	}
	s := o.settings
	limits := outbox.Limits{PerHour: s.MaxPerHour, Coalesce: s.Coalesce.Duration, Unset: s.Unset}
	return limits, errors.Join(cerr, serr)
}

// entry is what a mail says of one item: of one address, mostly.
type entry struct {
	notice.Notice // of all in it, the gravest, of equals the first
	Item          *outbox.Item
	// What is looked up when the mail is composed.
	Name, Country, Network string
	Before                 string // how often it was blocked before, in words
	Blocks                 int    // so often
}

// open returns the entry of an item.
func open(item *outbox.Item) entry {
	e := entry{Item: item}
	_ = json.Unmarshal(item.Body, &e.Notice) // what does not fit is missing in the mail
	return e
}

// Merge is outbox.Courier's.
func (o *office) Merge(body, later json.RawMessage) json.RawMessage {
	e, n := open(&outbox.Item{Body: body}), open(&outbox.Item{Body: later}).Notice
	e.merge(n)
	body, _ = json.Marshal(e.Notice) // it has nothing that cannot be encoded
	return body
}

// Shorten is outbox.Courier's: an alert goes without its log.
func (o *office) Shorten(body json.RawMessage) json.RawMessage { return notice.Shorten(body) }

// maxRules bounds how many rules one entry lists; the rest is only counted.
const maxRules = 20

// merge adds a later notice.
func (e *entry) merge(n notice.Notice) {
	e.Standing, e.Freed = n.Standing, n.Freed
	graver := n.Facts != nil && (e.Facts == nil || n.Facts.Level > e.Facts.Level ||
		e.Facts.Missing != "" && n.Facts.Missing == "")
	if graver {
		e.Facts, e.RuleID = n.Facts, n.RuleID
	}
	for _, r := range n.Rules {
		i := slices.IndexFunc(e.Rules, func(have notice.RuleCount) bool { return have.ID == r.ID })
		switch {
		case i >= 0:
			have := &e.Rules[i]
			have.Count += r.Count
			have.Last, have.Level = r.Last, max(have.Level, r.Level)
			have.Description = cmp.Or(have.Description, r.Description)
		case len(e.Rules) < maxRules:
			e.Rules = append(e.Rules, r)
		}
	}
}

// Sent is outbox.Courier's.
func (o *office) Sent(items []*outbox.Item) {
	var lines []byte
	for _, item := range items {
		e := open(item)
		lines = append(lines, o.line(e, arlog.StatusAdd, sentMessage(e, len(items)))...)
	}
	o.AppendLog(o.Home.NotificationLog(), lines)
}

// Skipped is outbox.Courier's.
func (o *office) Skipped(item *outbox.Item) {
	e := open(item)
	why := fmt.Sprintf("no recipient is set for rule %s", arlog.Word(e.RuleID))
	message := "Skipped: " + why
	if e.Addr.IsValid() {
		message = arlog.Skipped(e.Addr, why)
	}
	o.AppendLog(o.Home.NotificationLog(), o.line(e, arlog.StatusSkip, message))
}

// Failed is outbox.Courier's.
func (o *office) Failed(item *outbox.Item, err error) {
	o.AppendLog(o.Home.NotificationLog(), o.line(open(item), arlog.StatusError, arlog.Failed(err)))
}

// Warn is outbox.Courier's. Each fault is logged once a day.
func (o *office) Warn(err error) {
	quiet := *o.Program
	quiet.Stderr = io.Discard // who runs this hears of what fails
	notice.Log(&quiet).Warn(arproto.Request{}, err)
}

func (o *office) line(e entry, status arlog.Status, message string) []byte {
	return arlog.Entry{
		Time: o.Now(), Program: e.Item.Program, Status: status, Addr: e.Addr,
		AlertID: e.AlertID, RuleID: e.RuleID, Message: message,
	}.Format()
}

// sentMessage is the message of the log line about an entry that was sent.
func sentMessage(e entry, together int) string {
	var text string
	switch {
	case e.Kind == notice.Report:
		text = "Email sent: " + printable.Line(e.Subject)
	case !e.Addr.IsValid():
		text = "Email notification sent, of an alert without an address"
	case e.Kind == notice.End:
		text = fmt.Sprintf("Email notification sent for the end of the block of IP: %s", e.Addr)
	case stateOf(e.Notice) == isBlocked:
		text = fmt.Sprintf("Email notification sent for blocked IP: %s", e.Addr)
	default:
		text = fmt.Sprintf("Email notification sent for IP: %s (%s)", e.Addr, stateOf(e.Notice))
	}
	if e.Item.Count > 1 {
		text += fmt.Sprintf(" (%d alerts)", e.Item.Count)
	}
	if together > 1 {
		text += fmt.Sprintf(" (in a mail of %d addresses)", together)
	}
	return text
}

// Deliver delivers what is due, for `ossec-ar maintain`. It does nothing while another process is
// at it. The error is also that of an attempt to send, which is logged.
func Deliver(ctx context.Context, p *app.Program) error { return deliver(ctx, p, false) }

// deliver is Deliver, or the work of the process that notice.StartDelivery starts, which
// inherits the lock and waits for what falls due later.
func deliver(ctx context.Context, p *app.Program, locked bool) error {
	if _, err := os.Lstat(p.Home.MailQueue()); errors.Is(err, os.ErrNotExist) {
		return nil // nothing was ever queued
	}
	o := newOffice(p)
	box, err := outbox.Make(p.Home.MailQueue())
	if err == nil {
		err = o.deliver(ctx, box, locked)
	}
	if err != nil && !errors.Is(err, errAttempt) {
		err = fmt.Errorf("delivering mail: %w", err)
		o.Failed(&outbox.Item{Program: p.Path()}, err)
	}
	return err
}

// errAttempt marks a failure that the deliverer has logged.
var errAttempt = errors.New("delivering mail")

func (o *office) deliver(ctx context.Context, box *outbox.Box, locked bool) error {
	lock, err := box.Lock(100 * time.Millisecond)
	linger := settleTime + time.Second
	if locked {
		lock, err = box.InheritedLock()
		settings, _ := config.Load(o.Home) // faults are logged in Configure
		linger = max(linger, settings.Mail.Linger.Duration)
	}
	if errors.Is(err, outbox.ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	d := outbox.NewDeliverer(box, o, o.Now)
	defer o.geo.close()
	if err := d.Run(ctx, lock, linger); err != nil {
		return err
	}
	if err := d.Failure(); err != nil {
		return fmt.Errorf("%w: %s", errAttempt, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}
