package notify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// composed is a mail that is ready to go.
type composed struct {
	subject string
	html    string
	text    string
	raw     []byte // as it goes over the wire, line ends included
}

// compose makes one mail of notices. The error tells of broken templates too, and then
// the mail is good all the same; without one to send, raw is nil.
func compose(s Settings, notices []notice, to []string, now time.Time) (composed, error) {
	return composeView(s, makeView(s, notices, now, time.Local), to, now, messageID(s, notices, to))
}

func composeView(s Settings, v View, to []string, now time.Time, id string) (composed, error) {
	var c composed
	var faults []error
	for part, into := range map[string]*string{partSubject: &c.subject, partText: &c.text, partHTML: &c.html} {
		out, err := s.render(part, v)
		if err != nil {
			faults = append(faults, err)
		}
		*into = out
	}
	err := errors.Join(faults...)
	if errors.Is(err, errNoPart) {
		return c, err
	}
	return c, errors.Join(err, c.write(s, to, now, id))
}

// write makes the mail of its parts.
func (c *composed) write(s Settings, to []string, now time.Time, id string) error {
	c.subject = cleanLine(strings.Join(strings.Fields(c.subject), " "))
	c.text, c.html = strings.ToValidUTF8(c.text, "\uFFFD"), strings.ToValidUTF8(c.html, "\uFFFD")
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	m.FromMailAddress(s.From)
	if err := m.To(to...); err != nil {
		return fmt.Errorf("composing the mail: %w", err)
	}
	if s.ReplyTo != nil {
		m.ReplyToMailAddress(s.ReplyTo)
	}
	m.Subject(c.subject)
	m.SetDateWithValue(now)
	m.SetMessageIDWithValue(id)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday answers it
	if s.IDSName != "" {
		m.SetGenHeader("X-IDS-OSSEC", cleanLine(s.IDSName))
	}
	m.SetBodyString(mail.TypeTextPlain, c.text)
	if c.html != "" {
		m.AddAlternativeString(mail.TypeTextHTML, c.html)
	}
	var raw bytes.Buffer
	if _, err := m.WriteTo(&raw); err != nil {
		return fmt.Errorf("composing the mail: %w", err)
	}
	c.raw = raw.Bytes()
	return nil
}

// messageID is the same whenever the same notices are sent to the same people, so that
// a mail that goes twice because the process was killed can be told for the same.
func messageID(s Settings, notices []notice, to []string) string {
	sum := sha256.New()
	for _, n := range notices {
		fmt.Fprintf(sum, "%s %d %d\n", n.ID, n.First.UnixNano(), n.Count)
	}
	fmt.Fprintln(sum, to)
	return hex.EncodeToString(sum.Sum(nil)[:16]) + "@" + s.Host
}
