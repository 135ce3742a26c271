package config

import (
	"strings"
	"testing"
	"time"
)

func TestMail(t *testing.T) {
	c, _, err := load(t, `
[mail]
to = ["Ops <ops@example.org>", "two@example.org"]
coalesce = "0s"
tls_verify = "no"

[[mail.route]]
to = ["boss@example.org"]
level = 12
rules = ["5712"]
only = true
`)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Mail
	if len(m.To) != 2 || m.Coalesce.Duration != 0 || m.Verify != "no" || len(m.Routes) != 1 || m.Routes[0].Level != 12 || !m.Routes[0].Only || m.Auth != "auto" || m.Linger.Duration != 2*time.Minute {
		t.Errorf("got %+v", m)
	}
}

func TestMailFaults(t *testing.T) {
	c, path, err := load(t, `[mail]
to = ["ok@example.org", "no address", "-oQ/tmp@example.org"]
from = "a@example.org, b@example.org"
auth = "ntlm"
smtp_port = 70000
password_file = "secret"
linger = "-1s"

[[mail.route]]
level = 3
colour = "red"
`)
	if err == nil {
		t.Fatal("want faults")
	}
	for _, want := range []string{
		path + `:2: mail.to: "no address" is no mail address`,
		path + `:2: mail.to: "-oQ/tmp@example.org" is no mail address that can be used: it begins with '-'`,
		path + `:3: mail.from: `,
		path + `:4: mail.auth: "ntlm" is not one of auto, none`,
		path + `:5: mail.smtp_port: 70000 is no port number`,
		path + `:6: mail.password_file: "secret" is no absolute path`,
		path + `:7: mail.linger: "-1s" is less than zero`,
		`mail.route: number 1: to: no recipient`,
		`unknown key "colour"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("faults lack %q in:\n%v", want, err)
		}
	}
	if len(c.Mail.To) != 1 || c.Mail.From != "" || c.Mail.Auth != "auto" || len(c.Mail.Routes) != 0 {
		t.Errorf("what is sound does not hold: %+v", c.Mail)
	}
}

func FuzzMailAddress(f *testing.F) {
	f.Add("Ops <ops@example.org>")
	f.Add("\"a b\"@example.org")
	f.Add("-x@example.org\r\nBcc: y@example.org")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := MailAddress(text)
		if err == nil && (strings.ContainsAny(a.Address, " \r\n<>\x00") || a.Address[0] == '-') {
			t.Errorf("%q gives %q", text, a.Address)
		}
	})
}
