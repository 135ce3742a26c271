package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// kind is what a notification is about.
type kind string

const (
	kindAlert   kind = "alert"   // an address attacked
	kindEnd     kind = "end"     // the block on it was to end
	kindMessage kind = "message" // a mail made elsewhere: see Submit
)

// event is what `add` leaves in the queue: the call as it came in, to be looked into
// later by a process that nobody waits for.
type event struct {
	Kind    kind       `json:"kind"`
	Queued  time.Time  `json:"queued"`
	Program string     `json:"program"` // for the log line
	Addr    netip.Addr `json:"address"`
	AlertID string     `json:"alert,omitempty"`
	RuleID  string     `json:"rule,omitempty"`
	User    string     `json:"user,omitempty"`
	Where   string     `json:"location,omitempty"`
	// Alert came with the call; nil when it has to be looked for.
	Alert   *alertFacts `json:"facts,omitempty"`
	Message *Message    `json:"message,omitempty"`
}

// alertFacts is what is known of an alert. Its texts have been made printable.
type alertFacts struct {
	ID          string    `json:"id,omitempty"`
	Time        time.Time `json:"time"`
	RuleID      string    `json:"rule,omitempty"`
	Level       int       `json:"level,omitempty"`
	Description string    `json:"description,omitempty"`
	Groups      []string  `json:"groups,omitempty"`
	Host        string    `json:"host,omitempty"`
	User        string    `json:"user,omitempty"`
	Location    string    `json:"location,omitempty"`
	Log         string    `json:"log,omitempty"`
	LogCut      bool      `json:"log_cut,omitempty"` // Log lost its end
	// Missing says why there is no more than the call told, "" when the alert was found.
	Missing string `json:"missing,omitempty"`
}

// newEvent makes an event of a call.
func newEvent(r *arproto.Request, program string, now time.Time) event {
	e := event{
		Kind: kindAlert, Queued: now.UTC(), Program: program, Addr: r.Addr,
		AlertID: cleanLine(r.AlertID), RuleID: cleanLine(r.RuleID), User: cleanLine(r.User), Where: cleanLine(r.Location),
	}
	if r.Action == arproto.Delete {
		e.Kind = kindEnd
	}
	if r.Dialect.JSON() {
		e.Alert = &alertFacts{
			ID: e.AlertID, Time: r.Time, RuleID: e.RuleID, Level: r.Level, Description: cleanLine(r.Description),
			Groups: cleanGroups(r.Groups), Host: cleanLine(r.AgentName), User: e.User,
			Location: e.Where, Log: cleanLog(clip(r.FullLog, maxLog)), LogCut: len(r.FullLog) > maxLog,
		}
		if e.Alert.Time.IsZero() {
			e.Alert.Time = now
		}
	}
	return e
}

// maxGroups bounds how many groups of a rule are kept.
const maxGroups = 32

// factsOf takes what is told of an alert.
func factsOf(a *alerts.Alert) alertFacts {
	log := strings.Join(a.Log, "\n")
	return alertFacts{
		ID: a.ID, Time: a.Time, RuleID: cleanLine(a.RuleID), Level: a.Level, Description: cleanLine(a.Description),
		Groups: cleanGroups(a.Groups), Host: cleanLine(a.Host), User: cleanLine(a.User), Location: cleanLine(a.Location),
		Log: cleanLog(clip(log, maxLog)), LogCut: len(log) > maxLog || a.Truncated,
	}
}

func cleanGroups(groups []string) []string {
	var out []string
	for _, g := range groups[:min(len(groups), maxGroups)] {
		out = append(out, cleanLine(g))
	}
	return out
}

// holder is a response that holds the address.
type holder struct {
	Program string    `json:"program"`
	RuleID  string    `json:"rule,omitempty"`
	Since   time.Time `json:"since"`
}

