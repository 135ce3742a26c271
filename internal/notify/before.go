package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/history"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// past is when an address was blocked, in no set order.
type past struct {
	blocks []time.Time
	since  time.Time // where the log begins; zero when the history says it
	known  bool
}

// lookBack returns the past of the addresses of entries: from the history, which is kept where who
// comes back is held longer, else from what the log still has.
func (o *office) lookBack(entries []entry) map[netip.Addr]*past {
	all := map[netip.Addr]*past{}
	for _, e := range entries {
		if e.Addr.IsValid() {
			all[e.Addr] = &past{}
		}
	}
	if len(all) == 0 {
		return all
	}
	look := o.logged
	if len(o.config.Escalate) > 0 {
		look = o.remembered
	}
	if err := look(all); err != nil && !errors.Is(err, os.ErrNotExist) { // nothing was ever logged
		o.fault(fmt.Errorf("looking for earlier blocks: %w", err))
	}
	return all
}

func (o *office) remembered(all map[netip.Addr]*past) error {
	var targets []target.Target
	for addr := range all {
		targets = append(targets, hold.Around(target.Of(addr))...)
	}
	for _, response := range responses {
		at, err := history.Book{Dir: o.Home.State(), Response: response}.Of(targets...)
		if err != nil {
			return err
		}
		for addr, p := range all {
			p.known = true
			for _, t := range hold.Around(target.Of(addr)) {
				p.blocks = append(p.blocks, at[t]...)
			}
		}
	}
	return nil
}

// logged takes each line that says that an address is blocked for a block, unless it was blocked then.
func (o *office) logged(all map[netip.Addr]*past) error {
	var since time.Time
	blocked := map[netip.Addr]bool{}
	err := record.Tail(o.Program, o.config.Wazuh.AddressFields, func(line arlog.Entry) {
		if since.IsZero() {
			since = line.Time
		}
		p := all[line.Addr]
		switch {
		case p == nil || strings.Contains(line.Message, " account: "):
		case line.Status == arlog.StatusDelete:
			blocked[line.Addr] = false
		case line.Status == arlog.StatusAdd && !blocked[line.Addr]:
			p.blocks, blocked[line.Addr] = append(p.blocks, line.Time), true
		}
	})
	for _, p := range all {
		p.since, p.known = since, !since.IsZero()
	}
	return err
}

const (
	// sameBlock is how far apart responses may block an address on one alert.
	sameBlock = 10 * time.Second
	// beside is how much earlier than its lease a block may be logged, by seconds.
	beside = 2 * time.Second
)

// fill says how often the address of e was blocked before it was for this alert, where that is known.
func (p *past) fill(e *entry, zone *time.Location) {
	if p == nil || !p.known {
		return
	}
	begun := e.Item.First
	for _, h := range e.Standing.Holders {
		if h.Since.Before(begun) {
			begun = h.Since
		}
	}
	slices.SortFunc(p.blocks, time.Time.Compare)
	var times []time.Time
	for _, at := range p.blocks {
		again := len(times) == 0 || at.Sub(times[len(times)-1]) > sameBlock
		if again && at.Before(begun.Add(-beside)) {
			times = append(times, at)
		}
	}
	if n := len(times); n > 0 && e.Kind == notice.End && !e.Standing.Blocked() {
		times = times[:n-1] // it is the one that ended
	}
	e.Blocks, e.Before = len(times), "never blocked"
	if e.Blocks > 0 {
		e.Before = fmt.Sprintf("blocked %s, the last time %s", printable.Count(e.Blocks, "time"),
			stamp(times[e.Blocks-1], zone))
	}
	if !p.since.IsZero() {
		e.Before += " (the log begins " + stamp(p.since, zone) + ")"
	}
}
