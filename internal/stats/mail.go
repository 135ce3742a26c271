package stats

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"sync"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/notify"
)

//go:embed templates/mail.html.tmpl
var mailText string

// letter is the report for mail programs, of which many know neither SVG nor style
// sheets.
var letter = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("mail").Funcs(template.FuncMap{
		"number": groupDigits,
		"text":   func(s string) string { return printable(s, 300) },
		"width":  func(part, whole uint64) uint64 { return max(part*100/max(whole, 1), 1) },
	}).Parse(mailText))
})

// sendMail leaves the report in email-notification's queue, from which it is delivered
// by the same settings and with the same patience as a notification.
func (c *program) sendMail(r *Report) error {
	configured, err := config.Load(c.Home.Settings())
	if err != nil {
		c.Complain(err) // what is sound in it counts
	}
	settings, err := notify.LoadSettings(c.Home, configured.Mail)
	if err != nil && !errors.Is(err, notify.ErrNotSet) {
		c.Complain(err)
	}
	page, err := r.mailHTML()
	if err == nil {
		err = notify.Submit(&c.Program, settings, notify.Message{Subject: r.subject(), Text: string(r.Text()), HTML: page})
	}
	if err != nil {
		return fmt.Errorf("mailing the report: %w", err)
	}
	return nil
}

func (r *Report) subject() string {
	on := ""
	if r.Host != "" {
		on = " on " + printable(r.Host, 64)
	}
	return fmt.Sprintf("Active responses%s %s: %s, %s", on, r.Period.Label,
		plural(int(r.Totals.Blocks), "block", "blocks"), plural(int(r.Addrs.Different), "address", "addresses"))
}

func (r *Report) mailHTML() (string, error) {
	var b bytes.Buffer
	data := pageData{Report: r, Stamp: r.Generated.Format(headStamp), Only: r.Filter.text, Skips: r.Totals.skips(), Lists: r.lists()}
	err := letter().Execute(&b, data)
	return b.String(), err
}
