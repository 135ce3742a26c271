// Package notice is what the notifying programs leave in the outbox of their channel: what a notice
// is, the flow of a daemon's call, and reports. It only queues, and starts the deliverer in a process
// of its own, for the daemons wait, or start hundreds at once; so it links neither templates
// nor anything that sends. Package notify has the rest.
package notice

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Kind is what a notice is about.
type Kind string

// The kinds.
const (
	Alert  Kind = "alert"  // an address attacked
	End    Kind = "end"    // the block on it was to end
	Report Kind = "report" // a mail that was made elsewhere
	Failed Kind = "failed" // many blocks failed: a text like a report's
)

// Notice is one thing to report to people. All its texts are printable. What stands below
// Report is found out when it is delivered.
type Notice struct {
	Kind    Kind       `json:"kind"`
	Addr    netip.Addr `json:"address"` // not valid when the alert has none
	AlertID string     `json:"alert,omitempty"`
	RuleID  string     `json:"rule,omitempty"`
	User    string     `json:"user,omitempty"`
	Where   string     `json:"location,omitempty"`
	// Facts came with the call, or were looked up; nil when they have to be.
	Facts *Facts `json:"facts,omitempty"`
	// Subject, Text and HTML are those of one that is written already.
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
	// Hooks are the URLs of services that came with the calls: secrets.
	Hooks []string `json:"hooks,omitempty"`

	Rules    []RuleCount `json:"rules,omitempty"`
	Standing Standing    `json:"standing,omitzero"` // at the last alert
	Freed    time.Time   `json:"freed,omitzero"`    // when it was seen to be blocked no longer
}

// Facts is what is known of an alert.
type Facts struct {
	ID          string    `json:"id,omitempty"`
	Time        time.Time `json:"time"`
	RuleID      string    `json:"rule,omitempty"`
	Level       int       `json:"level,omitempty"`
	Description string    `json:"description,omitempty"`
	Groups      []string  `json:"groups,omitempty"`
	Host        string    `json:"host,omitempty"`
	User        string    `json:"user,omitempty"`
	Location    string    `json:"location,omitempty"`
	Log         string    `json:"log,omitempty"`     // lines
	LogCut      bool      `json:"log_cut,omitempty"` // Log lost its end
	// Missing is why there is no more than the call said, "" when the alert was found.
	Missing string `json:"missing,omitempty"`
}

// RuleCount is one rule among the alerts of a notice.
type RuleCount struct {
	ID          string    `json:"id"`
	Level       int       `json:"level,omitempty"`
	Description string    `json:"description,omitempty"`
	Count       int       `json:"count"`
	Last        time.Time `json:"last"`
}

// Standing is how an address stood when its notice was settled.
type Standing struct {
	Holders     []Holder  `json:"holders,omitempty"`
	Locked      []Holder  `json:"locked,omitempty"`      // who holds the account
	Unlocked    []Failure `json:"unlocked,omitempty"`    // who failed to lock it
	Responses   []string  `json:"responses,omitempty"`   // that hold it, failed to, or failed to lift it
	Lifting     []string  `json:"lifting,omitempty"`     // programs that failed to lift their block
	Waiting     []Failure `json:"waiting,omitempty"`     // who failed to block it
	Whitelisted string    `json:"whitelisted,omitempty"` // the entry and its place
	Unknown     string    `json:"unknown,omitempty"`     // why the leases could not be read
}

// Holder is a program that holds the address.
type Holder struct {
	Program string    `json:"program"`
	RuleID  string    `json:"rule,omitempty"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"`
	// Without Until its daemon ends it so long after the last alert at most, or nobody does.
	AtMost  time.Duration `json:"at_most,omitempty"`
	Endless bool          `json:"endless,omitempty"`
}

// Failure is a program that could not do what it was called for.
type Failure struct {
	Program string `json:"program"`
	Why     string `json:"why,omitempty"`
}

// Blocked reports whether the address is blocked.
func (s Standing) Blocked() bool { return len(s.Holders) > 0 }

const (
	// MaxLog bounds the log lines of an alert, in bytes, before escaping.
	MaxLog = 16 << 10
	// maxGroups bounds how many groups of a rule are kept.
	maxGroups = 32
)

