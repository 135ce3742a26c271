package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// timeLayout is how times stand in a mail.
const timeLayout = "2006-01-02 15:04:05 MST"

// View is what the templates get. All texts in it are printable and, but for Log, on one
// line; the HTML template escapes them as well.
type View struct {
	Kind    string // "alert", "end"; a digest holds both
	Digest  bool   // more than one address
	Host    string // the machine that sends
	Program string // email-notification or chat-notification
	IDSName string // email_idsname, may be ""
	Version string // of the suite
	Sample  bool   // made by test or preview
	// Late is how long the first alert had to wait, "" when that was no time.
	Late string
	// Counted is how many other alerts the queue had no room for, and Often which addresses came
	// most often among them.
	Counted int
	Often   []Often
	// Count is how many alerts are in the mail. The others count the addresses by their State, each
	// once. Blocked are also those still blocked though the block was to end; Lifted were blocked when
	// the alert came and are no longer; Failed are those that a response failed to block, which go in
	// mails of their own; Free are those not blocked.
	Count, Blocked, Failed, Lifted, Ended, Whitelisted, Free, Unknown int
	// Items has one for each address; exactly one when Digest is false.
	Items []Item
}

// Item is one address, and what happened.
type Item struct {
	Kind        string // "alert" or "end"
	Address     string // "" when the alert has none
	Blocked     bool
	Whitelisted bool
	State       string   // "blocked", "no longer blocked", "block failed" and so on: see below
	Standing    []string // "Blocked by firewall-drop since ...", one line each
	Holders     []string // names of the responses
	Freed       string   // when it was seen to be blocked no longer
	Reverse     string   // name of the address, claimed by who owns it
	Country     string
	Network     string
	Before      string // how often it was blocked before, "" where that is not known
	Blocks      int    // so often
	Whitelist   string // the entry that covers it
	AlertID     string
	RuleID      string
	Level       int
	Description string
	Groups      string
	Time        string // of the alert
	First, Last string // when the first and the last of Count alerts came in
	Count       int
	Rules       []Rule // all rules, when Count is more than 1
	Host        string
	User        string
	Location    string
	Log         string // lines
	LogLines    []string
	LogCut      bool
	Missing     string // why the log is not there
}

// Rule is one rule among several.
type Rule struct {
	ID, Description, Last string
	Level, Count          int
}

// Often is an address that was only counted, about so many times.
type Often struct {
	Address string
	Count   int
}

// maxOften bounds View.Often.
const maxOften = 20

// count fills in what was only counted.
func (v *View) count(c outbox.Counted) {
	v.Counted = c.Total
	for about, n := range c.Top {
		v.Often = append(v.Often, Often{printable.Line(about), n})
	}
	slices.SortFunc(v.Often, func(a, b Often) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Address, b.Address))
	})
	v.Often = v.Often[:min(len(v.Often), maxOften)]
}

// makeView brings entries into the form that the templates get. zone is that of the times.
func makeView(s *mail.Settings, entries []entry, now time.Time, zone *time.Location) View {
	v := View{
		Kind: string(entries[0].Kind), Digest: len(entries) > 1,
		Host: s.Host, IDSName: printable.Line(s.IDSName), Version: app.Version,
	}
	oldest := now
	for _, n := range entries {
		item := makeItem(n, zone)
		v.Items = append(v.Items, item)
		v.Count += n.Item.Count
		switch item.State {
		case isBlocked, stillBlocked:
			v.Blocked++
		case blockEnded:
			v.Ended++
		case isLifted:
			v.Lifted++
		case isFailed:
			v.Failed++
		case isWhitelisted:
			v.Whitelisted++
		case isUnknown:
			v.Unknown++
		case notBlocked:
			v.Free++
		}
		if n.Item.First.Before(oldest) {
			oldest = n.Item.First
		}
	}
	if late := now.Sub(oldest); late > 2*time.Minute {
		v.Late = roundDuration(late)
	}
	return v
}

// roundDuration writes a duration in the two largest units that matter.
func roundDuration(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return printable.Count(days, "day") + " " + printable.Count(hours, "hour")
	case hours > 0:
		return printable.Count(hours, "hour") + " " + printable.Count(minutes, "minute")
	}
	return printable.Count(minutes, "minute")
}

