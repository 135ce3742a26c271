package notice

import (
	"errors"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
)

// errEmpty says that a report has no subject or no text.
var errEmpty = errors.New("the report has no subject or no text")

// QueueReport puts a report for those who get reports into the outbox of a channel and starts the
// deliverer, unless it can wait for `ossec-ar maintain`. It goes by the same settings, limit and
// retries as notices do, in a message of its own; html may be "". It is safe on disk when there is no
// error.
func QueueReport(p *app.Program, ch Channel, subject, text, html string, wait bool) error {
	if strings.TrimSpace(subject) == "" || strings.TrimSpace(text) == "" {
		return errEmpty
	}
	settings, err := config.Load(p.Home)
	if err != nil {
		p.Complain(err) // what is sound in it counts
	}
	if err := ch.unset(p.Home, &settings); err != nil {
		return err
	}
	if err := ch.report(&settings); err != nil {
		return err
	}
	n := Notice{Kind: Report, Subject: subject, Text: text, HTML: html}
	if wait {
		_, err := ch.put(p, n)
		return err
	}
	box, err := ch.enqueue(p, n)
	if box != nil && err != nil {
		p.Complain(err)
		return nil
	}
	return err
}
