package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/check"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// summary is one response in status.
type summary struct {
	name, backend string
	count         map[condition]int // of addresses
	by            map[string]int    // addresses by program
	faults        []string
	err           error
}

// status shows the whole on one screen. It is exit status 1 when something is not in force.
func status(t *tool, c *cli.Context) error {
	opened, failed := t.openAll(true)
	never, _ := t.whitelist() // check reports the faults
	t.say("%s %s, home %s", t.Name, app.Version, t.Home)
	wide := len("last failure:")
	for _, name := range t.responses() {
		wide = max(wide, len(name))
	}
	line := func(head, text string) { t.say("%s%*s  %s", head, wide-len(head), "", text) }
	line("daemons:", cmp.Or(strings.Join(daemons(t), ", "), t.colour(bad, "none runs")))
	t.say("")
	for _, r := range opened {
		s := summarize(c.Context, r, never)
		t.say("%s%*s  %s", t.colour(bold, s.name), wide-len(s.name), "", s.text())
		for _, wrong := range s.wrong() {
			line("", t.colour(bad, wrong))
			failed = true
		}
	}
	t.say("")
	line("mail:", queueStatus(t, notice.Mail))
	if len(t.settings.Chat) > 0 {
		line("chat:", queueStatus(t, notice.Chat))
	}
	done := readMaintained(t.Home)
	line("maintain:", maintainStatus(t, done))
	line("last failure:", lastFailure(t))
	found := health(c.Context, t, done)
	for _, f := range found {
		colour := map[enforcer.Verdict]string{enforcer.Fault: bad, enforcer.Warn: alert}[f.Verdict]
		line("health:", t.colour(colour, printable.Line(f.Found)))
		failed = failed || f.Verdict == enforcer.Fault
	}
	if found == nil {
		line("health:", t.colour(good, "nothing found; "+t.Name+" check looks closer"))
	}
	return command.Reported(failed)
}

// summarize looks at one response.
func summarize(ctx context.Context, r *response, never *whitelist.Sieve) summary {
	s := summary{name: r.Kind.Name, count: map[condition]int{}, by: map[string]int{}}
	if b, ok := r.Enforcer.(interface{ Backend(context.Context) string }); ok {
		s.backend = b.Backend(ctx)
	}
	var snap snapshot
	snap, s.err = r.snapshot(ctx, filter{})
	s.faults = snap.faults
	for row := range rows([]snapshot{snap}, never, filter{}) {
		s.add(row, r.Kind.Mixed() || row.Shared)
	}
	return s
}

func (s *summary) add(r row, shared bool) {
	if r.State != notLeased || !shared { // else they may be the administrator's own
		s.count[r.State]++
	}
	for _, h := range r.Holds {
		if h.state != lease.Lifting {
			s.by[h.program]++
		}
	}
}

// mostPrograms is how many programs are named.
const mostPrograms = 4

func (s *summary) text() string {
	with := ""
	if s.backend != "" {
		with = " (" + s.backend + ")"
	}
	if s.count[blocked] == 0 && len(s.by) == 0 {
		return "nothing blocked" + with
	}
	var programs []string
	for name := range s.by {
		programs = append(programs, name)
	}
	slices.SortFunc(programs, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.by[b], s.by[a]), cmp.Compare(a, b))
	})
	var by []string
	for _, name := range programs[:min(len(programs), mostPrograms)] {
		by = append(by, fmt.Sprintf("%s %d", arlog.Word(name), s.by[name]))
	}
	if more := len(programs) - mostPrograms; more > 0 {
		by = append(by, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%d blocked, held by %s%s", s.count[blocked], strings.Join(by, ", "), with)
}

// wrong is what is not as it should be, a line each.
func (s *summary) wrong() []string {
	var out []string
	for _, w := range []struct {
		state condition
		what  string
	}{
		{notInForce, "not in force: ossec-ar repair"},
		{waiting, "could not be blocked: the next maintain tries again"},
		{lifting, "could not be lifted: the next maintain tries again"},
		{notLeased, "blocked that nothing asks for: ossec-ar repair"},
		{whitelisted, "whitelisted by now: ossec-ar repair"},
	} {
		if n := s.count[w.state]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, w.what))
		}
	}
	for _, fault := range s.faults {
		out = append(out, printable.Line(fault))
	}
	if s.err != nil {
		out = append(out, printable.Error(s.err))
	}
	return out
}

// daemons are the processes of this home's OSSEC or Wazuh that run.
func daemons(t *tool) []string {
	var found []string
	for _, p := range t.Home.Processes(t.Proc) {
		if name := printable.Line(p.Name); name != t.Name && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// lastFailure is the last error in the log.
func lastFailure(t *tool) string {
	var last arlog.Entry
	err := eachLogged(t, func(e arlog.Entry) {
		if e.Status == arlog.StatusError {
			last = e
		}
	})
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return printable.Error(err)
	case last.Status == "":
		return "none"
	case last.Addr.IsValid():
		return logged(t, last) + " (" + last.Addr.String() + ")"
	}
	return logged(t, last)
}

func maintainStatus(t *tool, done maintained) string {
	if done.At.IsZero() {
		return t.colour(alert, "never ran: see "+t.Name+" check")
	}
	text := fmt.Sprintf("%s; blocked %d again, freed %d, ended %d", t.when(done.At),
		done.Blocked, done.Freed, done.Ended)
	if done.Failed != "" {
		text += "; " + t.colour(bad, "failed: "+printable.Line(strings.ReplaceAll(done.Failed, "\n", "; ")))
	}
	return text
}

// health is what keeps the suite from its work.
func health(ctx context.Context, t *tool, done maintained) (found []enforcer.Finding) {
	fault := func(text string) {
		found = append(found, enforcer.Finding{Verdict: enforcer.Fault, Found: text})
	}
	if t.settingsFault != nil {
		for text := range strings.SplitSeq(t.settingsFault.Error(), "\n") {
			fault(text)
		}
	}
	dir := t.Home.State()
	if err := state.CheckDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		fault(err.Error())
	}
	// the pattern is well-formed
	if damaged, _ := filepath.Glob(filepath.Join(dir, "*.damaged*")); len(damaged) > 0 {
		fault(damaged[0] + " was damaged and moved aside")
	}
	for _, f := range check.Scheduled(ctx, t.Program, upkeep(t, done)) {
		if f.Verdict != enforcer.OK {
			found = append(found, f)
		}
	}
	return found
}

// queueStatus is what waits in the queue of a channel.
func queueStatus(t *tool, ch notice.Channel) string {
	box, err := outbox.Open(ch.Queue(t.Home))
	if errors.Is(err, os.ErrNotExist) {
		return "nothing waits" // nothing was ever queued
	}
	var items []*outbox.Item
	var progress outbox.Progress
	if err == nil {
		items, progress, err = box.List(t.Now())
	}
	if err != nil {
		return t.colour(bad, printable.Error(err))
	}
	counts := map[outbox.State]int{}
	for _, item := range items {
		counts[item.State()] += item.Count
	}
	var parts []string
	for _, state := range []outbox.State{outbox.Arrived, outbox.Waiting, outbox.Refused} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing waits"}
	}
	if progress.Error != "" {
		parts = append(parts, t.colour(bad, "the last attempt failed: "+printable.Line(progress.Error)))
	}
	return strings.Join(parts, ", ")
}
