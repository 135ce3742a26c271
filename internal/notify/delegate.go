package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/confine"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// spareTime is what a job may take beside sending.
const spareTime = 30 * time.Second

// prepare gives a job what it needs of settings and files, which are read here.
func (o *office) prepare(j job) job {
	j.Settings, j.Program, j.Now, j.Templates = o.settings, o.Channel.Program, o.Now(), o.post.templates()
	var before map[netip.Addr]*past
	if !j.Sample {
		before = o.lookBack(j.Entries)
	}
	for i := range j.Entries {
		e := &j.Entries[i]
		before[e.Addr].fill(e, time.Local)
		if e.Addr.IsValid() && e.Network == "" {
			e.Country, e.Network = o.geo.lookup(e.Addr, o.fault)
		}
		item := *e.Item
		item.Body = nil // the entry has it
		e.Item = &item
		e.Hooks = nil // secrets of one service each
	}
	return j
}

// delegate has a job done by the process without rights, within a time for sending.
func (o *office) delegate(ctx context.Context, j job, within time.Duration) (a answer, err error) {
	a, err = run(ctx, o.prepare(j), within)
	o.report(a.Faults)
	return a, err
}

// run has a prepared job done by the process without rights.
func run(ctx context.Context, j job, within time.Duration) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, within+spareTime)
	defer cancel()
	err = confine.Run(ctx, j, &a)
	return a, err
}

// report passes on what the process said was wrong beside the work.
func (o *office) report(faults []string) {
	for _, text := range faults {
		o.fault(errors.New(printable.Line(text)))
	}
}

// Send is outbox.Courier's.
func (o *office) Send(
	ctx context.Context, to []string, items []*outbox.Item, counted outbox.Counted,
) (n int, result map[string]error, err error) {
	j := job{To: to, Counted: counted}
	for _, item := range items {
		e := open(item)
		o.refresh(&e)
		item.Body, _ = json.Marshal(e.Notice) // it has nothing that cannot be encoded
		j.Entries = append(j.Entries, e)
	}
	a, result, err := o.post.send(ctx, j)
	return a.Used, result, err
}
