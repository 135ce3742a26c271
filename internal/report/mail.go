package report

import (
	_ "embed"
	"fmt"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// Send sends a report, or leaves it where it is delivered from.
type Send func(subject, text, html string) error

// Sending is how a report is sent. cmd/response-stats provides it, so that this package knows neither
// settings nor queues.
type Sending struct {
	Mail, Chat Send
	Leave      Send // to chat, by the next `ossec-ar maintain`
}

// mailText is the report for mail programs, of which many know neither SVG nor style sheets.
//
//go:embed templates/mail.html.tmpl
var mailText string

func (c *program) sendMail(r *stats.Report) error {
	page, err := fill(mailText, newPageData(r))
	if err == nil {
		err = c.send.Mail(subject(r), string(text(r)), string(page))
	}
	if err != nil {
		return fmt.Errorf("mailing the report: %w", err)
	}
	return nil
}

func (c *program) sendChat(r *stats.Report, send Send) error {
	if err := send(subject(r), string(text(r)), ""); err != nil {
		return fmt.Errorf("sending the report to chat: %w", err)
	}
	return nil
}

func subject(r *stats.Report) string {
	on := ""
	if r.Host != "" {
		on = " on " + printable.Short(r.Host, 64)
	}
	return fmt.Sprintf("Active responses%s %s: %s, %s", on, r.Period.Label,
		printable.Count(r.Totals.Blocks, "block"),
		printable.Count(r.Addrs.Different, "address"))
}
