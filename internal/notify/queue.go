package notify

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// listed is one notice in the output of queue.
type listed struct {
	ID         string       `json:"id"`
	State      outbox.State `json:"state"` // arrived, waiting, refused
	Kind       notice.Kind  `json:"kind"`
	Address    string       `json:"address,omitempty"`
	Rule       string       `json:"rule,omitempty"`
	Alerts     int          `json:"alerts"`
	Since      time.Time    `json:"since"`
	Recipients []string     `json:"recipients,omitempty"`
	Error      string       `json:"error,omitempty"`
	Why        string       `json:"why,omitempty"`  // it waits
	Until      time.Time    `json:"until,omitzero"` // it waits at least
}

func (o desk) listed(items []*outbox.Item, progress outbox.Progress) []listed {
	limits, _ := o.Configure() // what is wrong with it is logged by who delivers
	waiting := 0
	for _, i := range items {
		if i.State() == outbox.Waiting {
			waiting++
		}
	}
	all := []listed{}
	for _, i := range items {
		e := open(i)
		l := listed{ID: i.ID, State: i.State(), Kind: e.Kind, Rule: e.RuleID, Alerts: i.Count, Since: i.First,
			Recipients: i.To, Error: i.Error}
		l.Why, l.Until = progress.Why(i, waiting, limits, o.Now())
		if e.Addr.IsValid() {
			l.Address = e.Addr.String()
		}
		all = append(all, l)
	}
	return all
}

// showQueue shows the queue or acts on it.
func (o desk) showQueue(retry, drop string, asJSON bool) error {
	if retry != "" && drop != "" {
		return errors.New("either --retry or --drop")
	}
	var items []*outbox.Item
	var progress outbox.Progress
	box, err := outbox.Open(o.Queue(o.Home))
	switch {
	case err == nil:
		items, progress, err = box.List(o.Now())
	case errors.Is(err, os.ErrNotExist):
		err = nil // nothing was ever queued
	}
	switch {
	case err != nil:
		return err
	case retry != "":
		return o.retry(box, items, retry)
	case drop != "":
		return o.drop(box, items, drop)
	case asJSON:
		enc := json.NewEncoder(printable.JSONWriter{Writer: o.Stdout})
		enc.SetIndent("", "  ")
		err = enc.Encode(struct {
			SentLastHour int       `json:"sent_in_the_last_hour"`
			NextAttempt  time.Time `json:"next_attempt,omitzero"`
			Error        string    `json:"error,omitempty"`
			Counted      int       `json:"only_counted,omitempty"`
			Notices      []listed  `json:"notifications"`
		}{len(progress.Sent), progress.Retry, progress.Error, progress.Counted.Total, o.listed(items, progress)})
	default:
		err = o.table(o.listed(items, progress), progress)
	}
	if err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

func (o desk) table(rows []listed, progress outbox.Progress) error {
	if progress.Error != "" {
		fmt.Fprintf(o.Stdout, "the last attempt failed: %s\nnext attempt: %s\n",
			printable.Line(progress.Error), progress.Retry.Local().Format(time.DateTime))
	}
	if n := progress.Counted.Total; n > 0 {
		fmt.Fprintf(o.Stdout, "the queue was full: %d more are only counted\n", n)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(o.Stdout, "the queue is empty")
		return err
	}
	w := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tADDRESS\tRULE\tALERTS\tSINCE\tTO\tWHY")
	for _, r := range rows {
		why := cmp.Or(printable.Line(r.Error), r.Why, "-")
		if r.Why != "" {
			why += ": until " + r.Until.Local().Format(time.TimeOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			r.ID, r.State, arlog.Word(r.Address), arlog.Word(r.Rule), r.Alerts,
			r.Since.Local().Format(time.DateTime), arlog.Word(strings.Join(r.Recipients, ",")), why)
	}
	return w.Flush() // the writer keeps the first error of any Fprintf
}

// chosen returns the items that an ID, or the word all, names.
func chosen(items []*outbox.Item, id string) ([]*outbox.Item, error) {
	if id == "all" {
		return items, nil
	}
	if i := slices.IndexFunc(items, func(i *outbox.Item) bool { return i.ID == id }); i >= 0 {
		return items[i : i+1], nil
	}
	return nil, fmt.Errorf("there is no notice %s in the queue", arproto.Quote(id))
}

func (o desk) retry(box *outbox.Box, items []*outbox.Item, id string) error {
	items, err := chosen(items, id)
	var refused []string
	for _, i := range items {
		if i.State() == outbox.Refused {
			refused = append(refused, i.ID)
		}
	}
	if err == nil && len(items) > 0 {
		if err = box.Retry(refused...); err == nil {
			err = o.StartDelivery(o.Program, box)
		}
	}
	if err != nil {
		return fmt.Errorf("asking for another attempt: %w", err)
	}
	return o.print(fmt.Sprintf("trying %d again\n", len(items)))
}

func (o desk) drop(box *outbox.Box, items []*outbox.Item, id string) error {
	items, err := chosen(items, id)
	var ids []string
	for _, i := range items {
		ids = append(ids, i.ID)
	}
	if err == nil && len(ids) > 0 {
		err = box.Drop(ids...)
	}
	if err != nil {
		return err
	}
	return o.print(fmt.Sprintf("dropped %d\n", len(ids)))
}
