package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"sync"

	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// Send mails a report, or leaves it where it is delivered from. cmd/response-stats provides
// it, so that this package knows neither settings of mail nor queues.
type Send func(subject, text, html string) error

//go:embed templates/mail.html.tmpl
var mailText string

// mailTemplate is the report for mail programs, of which many know neither SVG nor style
// sheets.
var mailTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("mail").Funcs(template.FuncMap{
		"number": groupDigits,
		"text":   func(s string) string { return printable(s, 300) },
		"width":  func(part, whole uint64) uint64 { return max(part*100/max(whole, 1), 1) },
	}).Parse(mailText))
})

func (c *program) sendMail(r *stats.Report) error {
	page, err := mailPage(r)
	if err == nil {
		err = c.send(subject(r), string(text(r)), page)
	}
	if err != nil {
		return fmt.Errorf("mailing the report: %w", err)
	}
	return nil
}

func subject(r *stats.Report) string {
	on := ""
	if r.Host != "" {
		on = " on " + printable(r.Host, 64)
	}
	return fmt.Sprintf("Active responses%s %s: %s, %s", on, r.Period.Label,
		plural(int(r.Totals.Blocks), "block", "blocks"),
		plural(int(r.Addrs.Different), "address", "addresses"))
}

func mailPage(r *stats.Report) (string, error) {
	var b bytes.Buffer
	err := mailTemplate().Execute(&b, newPageData(r))
	return b.String(), err
}
