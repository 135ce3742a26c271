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

// compose makes one mail of the first of the items, as many as it has room for, and returns their
// number. With a mail, the error is of something beside it.
func (o *office) compose(
	ctx context.Context, to []string, items []*outbox.Item, counted outbox.Counted,
) (raw []byte, n int, err error) {
	entries := make([]entry, len(items))
	for i, item := range items {
		entries[i] = open(item)
	}
	var faults []error
	o.describe(ctx, entries, func(err error) { faults = append(faults, err) })
	m, err := mail.Message{Subject: entries[0].Subject, Text: entries[0].Text, HTML: entries[0].HTML}, nil
	if entries[0].Kind != notice.Report {
		for {
			v := makeView(o.settings, entries, o.Now(), time.Local)
			v.count(counted)
			m, err = write(o.settings, v)
			if !errors.Is(err, errTooLong) || !errors.Is(err, errNoPart) || len(entries) < 2 {
				break
			}
			entries = entries[:len(entries)/2] // the rest goes in the next
		}
	}
	if errors.Is(err, errNoPart) {
		return nil, len(entries), err
	}
	raw, ferr := o.settings.Format(m, to, o.Now(), messageID(entries, to))
	return raw, len(entries), errors.Join(append(faults, err, ferr)...)
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
		fmt.Fprintf(sum, "%s %d %d\n", e.item.ID, e.item.First.UnixNano(), e.item.Count)
	}
	fmt.Fprintln(sum, to)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
