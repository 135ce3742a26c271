package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// deliverer works through the queue. There is one at a time: it holds the lock.
type deliverer struct {
	queue   *queue
	home    ossec.Home
	now     func() time.Time
	lookup  whitelist.Resolver
	program string             // for log lines about no notice
	log     func(lines []byte) // adds to notifications.log
	send    func(ctx context.Context, s Settings, to []string, message []byte) (map[string]error, error)

	facts     *resolver
	settings  Settings
	ready     map[string]notice // by id, as they stand in dirReady
	progress  progress
	told      map[string]bool // faults that have been logged
	seen      map[string]bool // events that the last step saw
	unsettled int             // those of them that are not ready
	failure   error           // of the last attempt, nil when it went well
}

// begin reads what the queue holds.
func (d *deliverer) begin() {
	d.ready, d.told = map[string]notice{}, map[string]bool{}
	d.queue.sweep(d.now())
	var err error
	if d.progress, err = d.queue.load(); err != nil {
		d.fault(err)
	}
}

// configure reads the settings anew: a process that waits must not go by old ones.
func (d *deliverer) configure() {
	c, err := config.Load(d.home.Settings())
	if err != nil {
		d.fault(err)
	}
	d.settings, err = LoadSettings(d.home, c.Mail)
	if err != nil {
		d.fault(err)
	}
	var geoFiles *geo
	names := map[netip.Addr]*nameLookup{}
	if d.facts != nil {
		geoFiles, names = d.facts.geo, d.facts.names
	}
	if geoFiles == nil || !slices.Equal(geoFiles.paths, c.Mail.GeoFiles) {
		if geoFiles != nil {
			geoFiles.close()
		}
		geoFiles = &geo{paths: c.Mail.GeoFiles}
	}
	d.facts = &resolver{home: d.home, config: c, now: d.now, lookup: d.lookup, geo: geoFiles, names: names, fault: d.fault}
}

// step does all that is due and returns when the next thing falls due, the zero time when
// nothing is left.
func (d *deliverer) step(ctx context.Context) (time.Time, error) {
	d.configure()
	switch err := d.queue.takeRetry(); {
	case err == nil:
		d.progress.Retry, d.progress.Refused = time.Time{}, map[string]refusal{}
	case !errors.Is(err, os.ErrNotExist): // it would be asked for again and again
		return time.Time{}, fmt.Errorf("taking note of the wish for another attempt: %w", err)
	}
	unsettled, err := d.fold(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if err := d.refresh(); err != nil {
		return time.Time{}, err
	}
	next := earliest(unsettled, time.Time{})
	for {
		mail, due, err := d.pick()
		if err != nil {
			return time.Time{}, err
		}
		if mail == nil {
			return earliest(next, due), nil
		}
		if err := d.deliver(ctx, mail); err != nil {
			return time.Time{}, err
		}
		if err := ctx.Err(); err != nil {
			return time.Time{}, err
		}
	}
}

// earliest returns the earlier of two times, of which a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// unsettledPause is how soon to look again for facts that may be coming.
const unsettledPause = 50 * time.Millisecond

// fold turns events into notices and returns when to look again at those whose facts may
// still be coming, the zero time when there are none.
func (d *deliverer) fold(ctx context.Context) (time.Time, error) {
	names, err := d.queue.names(dirNew)
	d.seen, d.unsettled = map[string]bool{}, 0
	for _, name := range names {
		d.seen[name] = true
	}
	if err != nil || len(names) == 0 {
		d.facts.forget()
		return time.Time{}, err
	}
	if err := d.refresh(); err != nil {
		return time.Time{}, err
	}
	round := d.facts.round(len(names))
	var again time.Time
	batch := batch{map[string][]string{}, map[string][]string{}}
	for _, name := range names {
		e, ok, err := d.arrived(name)
		if err != nil {
			return again, err
		}
		if !ok {
			continue
		}
		n, settled := round.settle(ctx, e)
		if !settled {
			d.unsettled++
			again = earliest(again, d.now().Add(unsettledPause))
			continue
		}
		n.Folded = []string{name}
		n.Recipients = d.settings.Recipients(n.RuleID, n.Alert.Level, n.Alert.Groups)
		switch {
		case len(n.Recipients) > 0:
			d.admit(n, name, batch)
		case d.settings.notSet != nil: // the settings are broken just now: that is no reason to drop it
			again = earliest(again, d.now().Add(backoff(1)))
		default:
			d.logLine(n, arlog.StatusSkip, skippedMessage(n))
			if err := d.queue.remove(dirNew, name); err != nil {
				return again, err
			}
		}
	}
	return again, d.settleFiles(batch.changed)
}

// arrived reads an event; not ok is one that is gone or does not read.
func (d *deliverer) arrived(name string) (e event, ok bool, err error) {
	err = d.queue.read(dirNew, name, &e)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return e, false, nil // somebody dropped it
	case errors.Is(err, errDamagedFile):
		d.fault(err)
		return e, false, d.queue.setAsideDamaged(dirNew, name)
	}
	return e, err == nil, err
}

