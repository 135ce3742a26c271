package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

// Compose is outbox.Courier's.
func (o *office) Compose(
	ctx context.Context, to []string, topics []outbox.Topic, counted int,
) ([]byte, error) {
	entries := make([]entry, len(topics))
	for i, topic := range topics {
		entries[i] = open(topic)
	}
	var faults []error
	var m mail.Message
	if e := entries[0]; e.Kind == notice.Report {
		m = mail.Message{Subject: e.Subject, Text: e.Text, HTML: e.HTML}
	} else {
		o.describe(ctx, entries, func(err error) { faults = append(faults, err) })
		v := makeView(o.settings, entries, o.Now(), time.Local)
		v.Counted = counted
		var err error
		if m, err = write(o.settings, v); errors.Is(err, errNoPart) {
			return nil, err
		}
		faults = append(faults, err)
	}
	raw, err := o.settings.Format(m, to, o.Now(), messageID(entries, to))
	return raw, errors.Join(append(faults, err)...)
}

// write makes the mail of a view. The error is also that of a broken template of the
// administrator's, and then the mail is good all the same; else it is errNoPart.
func write(s *mail.Settings, v View) (m mail.Message, err error) {
	var faults [3]error
	m.Subject, faults[0] = render(s, partSubject, v)
	m.Subject = strings.Join(strings.Fields(m.Subject), " ")
	m.Text, faults[1] = render(s, partText, v)
	m.HTML, faults[2] = render(s, partHTML, v)
	return m, errors.Join(faults[:]...)
}

// messageID is the same whenever the same notices are sent to the same people, so that
// a mail that goes twice because the process was killed can be recognised.
func messageID(entries []entry, to []string) string {
	sum := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(sum, "%s %d %d\n", e.id, e.First.UnixNano(), e.Count)
	}
	fmt.Fprintln(sum, to)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
