package notify

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/config"
)

func newMailConfig() config.Mail { return config.Default().Mail }

func TestSettings(t *testing.T) {
	h := newHouse(t, `<ossec_config><global>
<email_to>a@example.org</email_to><email_to>b@example.org</email_to>
<smtp_server>mail.example.org</smtp_server><smtp_user>u</smtp_user><auth_smtp>yes</auth_smtp><smtp_password>p</smtp_password>
<helo_server>helo.example.org</helo_server>
</global></ossec_config>`, "")
	s, err := LoadSettings(h.home, newMailConfig())
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := s.Secret()
	if len(s.To) != 2 || s.Port != 587 || s.User != "u" || secret != "p" || s.HELO != "helo.example.org" || s.MaxPerHour != 12 || !s.strict || s.From.Address != "ossec@"+s.Host {
		t.Errorf("got %+v", s)
	}
	m := newMailConfig()
	m.To, m.Server, m.Port, m.TLS, m.MaxPerHour, m.HELO = []string{"c@example.org"}, "other.example.org", 465, "implicit", 3, "x"
	if s, err = LoadSettings(h.home, m); err != nil || len(s.To) != 1 || s.Server != "other.example.org" || s.Port != 465 || s.MaxPerHour != 3 || s.HELO != "x" || s.User != "u" {
		t.Errorf("%v, got %+v", err, s)
	}
}

func TestSettingsFaults(t *testing.T) {
	for conf, want := range map[string]string{
		"":                                   "neither a recipient nor a mail server",
		"<email_to>a@example.org</email_to>": "no mail server",
		"<smtp_server>m</smtp_server>":       "no recipient",
		"<smtp_server>m</smtp_server><email_to>a@example.org\nBcc: b@example.org</email_to>": "is no mail address",
		"<smtp_server>m -x</smtp_server><email_to>a@example.org</email_to>":                  "neither a host nor the absolute path",
		"<smtp_server>m</smtp_server><email_to>a@e.org</email_to><email_from>x</email_from>": "sender: \"x\" is no mail address",
		"<smtp_server>m</smtp_server><email_to>a@e.org</email_to><smtp_port>0</smtp_port>":   "<smtp_port>: \"0\" is no number",
	} {
		h := newHouse(t, "<ossec_config><global>"+conf+"</global></ossec_config>", "")
		_, err := LoadSettings(h.home, newMailConfig())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", conf, err, want)
		}
	}
}

func TestNothingSet(t *testing.T) {
	h := newHouse(t, "<ossec_config><global></global></ossec_config>", "")
	status, _, stderr := h.run("", "add", "-", "203.0.113.7", "1.1", "5712", "x", "-")
	if status != 1 || !strings.Contains(stderr, "hint: set <email_to> and <smtp_server> in <global>") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if !strings.Contains(h.log(), " error - 203.0.113.7 1.1 5712 - Failed: mail is not set up: ") {
		t.Errorf("log %q", h.log())
	}
	if _, err := os.Lstat(h.home.MailQueue()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a queue: %v", err)
	}
	if status, _, stderr := h.run("", "delete", "-", "203.0.113.7", "1.1", "5712", "x", "-"); status != 0 || stderr != "" {
		t.Errorf("delete: status %d, %s", status, stderr)
	}
}

func TestPasswordFile(t *testing.T) {
	h := newHouse(t, "", "")
	path := filepath.Join(string(h.home), "password")
	m := newMailConfig()
	m.Server, m.To, m.User, m.Password = "mail.example.org", []string{"a@example.org"}, "u", path
	h.write(path, "secret one\n")
	s, err := LoadSettings(h.home, m)
	if secret, serr := s.Secret(); err != nil || serr != nil || secret != "secret one" {
		t.Errorf("%q, %v, %v", secret, err, serr)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadSettings(h.home, m)
		if !errors.Is(err, errPassword) || !strings.Contains(err.Error(), "can be read by others") || !strings.Contains(Hint(err), "chmod 0600") || strings.Contains(err.Error(), "secret one") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for _, text := range []string{"", "two\nlines\n", "nul\x00", strings.Repeat("x", maxPassword+1)} {
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadSettings(h.home, m); !errors.Is(err, errPassword) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestRoutes(t *testing.T) {
	m := newMailConfig()
	m.Server, m.To = "m", []string{"ops@example.org"}
	m.Routes = []config.MailRoute{
		{To: []string{"boss@example.org"}, Level: 12},
		{To: []string{"web@example.org"}, Rules: []string{"31151"}, Only: true},
		{To: []string{"ssh@example.org", "ops@example.org"}, Groups: []string{"sshd"}, Level: 5},
	}
	s, err := LoadSettings(newHouse(t, "", "").home, m)
	if err != nil {
		t.Fatal(err)
	}
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
		if got := strings.Join(s.Recipients(r.rule, r.level, r.groups), ","); got != r.want {
			t.Errorf("rule %s level %d %s: %s, want %s", r.rule, r.level, r.groups, got, r.want)
		}
	}
}
