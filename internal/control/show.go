package control

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/history"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// alertWait bounds the search for one alert: a packed file of a whole day is read through.
const alertWait = 10 * time.Second

// show shows everything about one address.
func show(t *tool, c *cli.Context) error {
	request, err := who(t, c.Args().First())
	if err != nil {
		return command.Mistaken(t.Name+" list shows all", "%v", err)
	}
	f := filter{target: about(request)}
	snapshots, never, failed := t.snapshots(c.Context, f)
	t.say("%s", t.colour(bold, f.target.String()))
	found := false
	ids := map[string]bool{}
	for r := range rows(snapshots, never, f) {
		found = true
		showRow(t, f.target, r, ids)
	}
	if !found && !failed {
		t.say("  not blocked")
	}
	showBefore(t, f.target)
	if request.Addr.IsValid() {
		t.say("  %s", verdict(c.Context, t, request.Addr))
	}
	for id := range ids {
		showAlert(c.Context, t, id)
	}
	showLog(t, about(request))
	return command.Reported(failed)
}

// showBefore says how often a target was blocked, or a network that it is in, where that is remembered.
func showBefore(t *tool, of target.Target) {
	if len(t.settings.Escalate) == 0 {
		return
	}
	for _, kind := range t.chosen {
		times, err := history.Book{Dir: t.Home.State(), Response: kind.Name}.Of(hold.Around(of)...)
		if err != nil {
			t.Complain(err)
		}
		if at := slices.Concat(slices.Collect(maps.Values(times))...); len(at) > 0 {
			last := slices.MaxFunc(at, time.Time.Compare)
			t.say("  %s has blocked it %s, the last time %s", kind.Name,
				printable.Count(len(at), "time"), t.when(last))
		}
	}
}

func showRow(t *tool, of target.Target, r row, ids map[string]bool) {
	response := r.Response
	if r.Target != of {
		response += ", network " + r.Target.String()
	}
	t.say("  %s: %s", response, t.colour(r.colour(), r.state()))
	if r.Counted {
		t.say("    dropped %s, %s", printable.Count(r.Packets, "packet"), printable.Count(r.Bytes, "byte"))
	}
	for _, h := range r.Holds {
		text := "held by " + arlog.Word(h.program) + " since " + t.when(moment(h.since))
		if h.target != of {
			text += " for " + h.target.String()
		}
		if h.until != 0 {
			text += ", until " + t.when(moment(h.until))
		}
		if h.rule != "" {
			text += ", rule " + arlog.Word(h.rule)
		}
		if h.alert != "" {
			text += ", alert " + arlog.Word(h.alert)
			ids[h.alert] = true
		}
		if h.reason != "" {
			text += ": " + printable.Line(h.reason)
		}
		t.say("    %s", text)
	}
}

// verdict says whether the whitelist covers an address.
func verdict(ctx context.Context, t *tool, addr netip.Addr) string {
	list, err := neverblock.List(t.Home, t.settings.Whitelist, t.Now())
	match, covered := list.Match(addr)
	switch {
	case covered:
		return t.colour(alert, "whitelisted by "+printable.Line(match.String()))
	case err != nil:
		return "not whitelisted, as far as the whitelist can be read: " + printable.Error(err)
	}
	return "not whitelisted"
}

func showAlert(ctx context.Context, t *tool, id string) {
	ctx, cancel := context.WithTimeout(ctx, alertWait)
	defer cancel()
	found, err := alerts.Find(ctx, t.Home.Alerts(), id)
	a := found[id]
	t.say("")
	switch {
	case a == nil && err == nil:
		t.say("alert %s: not in %s any more, or never written", arlog.Word(id), t.Home.Alerts())
		return
	case a == nil:
		t.say("alert %s: %s", arlog.Word(id), printable.Error(err))
		return
	}
	t.say("%s", t.colour(bold, fmt.Sprintf("alert %s of %s", arlog.Word(id),
		a.Time.In(t.Now().Location()).Format(time.DateTime))))
	t.say("  rule %s (level %d): %s", arlog.Word(a.RuleID), a.Level, printable.Line(a.Description))
	t.say("  from %s", printable.Line(strings.TrimSpace(a.Host+" "+a.Location)))
	if a.User != "" {
		t.say("  user %s", printable.Line(a.User))
	}
	const most = 12
	for _, line := range a.Log[:min(len(a.Log), most)] {
		t.say("  | %s", printable.Line(line))
	}
	if more := len(a.Log) - most; more > 0 {
		t.say("  | and %d more lines", more)
	}
}

// maxEntries is how many entries of the log are shown.
const maxEntries = 10

// isAbout reports whether an entry of the log is about a target.
func isAbout(e arlog.Entry, of target.Target) bool {
	if of.Account() != "" {
		return e.User == arlog.Word(of.Account()) && strings.Contains(e.Message, " account: ")
	}
	return e.Addr == of.Addr()
}

// showLog shows what the log last said about a target.
func showLog(t *tool, of target.Target) {
	var last []arlog.Entry
	err := eachLogged(t, func(e arlog.Entry) {
		if !isAbout(e, of) {
			return
		}
		if len(last) == maxEntries {
			last = append(last[:0], last[1:]...)
		}
		last = append(last, e)
	})
	t.say("")
	switch {
	case err != nil:
		t.say("log: %s", printable.Error(err))
		return
	case len(last) == 0:
		t.say("log: nothing about it in the last %d MiB of %s", record.MaxTail>>20, t.Home.ResponseLog())
		return
	}
	t.say("%s", t.colour(bold, "log"))
	for _, e := range last {
		t.say("  %s", logged(t, e))
	}
}