// Clean makes the texts of facts printable and bounds them.
func (f Facts) Clean() Facts {
	for _, text := range []*string{&f.ID, &f.RuleID, &f.Description, &f.Host, &f.User,
		&f.Location, &f.Missing} {
		*text = printable.Line(*text)
	}
	groups := f.Groups[:min(len(f.Groups), maxGroups)]
	f.Groups = nil
	for _, g := range groups {
		f.Groups = append(f.Groups, printable.Line(g))
	}
	f.LogCut = f.LogCut || len(f.Log) > MaxLog
	f.Log = printable.Lines(printable.Clip(f.Log, MaxLog))
	return f
}

// Of makes a notice of a call.
func Of(r *arproto.Request, now time.Time) Notice {
	n := Notice{
		Kind: Alert, Addr: r.Addr, AlertID: printable.Line(r.AlertID), RuleID: printable.Line(r.RuleID),
		User: printable.Line(r.User), Where: printable.Line(r.Location),
	}
	if r.Action == arproto.Delete {
		n.Kind = End
	}
	if r.Dialect.JSON() {
		facts := Facts{
			ID: r.AlertID, Time: r.Time, RuleID: r.RuleID, Level: r.Level, Description: r.Description,
			Groups: r.Groups, Host: r.AgentName, User: r.User, Location: r.Location, Log: r.FullLog,
		}.Clean()
		if facts.Time.IsZero() {
			facts.Time = now
		}
		n.Facts = &facts
	}
	return n
}

// About returns what a notice is about in a word: its address, or its rule.
func (n *Notice) About() string {
	switch {
	case n.Kind == Report:
		return "report"
	case n.Kind == Failed:
		return "failed blocks"
	case n.Addr.IsValid():
		return n.Addr.String()
	}
	return "rule " + n.RuleID
}

// Written reports whether the text of a notice is there already: it goes in a message of its own.
func (n *Notice) Written() bool { return n.Kind == Report || n.Kind == Failed }

// Account returns the account that an alert is about, "" for none.
func (n *Notice) Account() string {
	user := n.User
	if user == "" && n.Facts != nil {
		user = n.Facts.User
	}
	return arproto.AccountName(user)
}

// Shorten returns the body of an item without the log of its alert.
func Shorten(body json.RawMessage) json.RawMessage {
	var n Notice
	if json.Unmarshal(body, &n) != nil || n.Facts == nil || n.Facts.Log == "" {
		return body
	}
	n.Facts.Log, n.Facts.LogCut, n.Facts.Missing = "", false, "too much waited to be sent"
	short, err := json.Marshal(n)
	if err != nil {
		return body
	}
	return short
}

// Item returns a notice as it goes into the outbox.
func (n *Notice) Item(program string, now time.Time) (outbox.Item, error) {
	body, err := json.Marshal(n)
	return outbox.Item{
		Program: program, First: now.UTC(), About: n.About(), Alone: n.Written(), Body: body,
		Key: strings.Join([]string{string(n.Kind), n.About(), n.RuleID}, "|"),
	}, err
}

// enqueue puts a notice into the outbox and starts the deliverer. The notice is safe on disk when box
// is not nil.
func (ch Channel) enqueue(p *app.Program, n Notice) (box *outbox.Box, err error) {
	if box, err = ch.put(p, n); err == nil {
		err = ch.StartDelivery(p, box)
	}
	return box, err
}

// put puts a notice into the outbox.
func (ch Channel) put(p *app.Program, n Notice) (box *outbox.Box, err error) {
	item, err := n.Item(p.Path(), p.Now())
	if err != nil {
		return nil, err
	}
	if box, err = outbox.Make(ch.Queue(p.Home)); err != nil {
		return nil, err
	}
	if err := box.Add(item, Shorten); err != nil {
		return nil, err
	}
	return box, nil
}

// StartDelivery starts the deliverer, unless one is at work.
func (ch Channel) StartDelivery(p *app.Program, box *outbox.Box) error {
	tool := p.Tool()
	err := app.CheckTool(tool)
	if err == nil {
		env := p.ToolEnv(exec.Environment())
		if zone, ok := os.LookupEnv("TZ"); ok {
			env = append(env, "TZ="+zone)
		}
		err = box.Start(env, tool, ch.Name, "deliver", "--locked")
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%s is missing", tool)
	}
	if err != nil {
		return fmt.Errorf("starting the delivery: %w (the notice waits until `ossec-ar maintain` runs)", err)
	}
	return nil
}
