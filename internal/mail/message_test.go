package mail

import (
	"bytes"
	"mime"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable/printabletest"
)

// A subject shows what stands in it: no encoded word of an attacker's, no header of his.
func TestHostileSubject(t *testing.T) {
	s := mustLoad(t, "<ossec_config><global><email_notification>yes</email_notification><email_to>ops@example.org</email_to>"+
		"<smtp_server>127.0.0.1</smtp_server><email_from>ossec@example.org</email_from></global></ossec_config>", "")
	for _, subject := range []string{printabletest.Hostile, "plain =?utf-8?q?=46orged?=", "é =?utf-8?q?=46orged?= =?utf-8?b?Rm9yZ2Vk?="} {
		raw, err := s.Format(Message{Subject: subject, Text: "x\n"}, s.To, time.Now(), "1")
		if err != nil {
			t.Fatal(err)
		}
		m, err := netmail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || !strings.Contains(shown, "= ?utf-8?q?=46orged?=") || m.Header.Get("Forged") != "" {
			t.Errorf("%q is shown as %q, %v", subject, shown, err)
		}
		printabletest.Check(t, "the subject", shown)
	}
}
