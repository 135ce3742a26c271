package mail

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// Message is what one mail says.
type Message struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html,omitempty"` // "" for none
}

// headerText makes one line of a text, in which nothing is an encoded word (RFC 2047): a reader of
// mail would show that as whatever the writer of a log line encoded in it.
func headerText(text string) string {
	return strings.ReplaceAll(printable.Line(strings.Join(strings.Fields(text), " ")), "=?", "= ?")
}

// Format returns the mail as it goes over the wire, line ends included. id stands before
// the @ of its Message-ID.
func (s *Settings) Format(m Message, to []string, now time.Time, id string) ([]byte, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.Sender)
	if err := msg.To(to...); err != nil {
		return nil, fmt.Errorf("composing the mail: %w", err)
	}
	if s.Reply != nil {
		msg.ReplyToMailAddress(s.Reply)
	}
	msg.Subject(headerText(m.Subject))
	msg.SetDateWithValue(now)
	msg.SetMessageIDWithValue(id + "@" + s.Host)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday answers it
	if s.IDSName != "" {
		msg.SetGenHeader("X-IDS-OSSEC", headerText(s.IDSName))
	}
	msg.SetBodyString(mail.TypeTextPlain, strings.ToValidUTF8(m.Text, "\uFFFD"))
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, strings.ToValidUTF8(m.HTML, "\uFFFD"))
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return nil, fmt.Errorf("composing the mail: %w", err)
	}
	return raw.Bytes(), nil
}
