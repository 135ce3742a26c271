package mail

import (
	"errors"
	"fmt"
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
	if len(s.To) != 2 || s.Port != 587 || s.User != "u" || s.Secret != "p" || s.HELO != "helo.example.org" ||
		s.MaxPerHour != 12 ||
		!s.Strict ||
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
		"<smtp_server>m</smtp_server><email_to>a@example.org\nBcc: b@example.org</email_to>":   "is no mail address",
		"<smtp_server>m</smtp_server><email_to>-oQ/tmp@example.org</email_to>":                 "that can be used: it begins with '-'",
		"<smtp_server>m -x</smtp_server><email_to>a@example.org</email_to>":                    "neither a host nor the absolute path",
		"<smtp_server>m</smtp_server><email_to>a@e.org</email_to><email_from>x y</email_from>": "sender: \"x y\" is no mail address",
		"<smtp_server>m</smtp_server><email_to>a@e.org</email_to><smtp_port>0</smtp_port>":     "<smtp_port>: no number from 1",
	} {
		_, err := load(t, "<ossec_config><global>"+conf+"</global></ossec_config>", "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", conf, err, want)
		}
	}
	s, err := load(
		t,
		"",
		"[mail]\nsmtp_server = \"m\"\n[[mail.route]]\nto = [\"x y\", \"a@e.org\"]\n[[mail.route]]\nto = [\"y@\"]\n",
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
	if err != nil || s.Secret != "secret one" {
		t.Errorf("%q, %v", s.Secret, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644} {
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
	for _, err := range []error{config.ErrMailUnset, errPassword, Pass(errCertificate), Pass(errNoTLS)} {
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

// The sender of OSSEC's packages ends in a dot, and others are without a domain.
func TestAddressesAsOSSECTakesThem(t *testing.T) {
	for from, want := range map[string]string{
		"ossecm@ossec.example.com.": "ossecm@ossec.example.com", "ossecm": "ossecm@HOST", "ossecm.": "ossecm@HOST",
		"OSSEC <ossecm@ossec.example.com.>": "ossecm@ossec.example.com",
	} {
		from = strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(from)
		s := mustLoad(t, "<ossec_config><global><email_to>root</email_to><smtp_server>m</smtp_server><email_from>"+from+
			"</email_from></global></ossec_config>", "")
		if want = strings.Replace(want, "HOST", s.Host, 1); s.Sender.Address != want || s.To[0] != "root@"+s.Host {
			t.Errorf("%s: %s, to %s", from, s.Sender.Address, s.To)
		}
	}
}

// Where others than root can change ossec.conf it names no program that root runs, and gets no secret
// of root's; nothing of its text is repeated.
func TestForeignConf(t *testing.T) {
	dir := t.TempDir()
	secret, program := filepath.Join(dir, "secret"), fakeSendmail(t, filepath.Join(dir, "sendmail"))
	write(t, secret, "s3cret\n")
	const mine = "<email_to>ops@example.org</email_to><email_to>s3cret:1:</email_to><helo_server>s3cret s</helo_server>"
	for _, r := range []struct{ name, conf, settings, server, user, want string }{
		{"a program", "<smtp_server>" + program + "</smtp_server>", "", "", "",
			"a mail program in CONF is not run: CONF could be changed by others than root"},
		{"a server for root's password", "<smtp_server>192.0.2.1</smtp_server>",
			"smtp_user = \"u\"\npassword_file = \"" + secret + "\"\n", "192.0.2.1", "u",
			"password_file is not sent to a mail server that CONF names: CONF could be changed"},
		{"a server of its own", "<smtp_server>192.0.2.1</smtp_server>", "", "192.0.2.1", "", ""},
		{"a program of root's", "<smtp_server>192.0.2.1</smtp_server>", "smtp_server = \"" + program + "\"\n", program, "", ""},
		{"how to talk to root's server", "<smtp_tls_verify>no</smtp_tls_verify><auth_smtp>yes</auth_smtp><smtp_user>x</smtp_user>",
			"smtp_server = \"192.0.2.2\"\ntls = \"starttls\"\n", "192.0.2.2", "", ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			home := ossec.Home(t.TempDir())
			write(t, home.Conf(), "<ossec_config><global>"+mine+r.conf+"</global></ossec_config>")
			write(t, string(home)+"/etc/active-response.toml", "[mail]\n"+r.settings)
			c, err := config.Load(home)
			if err := errors.Join(err, os.Chmod(home.Conf(), 0o660)); err != nil {
				t.Fatal(err)
			}
			s, err := Load(home, c.Mail)
			if s.Server != r.server || s.User != r.user || len(s.To) != 1 || r.server == "192.0.2.2" && !s.Strict {
				t.Errorf("%+v", s)
			}
			told := fmt.Sprint(err)
			if !strings.Contains(told, strings.ReplaceAll(r.want, "CONF", home.Conf())) || strings.Contains(told, "s3cret") ||
				strings.Contains(told, "not sent") != strings.Contains(r.want, "not sent") {
				t.Errorf("%v, want %q", err, r.want)
			}
			if s.Secret != "" {
				t.Errorf("password %q", s.Secret)
			}
		})
	}
}

// TestArguments: what a mail program is given is as much root's alone as it.
func TestArguments(t *testing.T) {
	dir := t.TempDir()
	program := fakeSendmail(t, filepath.Join(dir, "sendmail"))
	shared := filepath.Join(dir, "shared")
	if err := errors.Join(os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "own.cf"), "")
	for args, want := range map[string]string{
		"-t -C/" + dir + "/own.cf --file=" + dir + "/own.cf -X " + dir + "/new.log -oQ" + dir: "",
		"-C " + shared + "/x.cf":      shared + " could be changed by others than root",
		"-C" + shared + "/x.cf":       shared + " could be changed",
		"--file=" + shared + "/x.cf":  shared + " could be changed",
		"-C " + shared + "/../own.cf": shared + " could be changed",
		"-C ../x.cf":                  `"../x.cf" has a path that does not begin with /`,
		"-Cconf/x.cf":                 `"-Cconf/x.cf" has a path`,
	} {
		s := mustLoad(t, sendmailConf(program+" "+args), "")
		if err := s.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
		if _, err := s.sendAll(t); (err == nil) != (want == "") {
			t.Errorf("%s: sending: %v", args, err)
		}
	}
}

// A program, and a file that the settings name, counts only where nobody else can put another in its place.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	program := fakeSendmail(t, filepath.Join(dir, "sendmail"))
	s := mustLoad(t, sendmailConf(program), "")
	for _, shared := range []string{dir, program} {
		info, err := os.Stat(shared)
		if err := errors.Join(err, os.Chmod(shared, 0o777)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.sendAll(t); err == nil || !strings.Contains(err.Error(), shared+" could be changed by others than root") {
			t.Errorf("%s: %v", shared, err)
		}
		if err := os.Chmod(shared, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "args")); err == nil {
		t.Error("it ran")
	}
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, "x")
	if err := os.Chmod(ca, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, confOf(1, ""), "[mail]\nca_file = \""+ca+"\"\n"); err == nil || !strings.Contains(err.Error(), "reading ca_file: "+ca+" could be changed") {
		t.Error(err)
	}
}