func makeItem(e entry, zone *time.Location) Item {
	a := notice.Facts{}
	if e.Facts != nil {
		a = *e.Facts
	}
	blocked := e.Standing.Blocked() && e.Freed.IsZero()
	i := Item{
		Kind: string(e.Kind), State: stateOf(e.Notice),
		Blocked: blocked, Whitelisted: !blocked && e.Standing.Whitelisted != "",
		Reverse: e.Name, Country: e.Country, Network: e.Network, Before: e.Before, Blocks: e.Blocks,
		AlertID: a.ID, RuleID: e.RuleID, Level: a.Level, Description: a.Description,
		Groups: strings.Join(a.Groups, ", "), Count: e.Item.Count,
		Time: stamp(a.Time, zone), First: stamp(e.Item.First, zone), Last: stamp(e.Item.Last, zone),
		Freed: stamp(e.Freed, zone), Host: a.Host, User: a.User, Location: a.Location,
		Log: a.Log, LogCut: a.LogCut, Missing: a.Missing,
		Standing: describeStanding(e.Notice, zone),
	}
	if e.Addr.IsValid() {
		i.Address, i.Whitelist = e.Addr.String(), printable.Line(e.Standing.Whitelisted)
	}
	for _, h := range e.Standing.Holders {
		i.Holders = append(i.Holders, h.Program)
	}
	if i.Log != "" {
		i.LogLines = strings.Split(i.Log, "\n")
	}
	if e.Item.Count > 1 {
		for _, r := range e.Rules {
			i.Rules = append(i.Rules, Rule{r.ID, r.Description, stamp(r.Last, zone), r.Level, r.Count})
		}
	}
	return i
}

// describeStanding says in words how an address stands, one fact in each line.
func describeStanding(n notice.Notice, zone *time.Location) []string {
	var lines []string
	s, verb := n.Standing, "Blocked"
	if !n.Freed.IsZero() {
		verb = "Was blocked"
	}
	add := func(format string, args ...any) {
		lines = append(lines, printable.Line(fmt.Sprintf(format, args...)))
	}
	for _, h := range s.Holders {
		rule := ""
		if h.RuleID != "" {
			rule = fmt.Sprintf(" (rule %s)", h.RuleID)
		}
		add("%s by %s since %s%s%s", verb, h.Program, stamp(h.Since, zone), ends(h, zone), rule)
	}
	for _, h := range s.Locked {
		add("Account %s locked by %s since %s%s", n.Account(), h.Program, stamp(h.Since, zone), ends(h, zone))
	}
	failed := func(f notice.Failure, what string) {
		add("%s failed to %s, and ossec-ar maintain tries again each minute", f.Program, what)
		if f.Why != "" {
			add("Why: %s", f.Why)
		}
	}
	for _, f := range s.Unlocked {
		failed(f, "lock account "+n.Account())
	}
	if !n.Freed.IsZero() {
		add("No longer blocked at %s", stamp(n.Freed, zone))
	}
	for _, f := range s.Waiting {
		failed(f, "block it")
	}
	for _, name := range s.Lifting {
		add("%s gave its block up, but could not lift it yet", name)
	}
	switch {
	case s.Whitelisted != "" && s.Blocked() && n.Freed.IsZero():
		add("Whitelisted by %s, so that ossec-ar maintain lifts it", s.Whitelisted)
	case s.Whitelisted != "":
		add("Not blocked: whitelisted by %s", s.Whitelisted)
	}
	if s.Unknown != "" {
		add("Whether it is blocked is not known: %s", s.Unknown)
	}
	switch {
	case !n.Addr.IsValid():
		add("The alert has no address to block")
	case len(s.Holders)+len(s.Lifting)+len(s.Waiting) == 0 && s.Whitelisted == "" && s.Unknown == "":
		add("Not blocked: no response on this machine holds it")
	}
	return lines
}

// ends says when a lease ends, as far as that is known.
func ends(h notice.Holder, zone *time.Location) string {
	switch {
	case !h.Until.IsZero():
		return ", until " + stamp(h.Until, zone)
	case h.Endless:
		return ", until somebody frees it"
	case h.AtMost > 0:
		return ", at most until " + roundDuration(h.AtMost) + " after the last alert"
	}
	return ""
}

func stamp(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format(timeLayout)
}

// How an address stands: what Item.State holds.
const (
	isBlocked     = "blocked"
	isLifted      = "no longer blocked"
	isFailed      = "block failed"
	stillBlocked  = "still blocked" // though the block was to end
	blockEnded    = "block ended"
	isWhitelisted = "whitelisted"
	isUnknown     = "unknown"
	notBlocked    = "not blocked"
)

// stateOf names how the address of a notice stands.
func stateOf(n notice.Notice) string {
	s := n.Standing
	switch {
	case n.Kind == notice.End && (s.Blocked() && !n.Freed.IsZero()):
		return blockEnded
	case !n.Freed.IsZero():
		return isLifted
	case n.Kind == notice.End && s.Blocked():
		return stillBlocked
	case n.Kind == notice.End && s.Unknown == "" && len(s.Lifting) == 0:
		return blockEnded
	case n.Kind == notice.End:
		return isUnknown
	case s.Blocked():
		return isBlocked
	case len(s.Waiting)+len(s.Unlocked) > 0:
		return isFailed
	case s.Whitelisted != "":
		return isWhitelisted
	case s.Unknown != "" || len(s.Lifting) > 0:
		return isUnknown
	}
	return notBlocked
}
