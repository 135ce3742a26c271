package mail

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
)

func TestDialogue(t *testing.T) {
	type row struct {
		name             string
		secure, implicit bool     // the server
		mechs            []string // the server
		conf             string   // more of <global>
		settings         string   // of [mail]; CA stands for the certificate's file
		want             error    // errors.Is
		wantText         string
		encrypted        bool
		mech             string
	}
	login := "<auth_smtp>yes</auth_smtp><smtp_user>" + mailtest.User + "</smtp_user><smtp_password>s3cret &quot;p&amp;w</smtp_password>"
	trust := "ca_file = \"CA\"\n"
	for _, r := range []row{
		{name: "plain"},
		{name: "encrypts when offered, whoever signed it", secure: true, encrypted: true},
		{name: "tls = none", secure: true, settings: "tls = \"none\"\n"},
		{name: "secure_smtp and an unknown certificate", secure: true, conf: "<secure_smtp>yes</secure_smtp>", want: errCertificate},
		{name: "smtp_tls_verify yes and an unknown certificate", secure: true, conf: "<smtp_tls_verify>yes</smtp_tls_verify>", want: errCertificate},
		{name: "secure_smtp, not verified", secure: true, conf: "<secure_smtp>yes</secure_smtp><smtp_tls_verify>no</smtp_tls_verify>", encrypted: true},
		{name: "secure_smtp and a known certificate", secure: true, conf: "<secure_smtp>yes</secure_smtp>", settings: trust, encrypted: true},
		{name: "a known certificate of another name", secure: true, conf: "<secure_smtp>yes</secure_smtp><smtp_server>localhost</smtp_server>", settings: trust, want: errCertificate},
		{name: "secure_smtp and a server without", conf: "<secure_smtp>yes</secure_smtp>", want: errNoTLS},
		{name: "implicit", secure: true, implicit: true, settings: trust + "tls = \"implicit\"\n", encrypted: true},
		{name: "implicit and an unknown certificate", secure: true, implicit: true, settings: "tls = \"implicit\"\n", want: errCertificate},
		{name: "PLAIN", secure: true, mechs: []string{"LOGIN", "PLAIN", "CRAM-MD5"}, conf: login, encrypted: true, mech: "PLAIN"},
		{name: "LOGIN", secure: true, mechs: []string{"LOGIN"}, conf: login, encrypted: true, mech: "LOGIN"},
		{name: "CRAM-MD5 in the clear", mechs: []string{"PLAIN", "CRAM-MD5"}, conf: login, mech: "CRAM-MD5"},
		{name: "the mechanism that is set", secure: true, mechs: []string{"PLAIN", "CRAM-MD5"}, conf: login, settings: "auth = \"cram-md5\"\n", encrypted: true, mech: "CRAM-MD5"},
		{name: "no mechanism that is set", mechs: []string{"PLAIN"}, conf: login, settings: "auth = \"scram-sha-256\"\n", wantText: "none of it can be used"},
		{name: "wrong password", mechs: []string{"PLAIN"}, conf: strings.Replace(login, "s3cret", "guess", 1), wantText: `logging in as "mailer" with PLAIN: 535`},
		{name: "a login is needed and none is set", mechs: []string{"PLAIN"}, wantText: "530"},
	} {
		t.Run(r.name, func(t *testing.T) {
			s, ca := mailtest.New(t, r.secure, r.implicit)
			s.Set(func(s *mailtest.Server) { s.Mechs = r.mechs })
			settings := mustLoad(t, s.Conf(r.conf), "[mail]\n"+strings.ReplaceAll(r.settings, "CA", ca))
			dialogue, err := settings.sendAll(t)
			if r.want == nil && r.wantText == "" {
				if err != nil || !strings.Contains(dialogue, "mail accepted: ") {
					t.Fatalf("%v\n%s", err, dialogue)
				}
				s.Next()
				s.Set(func(s *mailtest.Server) {
					if s.Encrypted != r.encrypted || s.Mech != r.mech {
						t.Errorf(
							"encrypted %v, logged in by %q; want %v, %q",
							s.Encrypted,
							s.Mech,
							r.encrypted,
							r.mech,
						)
					}
				})
				return
			}
			if err == nil || !strings.Contains(err.Error(), r.wantText) ||
				r.want != nil && !errors.Is(err, r.want) ||
				strings.Contains(dialogue+err.Error(), mailtest.Password) {
				t.Errorf("%v\n%s", err, dialogue)
			}
			s.None()
		})
	}
}

// To a server elsewhere no password goes in the clear, not even when it is asked for one.
func TestNoPasswordInTheClear(t *testing.T) {
	s := &session{Settings: &Settings{}}
	s.Server, s.Auth = "mail.example.org", "auto"
	for _, offered := range []string{"PLAIN", "LOGIN"} {
		if name, auth := s.mechanism([]string{offered}, "x"); auth != nil {
			t.Errorf("it would use %s", name)
		}
	}
	s.User, s.TLS = "u", "auto"
	if !s.tlsRequired() {
		t.Error("encryption is not required")
	}
}

// What a server says of the mail as a whole, of one recipient, or by hanging up.
func TestAnswers(t *testing.T) {
	answer := func(code int) error { return &smtp.SMTPError{Code: code, Message: "because"} }
	rcpt := func(err error) func(*mailtest.Server) {
		return func(s *mailtest.Server) {
			s.OnRcpt = func(to string) error {
				if strings.HasPrefix(to, "ops") {
					return err
				}
				return nil
			}
		}
	}
	data := func(err error) func(*mailtest.Server) {
		return func(s *mailtest.Server) { s.OnData = func(io.Reader) error { return err } }
	}
	for _, r := range []struct {
		name   string
		set    func(*mailtest.Server)
		whole  bool   // the error is of the server
		ops    string // "refused", "deferred", ""
		second string
	}{
		{"all is well", func(*mailtest.Server) {}, false, "", ""},
		{"one refused", rcpt(answer(550)), false, "refused", ""},
		{"one deferred", rcpt(answer(450)), false, "deferred", ""},
		{"the mail refused", data(answer(554)), false, "refused", "refused"},
		{"the mail deferred", data(answer(451)), true, "", ""},
		{"cut within the mail", func(s *mailtest.Server) { s.CutAfter = 10 }, true, "", ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			s, _ := mailtest.New(t, false, false)
			s.Set(r.set)
			settings := mustLoad(t, s.Conf("<email_to>second@example.org</email_to>"), "")
			result, err := settings.Send(
				t.Context(),
				settings.To,
				[]byte("Subject: x\r\n\r\nxxxxxxxxxxxxxxxxxxxx\r\n"), func(string) {})
			if (err != nil) != r.whole {
				t.Fatal(err)
			}
			for to, want := range map[string]string{"ops@example.org": r.ops, "second@example.org": r.second} {
				got := ""
				if err := result[to]; errors.As(err, new(refusedError)) {
					got = "refused"
				} else if err != nil {
					got = "deferred"
				}
				if !r.whole && got != want {
					t.Errorf("%s: %q, want %q (%v)", to, got, want, result[to])
				}
			}
			if err := settings.Reach(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
