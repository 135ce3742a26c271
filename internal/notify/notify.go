// Package notify turns the notices in the outboxes into mail and chat messages: it finds the alert and
// how the address stands, writes the message or the digest, and has it sent. It has the words of
// `ossec-ar mail` and `ossec-ar chat`, too.
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

// office is the courier of the outbox of one channel.
type office struct {
	*app.Program
	notice.Channel
	post     post
	config   config.Config
	settings *mail.Settings
	geo      geo
	list     *whitelist.List // nil until it is needed
	timeouts *ossec.Timeouts // likewise
	fault    func(error)     // gets what is wrong beside the work
}

// post is what differs between the channels.
type post interface {
	// configure reads the settings of the channel. Of the limits it returns Unset.
	configure() (outbox.Limits, error)
	// recipients returns who gets a settled entry.
	recipients(e *entry) []string
	// templates returns those of the administrator, by part.
	templates() map[string]string
	// send sends the message of a job. See outbox.Courier for what it returns.
	send(ctx context.Context, j job) (answer, map[string]error, error)
}

func newOffice(p *app.Program, ch notice.Channel) *office {
	o := &office{Program: p, Channel: ch}
	o.fault = o.Warn
	o.post = mailPost{o}
	if ch.Name == notice.Chat.Name {
		o.post = chatPost{o}
	}
	return o
}

// Configure is outbox.Courier's.
func (o *office) Configure() (outbox.Limits, error) {
	var cerr error
	o.config, cerr = config.Load(o.Home)
	limits, err := o.post.configure()
	o.list, o.timeouts = nil, nil
	if !slices.Equal(o.geo.paths, o.config.Mail.GeoFiles) {
		o.geo.close()
		o.geo.paths = o.config.Mail.GeoFiles
	}
	limits.PerHour, limits.Coalesce = o.settings.MaxPerHour, o.settings.Coalesce.Duration
	return limits, errors.Join(cerr, err)
}

// entry is what a message says of one item: of one address, mostly.
type entry struct {
	notice.Notice // of all in it, the gravest, of equals the first
	Item          *outbox.Item
	// What is looked up when the message is composed.
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

// maxHooks bounds the services of calls that one entry goes to.
const maxHooks = 20

// merge adds a later notice.
func (e *entry) merge(n notice.Notice) {
	for _, url := range n.Hooks {
		if !slices.Contains(e.Hooks, url) && len(e.Hooks) < maxHooks {
			e.Hooks = append(e.Hooks, url)
		}
	}
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
		lines = append(lines, o.line(e, arlog.StatusAdd, o.sentMessage(e, len(items)))...)
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
func (o *office) sentMessage(e entry, together int) string {
	what, whole := "Email", "a mail"
	if o.Channel.Name == notice.Chat.Name {
		what, whole = "Chat", "a message"
	}
	var text string
	switch {
	case e.Written():
		text = what + " sent: " + printable.Line(e.Subject)
	case !e.Addr.IsValid():
		text = what + " notification sent, of an alert without an address"
	case e.Kind == notice.End:
		text = fmt.Sprintf("%s notification sent for the end of the block of IP: %s", what, e.Addr)
	case stateOf(e.Notice) == isBlocked:
		text = fmt.Sprintf("%s notification sent for blocked IP: %s", what, e.Addr)
	default:
		text = fmt.Sprintf("%s notification sent for IP: %s (%s)", what, e.Addr, stateOf(e.Notice))
	}
	if e.Item.Count > 1 {
		text += fmt.Sprintf(" (%d alerts)", e.Item.Count)
	}
	if together > 1 {
		text += fmt.Sprintf(" (in %s of %d addresses)", whole, together)
	}
	return text
}

// Deliver delivers what is due on a channel, for `ossec-ar maintain`. It does nothing while another
// process is at it. The error is also that of an attempt to send, which is logged.
func Deliver(ctx context.Context, p *app.Program, ch notice.Channel) error {
	return newOffice(p, ch).deliver(ctx, false)
}

// deliver is Deliver, or the work of the process that Channel.StartDelivery starts, which inherits the
// lock and waits for what falls due later.
func (o *office) deliver(ctx context.Context, locked bool) error {
	dir := o.Queue(o.Home)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil // nothing was ever queued
	}
	box, err := outbox.Make(dir)
	if err == nil {
		err = o.work(ctx, box, locked)
	}
	if err != nil && !errors.Is(err, errAttempt) {
		err = fmt.Errorf("delivering %s: %w", o.Channel.Name, err)
		o.Failed(&outbox.Item{Program: o.Path()}, err)
	}
	return err
}

// errAttempt marks a failure that the deliverer has logged.
var errAttempt = errors.New("delivering")

func (o *office) work(ctx context.Context, box *outbox.Box, locked bool) error {
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
		return fmt.Errorf("%w %s: %s", errAttempt, o.Channel.Name, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}
