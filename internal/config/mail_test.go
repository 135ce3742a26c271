package config

import (
	"errors"
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
	if len(m.To) != 2 || m.Coalesce.Duration != 0 || m.Verify != "no" || len(m.Routes) != 1 ||
		m.Routes[0].Level != 12 ||
		!m.Routes[0].Only ||
		m.Auth != "auto" ||
		m.Linger.Duration != 2*time.Minute {
		t.Errorf("got %+v", m)
	}
}

func TestMailFaults(t *testing.T) {
	c, path, err := load(t, `[mail]
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
		path + `:2: mail.auth: "ntlm" is not one of auto, none`,
		path + `:3: mail.smtp_port: 70000 is no port number`,
		path + `:4: mail.password_file: "secret" is no absolute path`,
		path + `:5: mail.linger: "-1s" is less than zero`,
		`mail.route: number 1: to: no recipient`,
		`unknown key "colour"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("faults lack %q in:\n%v", want, err)
		}
	}
	if c.Mail.Auth != "auto" || len(c.Mail.Routes) != 0 {
		t.Errorf("what is sound does not hold: %+v", c.Mail)
	}
}

func TestRecipients(t *testing.T) {
	m := Mail{To: []string{"ops@example.org"}, Routes: []MailRoute{
		{To: []string{"boss@example.org"}, Level: 12},
		{To: []string{"web@example.org"}, Rules: []string{"31151"}, Only: true},
		{To: []string{"ssh@example.org", "ops@example.org"}, Groups: []string{"sshd"}, Level: 5},
	}}
	for _, r := range []struct {
		rule   string
		level  int
		groups []string
		want   string
	}{
		{"5712", 10, nil, "ops@example.org"},
		{"5712", 12, nil, "boss@example.org,ops@example.org"},
		{"31151", 13, nil, "boss@example.org,web@example.org"},
		{"5712", 10, []string{"syslog", "sshd"}, "ops@example.org,ssh@example.org"},
		{"5712", 4, []string{"sshd"}, "ops@example.org"},
	} {
		if got := strings.Join(m.Recipients(r.rule, r.level, r.groups), ","); got != r.want {
			t.Errorf("rule %s level %d %s: %s, want %s", r.rule, r.level, r.groups, got, r.want)
		}
	}
	m.To = nil
	if to, err := m.General(); !errors.Is(err, ErrMailUnset) || MailHint(err) == "" {
		t.Errorf("%q, %v", to, err)
	}
}
