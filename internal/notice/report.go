package notice

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// errEmpty says that a report has no subject or no text.
var errEmpty = errors.New("the report has no subject or no text")

// QueueReport puts a report for the general recipients into the outbox and starts the
// deliverer. It goes by the same settings, limit and retries as notices do, in a mail of
// its own; html may be "". It is safe on disk when there is no error.
func QueueReport(p *app.Program, subject, text, html string) error {
	if strings.TrimSpace(subject) == "" || strings.TrimSpace(text) == "" {
		return errEmpty
	}
	settings, err := config.Load(p.Home)
	if err != nil {
		p.Complain(err) // what is sound in it counts
	}
	if err := fill(p.Home, &settings.Mail); err != nil {
		return err
	}
	if _, err := settings.Mail.General(); err != nil {
		return err
	}
	box, err := enqueue(p, Notice{Kind: Report, Subject: subject, Text: text, HTML: html})
	if box != nil && err != nil {
		p.Complain(err)
		return nil
	}
	return err
}

// fill takes from ossec.conf to whom and by which server mail goes, where [mail] leaves that
// open, and returns config.ErrMailUnset when neither says. It checks nothing else: the
// deliverer does, and logs what it finds.
func fill(home ossec.Home, m *config.Mail) error {
	base, err := ossec.ReadMail(home.Conf()) // what could be read counts
	if len(m.To) == 0 {
		m.To = base.To
	}
	if m.Server == "" {
		m.Server = base.Server
	}
	unset := config.MailUnset(m.Server, len(m.To)+len(m.Routes))
	if unset == nil || err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, ossec.ErrBrokenConf) {
		return unset
	}
	return fmt.Errorf("%w: %w", unset, err)
}
