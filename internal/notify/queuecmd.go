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

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// listed is one notification in the output of queue.
type listed struct {
	ID         string    `json:"id"`
	State      string    `json:"state"` // arrived, waiting, refused
	Kind       string    `json:"kind"`
	Address    string    `json:"address,omitempty"`
	Rule       string    `json:"rule,omitempty"`
	Alerts     int       `json:"alerts"`
	Since      time.Time `json:"since"`
	Recipients []string  `json:"recipients,omitempty"`
	Error      string    `json:"error,omitempty"`
}

// showQueue shows the queue or acts on it.
func (c *call) showQueue(retry, drop string, asJSON bool) int {
	if retry != "" && drop != "" {
		_ = c.usageError(errors.New("either --retry or --drop"))
		return app.ExitFailed
	}
	rows, progress := []listed{}, progress{}
	q, err := openQueue(c.Home.MailQueue())
	switch {
	case err == nil:
		rows, progress, err = q.list()
	case errors.Is(err, os.ErrNotExist):
		err = nil // nothing was ever queued
	}
	sent := pace{sent: progress.Sent}
	sent.forget(c.Now())
	progress.Sent = sent.sent
	if err != nil {
		c.Complain(err)
		return app.ExitFailed
	}
	switch {
	case retry != "":
		return c.retry(q, rows, retry)
	case drop != "":
		return c.drop(q, rows, drop)
	case asJSON:
		enc := json.NewEncoder(c.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(struct {
			SentLastHour int       `json:"sent_in_the_last_hour"`
			NextAttempt  time.Time `json:"next_attempt,omitzero"`
			Error        string    `json:"error,omitempty"`
			Mails        []listed  `json:"notifications"`
		}{len(progress.Sent), progress.Retry, progress.Error, rows})
	default:
		err = c.table(rows, progress)
	}
	if err != nil {
		c.Complain(fmt.Errorf("writing the list: %w", err))
		return app.ExitFailed
	}
	return app.ExitOK
}

func (c *call) table(rows []listed, progress progress) error {
	if progress.Error != "" {
		fmt.Fprintf(c.Stdout, "the last attempt failed: %s\nnext attempt: %s\n", cleanLine(progress.Error), progress.Retry.Local().Format(time.DateTime))
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(c.Stdout, "the queue is empty")
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tADDRESS\tRULE\tALERTS\tSINCE\tTO\tWHY")
	for _, r := range rows {
		why := cleanLine(r.Error)
		if why == "" {
			why = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.ID, r.State, arlog.Word(r.Address), arlog.Word(r.Rule), r.Alerts,
			r.Since.Local().Format(time.DateTime), arlog.Word(strings.Join(r.Recipients, ",")), why)
	}
	return w.Flush() // the writer keeps the first error of any Fprintf
}

// chosen returns the rows that an ID names.
func (c *call) chosen(rows []listed, id string) []listed {
	if id == "all" {
		return rows
	}
	if i := slices.IndexFunc(rows, func(r listed) bool { return r.ID == id }); i >= 0 {
		return rows[i : i+1]
	}
	c.Complain(fmt.Errorf("there is no notification %s in the queue", arproto.Quote(id)))
	return nil
}

func (c *call) retry(q *queue, rows []listed, id string) int {
	chosen := c.chosen(rows, id)
	if chosen == nil && id != "all" {
		return app.ExitFailed
	}
	for _, r := range chosen {
		if r.State == stateRefused {
			if err := q.putBack(r.ID); err != nil {
				c.Complain(err)
				return app.ExitFailed
			}
		}
	}
	if len(chosen) > 0 {
		err := q.askRetry()
		if err == nil {
			err = q.start(&c.Program)
		}
		if err != nil {
			c.Complain(fmt.Errorf("asking for another attempt: %w", err))
			return app.ExitFailed
		}
	}
	fmt.Fprintf(c.Stdout, "trying %d again\n", len(chosen))
	return app.ExitOK
}

func (c *call) drop(q *queue, rows []listed, id string) int {
	chosen := c.chosen(rows, id)
	if chosen == nil && id != "all" {
		return app.ExitFailed
	}
	for _, r := range chosen {
		if err := q.remove(stateDirs[r.State], r.ID); err != nil {
			c.Complain(err)
			return app.ExitFailed
		}
	}
	fmt.Fprintf(c.Stdout, "dropped %d\n", len(chosen))
	return app.ExitOK
}
