package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// timeLayout is how times stand in a mail.
const timeLayout = "2006-01-02 15:04:05 MST"

// View is what the templates get. All texts in it are printable and, but for Log, on one
// line; the HTML template escapes them as well.
type View struct {
	Kind    string // "alert", "end"; a digest holds both
	Digest  bool   // more than one address
	Host    string // the machine that sends
	IDSName string // email_idsname, may be ""
	Version string // of the suite
	Sample  bool   // made by test or preview
	// Late is how long the first alert had to wait, "" when that was no time.
	Late string
	// Count is how many alerts the mail tells of. The others count the addresses, each in
	// one of them, by its State: Blocked those still blocked too, Free the not blocked.
	Count, Blocked, Ended, Whitelisted, Free, Unknown int
	Items                                             []Item // one for each address; exactly one when Digest is false
}

// Item is one address, and what happened.
type Item struct {
	Kind        string // "alert" or "end"
	Address     string // "" when the alert has none
	Blocked     bool
	Whitelisted bool
	State       string   // "blocked", "still blocked", "block ended", "whitelisted", "unknown", "not blocked"
	Standing    []string // "Blocked by firewall-drop since ...", one line each
	Holders     []string // names of the responses
	Reverse     string   // name of the address, claimed by who owns it
	Country     string
	Network     string
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

// makeView brings notices into the form that the templates get. zone is that of the times.
func makeView(s Settings, notices []notice, now time.Time, zone *time.Location) View {
	v := View{Kind: string(notices[0].Kind), Digest: len(notices) > 1, Host: s.Host, IDSName: cleanLine(s.IDSName), Version: app.Version}
	oldest := now
	for _, n := range notices {
		item := makeItem(n, zone)
		v.Items = append(v.Items, item)
		v.Count += n.Count
		switch item.State {
		case isBlocked, stillBlocked:
			v.Blocked++
		case blockEnded:
			v.Ended++
		case isWhitelisted:
			v.Whitelisted++
		case isUnknown:
			v.Unknown++
		case notBlocked:
			v.Free++
		}
		if n.First.Before(oldest) {
			oldest = n.First
		}
	}
	if late := now.Sub(oldest); late > 2*time.Minute {
		v.Late = roundDuration(late)
	}
	return v
}

// roundDuration tells a duration in the two largest units that matter.
func roundDuration(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	unit := func(n int, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	switch {
	case days > 0:
		return unit(days, "day") + " " + unit(hours, "hour")
	case hours > 0:
		return unit(hours, "hour") + " " + unit(minutes, "minute")
	}
	return unit(minutes, "minute")
}

func makeItem(n notice, zone *time.Location) Item {
	a := n.Alert
	i := Item{
		Kind: string(n.Kind), Blocked: n.Standing.blocked(), Whitelisted: !n.Standing.blocked() && n.Standing.Whitelisted != "",
		Reverse: cleanLine(n.Reverse), Country: cleanLine(n.Country), Network: cleanLine(n.Network),
		AlertID: cleanLine(a.ID), RuleID: cleanLine(n.RuleID), Level: a.Level, Description: cleanLine(a.Description),
		Time: stamp(a.Time, zone), First: stamp(n.First, zone), Last: stamp(n.Last, zone), Count: n.Count,
		Host: cleanLine(a.Host), User: cleanLine(a.User), Location: cleanLine(a.Location),
		LogCut: a.LogCut, Missing: cleanLine(a.Missing),
	}
	if n.Addr.IsValid() {
		i.Address = n.Addr.String()
		for _, line := range n.Standing.describe(zone) {
			i.Standing = append(i.Standing, cleanLine(line))
		}
	} else {
		i.Standing = []string{"The alert has no address, so nothing is blocked"}
	}
	for _, h := range n.Standing.Holders {
		i.Holders = append(i.Holders, cleanLine(h.Program))
	}
	i.State = stateOf(n)
	var groups []string
	for _, g := range a.Groups {
		groups = append(groups, cleanLine(g))
	}
	i.Groups = strings.Join(groups, ", ")
	if i.Log = cleanLog(a.Log); i.Log != "" {
		i.LogLines = strings.Split(i.Log, "\n")
	}
	if n.Count > 1 {
		for _, r := range n.Rules {
			i.Rules = append(i.Rules, Rule{cleanLine(r.ID), cleanLine(r.Description), stamp(r.Last, zone), r.Level, r.Count})
		}
	}
	return i
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
	stillBlocked  = "still blocked" // though the block was to end
	blockEnded    = "block ended"
	isWhitelisted = "whitelisted"
	isUnknown     = "unknown"
	notBlocked    = "not blocked"
)

// stateOf names how the address of a notice stands.
func stateOf(n notice) string {
	s := n.Standing
	switch {
	case n.Kind == kindEnd && s.blocked():
		return stillBlocked
	case n.Kind == kindEnd && s.Unknown == "" && len(s.Lifting) == 0:
		return blockEnded
	case s.blocked():
		return isBlocked
	case s.Whitelisted != "":
		return isWhitelisted
	case s.Unknown != "" || len(s.Lifting) > 0:
		return isUnknown
	}
	return notBlocked
}
