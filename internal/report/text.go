package report

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// headStamp is what date(1) prints in the C locale, as in the response log.
const headStamp = "Mon Jan _2 15:04:05 MST 2006"

// barWidth is the length of the longest bar, in characters.
const barWidth = 40

// text returns the report as plain text. Its first lines, up to the empty one, are fixed:
// people's scripts read them.
func text(r *stats.Report) []byte {
	w := &textWriter{}
	p := r.Period.Label
	w.line("=== Active Response Statistics - %s ===", r.Generated.Format(headStamp))
	w.line("Total blocks %s: %d", p, r.Totals.Blocks)
	w.line("Total unblocks %s: %d", p, r.Totals.Unblocks)
	w.line("Most blocked IPs %s:", p)
	for _, a := range r.TopAddresses {
		w.line("%7d %s", a.Blocks, a.Address)
	}
	w.line("")
	length := w.Len()
	w.about(r)
	w.outcomes(r)
	w.responses(r)
	w.rules(r)
	w.networks(r)
	w.timeline(r)
	w.lengths(r)
	w.inForce(r)
	w.agents(r)
	w.log(r)
	if w.Len() > length {
		w.line("")
	}
	return w.Bytes()
}

type textWriter struct{ bytes.Buffer }

func (w *textWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// part is a number in a list of them.
type part struct {
	n    uint64
	what string
}

// join returns "3 this, 4 that" of the parts that are not zero.
func join(parts ...part) string {
	var texts []string
	for _, p := range parts {
		if p.n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(texts, ", ")
}

func (w *textWriter) about(r *stats.Report) {
	if f := r.Filter.String(); f != "" {
		w.line("Only: %s", printable.Short(f, 200))
	}
	a := r.Addrs
	if a.Different == 0 {
		return
	}
	about := ""
	if !a.Exact {
		about = "about "
	}
	parts := []string{fmt.Sprintf("%s%d different", about, a.Different)}
	if a.New != nil {
		parts = append(parts, fmt.Sprintf("%s%d new", about, *a.New),
			fmt.Sprintf("%d returning (blocked since %s too)", *a.Returning,
				a.LookedBackTo.Format("Jan _2 15:04")))
	}
	if a.Repeated > 0 {
		least := ""
		if !a.Exact {
			least = "at least "
		}
		parts = append(parts, fmt.Sprintf("%s%d blocked more than once", least, a.Repeated))
	}
	w.line("Addresses: %s", strings.Join(parts, ", "))
	if !a.Exact {
		w.line("  There were too many addresses to count each: a count above may be up to %d too low.",
			a.MaxError)
	}
}

func (w *textWriter) outcomes(r *stats.Report) {
	t := r.Totals
	if n := t.Skips(); n > 0 {
		w.line("Skipped: %d (%s)", n, join(part{t.Whitelisted, "whitelisted"},
			part{t.StillHeld, "still held by another response"},
			part{t.Skipped, "already held by the daemon"}))
	}
	if t.Failed > 0 {
		w.line("Failed: %d", t.Failed)
	}
	if t.Warnings > 0 {
		w.line("Warnings: %d", t.Warnings)
	}
	if accounts := join(part{t.Locked, "locked"}, part{t.Unlocked, "unlocked"}); accounts != "" {
		w.line("Accounts: %s", accounts)
	}
	if h := byHand(r); h != "" {
		w.line("By hand: %s", h)
	}
}

// byHand says what persons did, "" for nothing.
func byHand(r *stats.Report) string {
	return join(part{r.ByHand.Blocks, "blocked"}, part{r.ByHand.Unblocks, "unblocked"},
		part{r.ByHand.Imported, "imported"})
}

func (w *textWriter) responses(r *stats.Report) {
	if len(r.Responses) > 0 {
		w.line("By response:")
	}
	for _, c := range r.Responses {
		more := join(part{c.Unblocks, "unblocked"}, part{c.Skips(), "skipped"}, part{c.Failed, "failed"},
			part{c.Warnings, "warned"}, part{c.Locked, "locked"}, part{c.Unlocked, "unlocked"})
		if more != "" {
			more = " (" + more + ")"
		}
		w.line("%7d %s%s", c.Blocks, printable.Short(c.Name, 64), more)
	}
	if len(r.Others) > 0 {
		w.line("Other programs:")
	}
	for _, o := range r.Others {
		w.line("%7d %s", o.Runs, printable.Short(o.Name, 64))
	}
}

func (w *textWriter) rules(r *stats.Report) {
	if len(r.Rules) == 0 {
		return
	}
	w.line("By rule:")
	for _, c := range r.Rules {
		w.line("%s", strings.TrimRight(fmt.Sprintf("%7d %s %s", c.Blocks, printable.Short(c.ID, 64),
			printable.Short(c.Description, 120)), " "))
	}
}

// networks lists those that have more than one address: of the others, the list of
// addresses says it all.
func (w *textWriter) networks(r *stats.Report) {
	begun := false
	for _, n := range r.TopNetworks {
		if n.Addresses < 2 {
			continue
		}
		if !begun {
			w.line("By network:")
			begun = true
		}
		w.line("%7d %s (%d addresses)", n.Blocks, n.Network, n.Addresses)
	}
}

func (w *textWriter) timeline(r *stats.Report) {
	if r.Totals.Blocks == 0 {
		return
	}
	steps, unit := r.Timeline, r.Unit
	if unit == stats.UnitDay && len(steps) > 62 {
		steps, unit = byMonth(steps), stats.UnitMonth
	}
	var most uint64
	twice := map[string]int{}
	for _, s := range steps {
		most = max(most, s.Blocks)
		twice[stepName(s.From, unit)]++
	}
	w.line("By %s:", unit)
	for _, s := range steps {
		name := stepName(s.From, unit)
		if unit == stats.UnitHour && twice[name] > 1 { // the clock was set back
			name += s.From.Format(" MST")
		}
		w.bar(name, s.Blocks, most)
	}
	if unit == stats.UnitHour {
		return
	}
	most = 0
	for _, n := range r.HoursOfDay {
		most = max(most, n)
	}
	w.line("By hour of the day:")
	for hour, n := range r.HoursOfDay {
		w.bar(fmt.Sprintf("%02d:00", hour), n, most)
	}
}

func (w *textWriter) bar(name string, n, most uint64) {
	length := 0
	if most > 0 {
		length = int((n*barWidth + most - 1) / most) // whatever is not zero shows
	}
	w.line("%s", strings.TrimRight(fmt.Sprintf("  %s %7d %s", name, n, strings.Repeat("#", length)), " "))
}

func stepName(t time.Time, unit string) string {
	switch unit {
	case stats.UnitHour:
		return t.Format("Mon 15:04")
	case stats.UnitDay:
		return t.Format("Mon 2006-01-02")
	}
	return t.Format("2006-01")
}

func byMonth(days []stats.Step) []stats.Step {
	var months []stats.Step
	for _, d := range days {
		if n := len(months); n == 0 || months[n-1].From.Month() != d.From.Month() ||
			months[n-1].From.Year() != d.From.Year() {
			months = append(months, stats.Step{From: d.From})
		}
		months[len(months)-1].Blocks += d.Blocks
	}
	return months
}

func (w *textWriter) lengths(r *stats.Report) {
	if l := r.Lasted; l.Ended > 0 {
		w.line("Blocks that ended: %d, lasting %s in the median, %s at the longest (%s)",
			l.Ended, length(l.Median), length(l.Longest), l.Of)
	}
}

// length writes seconds as "1d 2h 3m 4s" without the zeros.
func length(seconds uint32) string {
	var b strings.Builder
	for _, unit := range []struct {
		seconds uint32
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}} {
		if n := seconds / unit.seconds; n > 0 {
			fmt.Fprintf(&b, " %d%s", n, unit.name)
		}
		seconds %= unit.seconds
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()[1:]
}

func (w *textWriter) inForce(r *stats.Report) {
	if r.InForce == nil {
		return
	}
	held := map[string]int{}
	var order []string
	for _, l := range r.InForce.Leases {
		if held[l.Program] == 0 {
			order = append(order, l.Program)
		}
		held[l.Program]++
	}
	line := "In force now: " + printable.Count(r.InForce.Addresses, "address")
	if n := r.InForce.Accounts; n > 0 {
		line += ", " + printable.Count(n, "account")
	}
	w.line("%s", line)
	for _, program := range order {
		w.line("%7d %s", held[program], printable.Short(program, 64))
	}
}

func (w *textWriter) agents(r *stats.Report) {
	if len(r.Agents) == 0 {
		return
	}
	w.line("By agent:")
	for _, a := range r.Agents {
		best := ""
		if len(a.TopAddresses) > 0 {
			best = fmt.Sprintf(", most of all %s (%d)", a.TopAddresses[0].Address, a.TopAddresses[0].Blocks)
		}
		w.line("%7d %s (%d unblocked, %s%s)", a.Blocks, printable.Short(a.Name, 64), a.Unblocks,
			printable.Count(a.Addresses, "address"), best)
	}
}

func (w *textWriter) log(r *stats.Report) {
	if r.Log.Unreadable > 0 {
		w.line("Lines that could not be read: %d", r.Log.Unreadable)
	}
	for _, note := range r.Log.Notes {
		w.line("Note: %s", printable.Short(note, 400))
	}
}
