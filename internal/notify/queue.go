package notify

import (
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
}

func list(rows []outbox.Row) []listed {
	all := []listed{}
	for _, row := range rows {
		e, first := open(row.Topic), row.Topic[0]
		l := listed{first.ID, row.State, e.Kind, "", e.RuleID, e.Count, e.First, first.To, first.Error}
		if e.Addr.IsValid() {
			l.Address = e.Addr.String()
		}
		all = append(all, l)
	}
	return all
}

// queue shows the queue or acts on it.
func (o *office) queue(retry, drop string, asJSON bool) error {
	if retry != "" && drop != "" {
		return errors.New("either --retry or --drop")
	}
	var rows []outbox.Row
	var progress outbox.Progress
	box, err := outbox.Open(o.Home.MailQueue())
	switch {
	case err == nil:
		rows, progress, err = box.List(o.Now())
	case errors.Is(err, os.ErrNotExist):
		err = nil // nothing was ever queued
	}
	switch {
	case err != nil:
		return err
	case retry != "":
		return o.retry(box, rows, retry)
	case drop != "":
		return o.drop(box, rows, drop)
	case asJSON:
		enc := json.NewEncoder(o.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(struct {
			SentLastHour int       `json:"sent_in_the_last_hour"`
			NextAttempt  time.Time `json:"next_attempt,omitzero"`
			Error        string    `json:"error,omitempty"`
			Counted      int       `json:"only_counted,omitempty"`
			Notices      []listed  `json:"notifications"`
		}{len(progress.Sent), progress.Retry, progress.Error, progress.Counted, list(rows)})
	default:
		err = o.table(list(rows), progress)
	}
	if err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

func (o *office) table(rows []listed, progress outbox.Progress) error {
	if progress.Error != "" {
		fmt.Fprintf(o.Stdout, "the last attempt failed: %s\nnext attempt: %s\n",
			printable.Line(progress.Error), progress.Retry.Local().Format(time.DateTime))
	}
	if progress.Counted > 0 {
		fmt.Fprintf(o.Stdout, "the queue was full: %d more are only counted\n", progress.Counted)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(o.Stdout, "the queue is empty")
		return err
	}
	w := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tADDRESS\tRULE\tALERTS\tSINCE\tTO\tWHY")
	for _, r := range rows {
		why := printable.Line(r.Error)
		if why == "" {
			why = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			r.ID, r.State, arlog.Word(r.Address), arlog.Word(r.Rule), r.Alerts,
			r.Since.Local().Format(time.DateTime), arlog.Word(strings.Join(r.Recipients, ",")), why)
	}
	return w.Flush() // the writer keeps the first error of any Fprintf
}

// chosen returns the rows that an ID names.
func chosen(rows []outbox.Row, id string) ([]outbox.Row, error) {
	if id == "all" {
		return rows, nil
	}
	if i := slices.IndexFunc(rows, func(r outbox.Row) bool { return r.Topic[0].ID == id }); i >= 0 {
		return rows[i : i+1], nil
	}
	return nil, fmt.Errorf("there is no notice %s in the queue", arproto.Quote(id))
}

func (o *office) retry(box *outbox.Box, rows []outbox.Row, id string) error {
	rows, err := chosen(rows, id)
	if err != nil {
		return err
	}
	for _, r := range rows {
		err = errors.Join(err, box.PutBack(r))
	}
	if err == nil && len(rows) > 0 {
		if err = box.AskRetry(); err == nil {
			err = notice.StartDelivery(o.Program, box)
		}
	}
	if err != nil {
		return fmt.Errorf("asking for another attempt: %w", err)
	}
	return o.print(fmt.Sprintf("trying %d again\n", len(rows)))
}

func (o *office) drop(box *outbox.Box, rows []outbox.Row, id string) error {
	rows, err := chosen(rows, id)
	for _, r := range rows {
		err = errors.Join(err, box.Drop(r))
	}
	if err != nil {
		return err
	}
	return o.print(fmt.Sprintf("dropped %d\n", len(rows)))
}
