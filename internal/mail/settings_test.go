package mail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

func TestSettings(t *testing.T) {
	const conf = `<ossec_config><global>
<email_to>a@example.org</email_to><email_to>b@example.org</email_to>
<smtp_server>mail.example.org</smtp_server><smtp_user>u</smtp_user><auth_smtp>yes</auth_smtp><smtp_password>p</smtp_password>
<helo_server>helo.example.org</helo_server>
</global></ossec_config>`
	s := mustLoad(t, conf, "")
	secret, _ := s.readPassword()
	if len(s.To) != 2 || s.Port != 587 || s.User != "u" || secret != "p" || s.HELO != "helo.example.org" ||
		s.MaxPerHour != 12 ||
		!s.strict ||
		s.Sender.Address != "ossec@"+s.Host {
		t.Errorf("got %+v", s)
	}
	s = mustLoad(t, conf, `[mail]
to = ["Ops <c@example.org>"]
smtp_server = "other.example.org"
smtp_port = 465
tls = "implicit"
max_per_hour = 3
helo = "x"
`)
	if len(s.To) != 1 || s.To[0] != "c@example.org" || s.Server != "other.example.org" || s.Port != 465 ||
		s.MaxPerHour != 3 ||
		s.HELO != "x" ||
		s.User != "u" {
		t.Errorf("got %+v", s)
	}
}

func TestSettingsFaults(t *testing.T) {
	for conf, want := range map[string]string{
		"":                                   "neither a recipient nor a mail server",
		"<email_to>a@example.org</email_to>": "no mail server",
		"<smtp_server>m</smtp_server>":       "no recipient",
		"<smtp_server>m</smtp_server><email_to>a@example.org\nBcc: b@example.org</email_to>": "is no mail address",
		"<smtp_server>m</smtp_server><email_to>-oQ/tmp@example.org</email_to>":               "that can be used: it begins with '-'",
		"<smtp_server>m -x</smtp_server><email_to>a@example.org</email_to>":                  "neither a host nor the absolute path",
		"<smtp_server>m</smtp_server><email_to>a@e.org</email_to><email_from>x</email_from>": "sender: \"x\" is no mail address",
		"<smtp_server>m</smtp_server><email_to>a@e.org</email_to><smtp_port>0</smtp_port>":   "<smtp_port>: \"0\" is no number",
	} {
		_, err := load(t, "<ossec_config><global>"+conf+"</global></ossec_config>", "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", conf, err, want)
		}
	}
	s, err := load(
		t,
		"",
		"[mail]\nsmtp_server = \"m\"\n[[mail.route]]\nto = [\"x\", \"a@e.org\"]\n[[mail.route]]\nto = [\"y\"]\n",
	)
	if err == nil || len(s.Routes) != 1 || len(s.Routes[0].To) != 1 || s.Unset != nil {
		t.Errorf("%v, %+v", err, s.Routes)
	}
}

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	m := newMailConfig()
	m.Server, m.To, m.User, m.Password = "mail.example.org", []string{"a@example.org"}, "u", path
	home := ossec.Home(t.TempDir())
	write(t, path, "secret one\n")
	s, err := Load(home, m)
	if secret, serr := s.readPassword(); err != nil || serr != nil || secret != "secret one" {
		t.Errorf("%q, %v, %v", secret, err, serr)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(home, m)
		if !errors.Is(err, errPassword) || !strings.Contains(err.Error(), "can be read by others") ||
			!strings.Contains(Hint(err), "chmod 0600") ||
			strings.Contains(err.Error(), "secret one") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for _, text := range []string{"", "two\nlines\n", "nul\x00", strings.Repeat("x", maxPassword+1)} {
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(home, m); !errors.Is(err, errPassword) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestHint(t *testing.T) {
	for _, err := range []error{config.ErrMailUnset, errPassword, errCertificate, errNoTLS} {
		if Hint(err) == "" {
			t.Errorf("no hint for %v", err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("Ops <ops@example.org>")
	f.Add("\"a b\"@example.org")
	f.Add("-x@example.org\r\nBcc: y@example.org")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err == nil && (strings.ContainsAny(a.Address, " \r\n<>\x00") || a.Address[0] == '-') {
			t.Errorf("%q gives %q", text, a.Address)
		}
	})
}
