package stats

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// alertLogs are the families of the manager's alerts, as text and as JSON. The one that
// is written to is also today's dated one, by a hard link.
func alertLogs(home ossec.Home) (text, json family) {
	log := home.AlertLog()
	dir := filepath.Dir(log)
	return family{log, dir, `^ossec-alerts-\d\d(-\d+)?\.log(\.gz)?$`},
		family{strings.TrimSuffix(log, ".log") + ".json", dir, `^ossec-alerts-\d\d(-\d+)?\.json(\.gz)?$`}
}

// listAlerts returns the text files and the JSON files, which mostly hold the same alerts:
// see coverage.
func listAlerts(home ossec.Home) ([]logFile, []string, error) {
	text, json := alertLogs(home)
	files, notes, err := text.list()
	more, moreNotes, jsonErr := json.list()
	for i := range more {
		more[i].json = true
	}
	files, notes = append(files, more...), append(notes, moreNotes...)
	if len(files) > 0 && errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if len(files) > 0 && errors.Is(jsonErr, os.ErrNotExist) {
		jsonErr = nil
	}
	return files, notes, errors.Join(err, jsonErr)
}

// alertTime reads the time of an alert's first line.
func alertTime(line string) (time.Time, bool) {
	scanner := alerts.NewScanner(strings.NewReader(line))
	if line == "" || line[0] != '*' && line[0] != '{' || !scanner.Scan() {
		return time.Time{}, false
	}
	return scanner.Alert().Time, true
}

// alertReader makes events out of the alerts that responses' log lines raised.
type alertReader struct {
	decoder *decoder
	tally   *tally
	want    want
	covered []coverage
}

// Alerts counts the manager's alerts. Their time is the manager's. The report has what
// could be counted, also where there is an error.
func (q *Query) Alerts() (*Report, error) {
	c := &collected{tally: newTally(q.Period, q.Now.Location()), bounds: q.bounds()}
	w := q.want()
	if q.LookBack < 0 { // all alerts of so many days are too much to read unasked
		w.lookBack = w.from
	}
	files, notes, err := listAlerts(q.Home)
	c.notes = notes
	if err != nil {
		c.failures = append(c.failures, fmt.Errorf("looking for the alerts: %w", err))
	}
	reader := &alertReader{
		decoder: q.newDecoder(c.tally),
		tally:   c.tally, want: w,
	}
	for _, f := range inTurn(w.choose(files, alertTime, c.bounds)) {
		if covered(&f, reader.covered) {
			continue
		}
		if err := reader.file(&f, q, c.bounds); errors.Is(err, errCut) {
			c.cut(f.path)
		} else if err != nil {
			c.failures = append(c.failures, fmt.Errorf("reading %s: %w", f.path, err))
			continue
		}
		c.files = append(c.files, f.path)
	}
	c.tally.settle()
	c.remarks(w)
	return c.report(q, SourceAlerts), errors.Join(c.failures...)
}

func (a *alertReader) file(f *logFile, q *Query, b bounds) error {
	file, r, err := f.open()
	if err != nil {
		return err
	}
	defer file.Close()                                     // only read from
	last, latest := int64(0), f.mod.Unix()+alerts.Disorder // what claims to be later is forged
	scanner := alerts.NewScanner(b.reader(r))
	for scanner.Scan() {
		when := scanner.Alert().Time.Unix()
		if when <= latest {
			last = max(last, when)
		}
		if !slices.ContainsFunc(a.covered,
			func(c coverage) bool { return c.json != f.json && c.from <= when && when <= c.to }) {
			a.alert(scanner.Alert(), &q.Filter)
		}
	}
	if f.first != 0 {
		a.covered = append(a.covered, coverageOf(f, last, scanner.Err() == nil))
	}
	return scanner.Err()
}

// alert counts the events in an alert, if it is about a response's log line.
func (a *alertReader) alert(alert *alerts.Alert, filter *Filter) {
	if alert.Description != "" {
		a.tally.rules.describe(a.tally.rules.of(alert.RuleID), alert.Description)
	}
	if !fromResponse(alert) {
		return
	}
	when := alert.Time.Unix()
	t := a.tally
	t.earliest = min(t.earliest, when)
	if when < a.want.lookBack || when >= a.want.until {
		return
	}
	agent := cmp.Or(alert.Agent, alert.Host, "(unknown)")
	if !filter.wantsAgent(agent) || len(alert.Log) == 0 {
		return
	}
	t.lines++
	var e event
	// The first alone: the events before, below it, raised alerts of their own, and what was
	// decoded from the line may hold any text.
	if !a.decoder.decode(alert.Log[0], &e) {
		return
	}
	// Steps of Wazuh's programs raise no alerts, so nothing more is known of a request.
	e.open, e.when, e.agent = false, when, t.agents.of(agent)
	t.add(&e)
}

// fromResponse reports whether the alert is about a line of a response log: by where the
// line comes from, or by OSSEC's and Wazuh's rules for them. Those match
// email-notification's lines too, which have the same form: a mail is no block.
func fromResponse(alert *alerts.Alert) bool {
	switch {
	case strings.HasSuffix(alert.Location, "active-responses.log"):
		return true
	case strings.HasSuffix(alert.Location, "notifications.log"):
		return false
	}
	rule, err := strconv.Atoi(alert.RuleID)
	return err == nil && (rule >= 601 && rule <= 607 || rule >= 651 && rule <= 659)
}