// standing is how an address stood when its notification was made.
type standing struct {
	Holders     []holder `json:"holders,omitempty"`
	Lifting     []string `json:"lifting,omitempty"`     // responses that gave it up but did not lift their block
	Whitelisted string   `json:"whitelisted,omitempty"` // the entry and its place
	Unknown     string   `json:"unknown,omitempty"`     // why the leases could not be read
}

func (s standing) blocked() bool { return len(s.Holders) > 0 }

// ruleCount is one rule among the alerts of a notice.
type ruleCount struct {
	ID          string    `json:"id"`
	Level       int       `json:"level,omitempty"`
	Description string    `json:"description,omitempty"`
	Count       int       `json:"count"`
	Last        time.Time `json:"last"`
}

// maxRules bounds how many rules one notice lists; the rest is only counted.
const maxRules = 20

// notice is one notification that is ready to be sent: one event, or all those on one
// address that came while it waited.
type notice struct {
	ID         string      `json:"id"` // its file's name, of its key
	Kind       kind        `json:"kind"`
	Recipients []string    `json:"recipients"` // who still have to get it
	Program    string      `json:"program"`
	Addr       netip.Addr  `json:"address"`
	First      time.Time   `json:"first"` // when the first alert arrived here
	Last       time.Time   `json:"last"`
	Count      int         `json:"count"` // of alerts
	Alert      alertFacts  `json:"alert"` // the gravest, of equals the first
	RuleID     string      `json:"rule,omitempty"`
	Rules      []ruleCount `json:"rules,omitempty"`
	Standing   standing    `json:"standing"` // at the last alert
	Reverse    string      `json:"reverse,omitempty"`
	Country    string      `json:"country,omitempty"`
	Network    string      `json:"network,omitempty"`
	Message    *Message    `json:"message,omitempty"`
	// Rest tells that others got it already. No more alerts are added.
	Rest bool `json:"rest,omitempty"`
	// Folded names the events that were taken in last: should the process be killed
	// before they are gone from the queue, they are not taken in again.
	Folded []string `json:"folded,omitempty"`
	// Error and Failed tell of a notice that was set aside why and when.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}

// key tells apart what goes into different mails: all alerts on one address go into one,
// to all who are to get any of them.
func (n *notice) key() string {
	subject := n.Addr.String()
	switch {
	case n.Kind == kindMessage:
		subject = n.Folded[0]
	case !n.Addr.IsValid():
		subject = "rule " + n.RuleID
	}
	key := string(n.Kind) + "|" + subject
	if n.Rest {
		key += "|" + strings.Join(n.Recipients, ",") + "|" + n.First.String()
	}
	return key
}

func (n *notice) setID() {
	sum := sha256.Sum256([]byte(n.key()))
	n.ID = hex.EncodeToString(sum[:8])
}

// take adds the alerts of a later notice with the same key.
func (n *notice) take(more notice) {
	n.Count += more.Count
	n.Last = more.Last
	n.Standing = more.Standing
	for _, r := range more.Recipients {
		if !slices.Contains(n.Recipients, r) {
			n.Recipients = append(n.Recipients, r)
		}
	}
	slices.Sort(n.Recipients)
	n.Folded = append(n.Folded, more.Folded...)
	n.Reverse, n.Country, n.Network = orElse(more.Reverse, n.Reverse), orElse(more.Country, n.Country), orElse(more.Network, n.Network)
	if more.Alert.Level > n.Alert.Level || n.Alert.Missing != "" && more.Alert.Missing == "" {
		n.Alert, n.RuleID = more.Alert, more.RuleID
	}
	for _, r := range more.Rules {
		i := slices.IndexFunc(n.Rules, func(have ruleCount) bool { return have.ID == r.ID })
		switch {
		case i >= 0:
			n.Rules[i].Count += r.Count
			n.Rules[i].Last = r.Last
			n.Rules[i].Description = orElse(n.Rules[i].Description, r.Description)
			n.Rules[i].Level = max(n.Rules[i].Level, r.Level)
		case len(n.Rules) < maxRules:
			n.Rules = append(n.Rules, r)
		}
	}
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
