package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/confine"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// spareTime is what a job may take beside sending.
const spareTime = 30 * time.Second

// delegate has a job done by the process without rights. What it needs of files is read here.
func (o *office) delegate(ctx context.Context, j job) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.settings.TotalTime()+spareTime)
	defer cancel()
	j.Settings, j.Now, j.Templates = o.settings, o.Now(), map[string]string{}
	for _, part := range parts {
		if path := ownTemplate(o.settings, part); path != "" {
			source, err := state.ReadTrusted(path, maxTemplate)
			if err != nil {
				o.fault(fmt.Errorf("%w %s: %w", errTemplate, path, err))
				continue
			}
			j.Templates[part] = string(source)
		}
	}
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
	}
	err = confine.Run(ctx, j, &a)
	for _, text := range a.Faults {
		o.fault(errors.New(printable.Line(text)))
	}
	return a, err
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
	a, result, err := o.send(ctx, j)
	return a.Used, result, err
}

// send sends the mail of a job. See outbox.Courier for what it returns.
func (o *office) send(ctx context.Context, j job) (a answer, result map[string]error, err error) {
	j.Task = taskSend
	if o.settings.Program() {
		j.Task = taskFormat
	}
	a, err = o.delegate(ctx, j)
	switch {
	case err != nil:
		a.Used = len(j.Entries)
		return a, nil, err
	case a.Failed != nil:
		return a, nil, a.Failed
	case j.Task == taskFormat:
		result, err = o.settings.SendProgram(ctx, j.To, a.Raw)
		return a, result, err
	}
	result = map[string]error{}
	for _, to := range j.To {
		failure, answered := a.Results[to]
		switch {
		case !answered:
			result[to] = errors.New("the server said nothing of " + to)
		case failure != nil:
			result[to] = failure
		}
	}
	return a, result, nil
}
