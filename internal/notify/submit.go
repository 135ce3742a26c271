package notify

import (
	"errors"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// Message is a mail that was made elsewhere, such as a report.
type Message struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html,omitempty"` // "" for none
}

// errEmpty says that a message has no subject or no text.
var errEmpty = errors.New("the message has no subject or no text")

// Submit puts a message for the general recipients into the queue and starts delivering
// it. It goes by the same settings, limit and retries as notifications do, in a mail of
// its own. It is safe on disk when Submit returns without an error.
func Submit(p *app.Program, settings Settings, m Message) error {
	if strings.TrimSpace(m.Subject) == "" || strings.TrimSpace(m.Text) == "" {
		return errEmpty
	}
	if settings.notSet != nil {
		return settings.notSet
	}
	if _, err := settings.general(); err != nil {
		return err
	}
	q, err := makeQueue(p.Home.MailQueue())
	if err != nil {
		return err
	}
	if err := q.add(event{Kind: kindMessage, Queued: p.Now().UTC(), Program: absolute(p.Invoked, p.Dir), Message: &m}); err != nil {
		return err
	}
	return q.start(p)
}