// batch is what one fold changes, by id of the notice.
type batch struct {
	changed map[string][]string // its events in this fold
	before  map[string][]string // the events that it had taken in in the fold before
}

// admit puts a notice of one event into ready, or into the one that waits there already.
func (d *deliverer) admit(n notice, name string, b batch) {
	n.setID()
	have, waiting := d.ready[n.ID]
	if len(b.changed[n.ID]) == 0 {
		b.before[n.ID], have.Folded = have.Folded, nil
	}
	switch {
	case waiting && slices.Contains(b.before[n.ID], name): // killed between the two steps of settleFiles
		have.Folded = append(have.Folded, name)
	case waiting:
		have.take(n)
	default:
		have = n
	}
	d.ready[n.ID] = have
	b.changed[n.ID] = append(b.changed[n.ID], name)
}

// settleFiles writes the changed notices and then removes their events.
func (d *deliverer) settleFiles(changed map[string][]string) error {
	for id, events := range changed {
		if err := d.queue.write(dirReady, id, d.ready[id]); err != nil {
			return fmt.Errorf("writing to the mail queue: %w", err)
		}
		for _, name := range events {
			if err := d.queue.remove(dirNew, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// refresh brings ready up to what the folder holds: a person may have dropped a notice,
// or put a failed one back.
func (d *deliverer) refresh() error {
	names, err := d.queue.names(dirReady)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
		if _, known := d.ready[name]; known {
			continue
		}
		var n notice
		err := d.queue.read(dirReady, name, &n)
		switch {
		case errors.Is(err, errDamagedFile):
			d.fault(err)
			if err := d.queue.setAsideDamaged(dirReady, name); err != nil {
				return err
			}
			continue
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		case err == nil:
			n.ID, n.Error = name, "" // a person may have put it back
			d.ready[name] = n
		}
	}
	for id := range d.ready {
		if !there[id] {
			delete(d.ready, id)
		}
	}
	return nil
}

// fault logs what went wrong beside the way, once in this run.
func (d *deliverer) fault(err error) {
	text := err.Error()
	if d.told[text] {
		return
	}
	d.told[text] = true
	for line := range strings.SplitSeq(text, "\n") {
		d.logLine(notice{Program: d.program}, arlog.StatusError, arlog.Failed(errors.New(line)))
	}
}

// logLine adds one line about a notice to the log.
func (d *deliverer) logLine(n notice, status arlog.Status, message string) {
	d.log(d.line(n, status, message))
}

func (d *deliverer) line(n notice, status arlog.Status, message string) []byte {
	return arlog.Entry{
		Time: d.now(), Program: n.Program, Status: status, Addr: n.Addr, AlertID: n.Alert.ID, RuleID: n.RuleID, Message: message,
	}.Format()
}
