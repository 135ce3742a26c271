package report

import (
	_ "embed"
	"fmt"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// Send mails a report, or leaves it where it is delivered from. cmd/response-stats provides
// it, so that this package knows neither settings of mail nor queues.
type Send func(subject, text, html string) error

// mailText is the report for mail programs, of which many know neither SVG nor style sheets.
//
//go:embed templates/mail.html.tmpl
var mailText string

func (c *program) sendMail(r *stats.Report) error {
	page, err := fill(mailText, newPageData(r))
	if err == nil {
		err = c.send(subject(r), string(text(r)), string(page))
	}
	if err != nil {
		return fmt.Errorf("mailing the report: %w", err)
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
