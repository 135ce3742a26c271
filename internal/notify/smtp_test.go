package notify

import (
	"context"
	"errors"
	"strings"
	"testing"
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
	login := "<auth_smtp>yes</auth_smtp><smtp_user>" + testUser + "</smtp_user><smtp_password>s3cret &quot;p&amp;w</smtp_password>"
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
			s, ca := newMailServer(t, r.secure, r.implicit)
			s.set(func(s *mailServer) { s.mechs = r.mechs })
			h := newHouse(t, s.conf(r.conf), "[mail]\n"+strings.ReplaceAll(r.settings, "CA", ca))
			status, stdout, stderr := h.run("", "test")
			if r.want == nil && r.wantText == "" {
				if status != 0 || stderr != "" || !strings.Contains(stdout, "mail accepted: ") || !strings.HasSuffix(stdout, "sent a sample to 1\n") {
					t.Fatalf("status %d\n%s%s", status, stdout, stderr)
				}
				if m := s.next(); !strings.Contains(m.text, "This is a sample.") {
					t.Errorf("text\n%s", m.text)
				}
				s.set(func(s *mailServer) {
					if s.encrypted != r.encrypted || s.mech != r.mech {
						t.Errorf("encrypted %v, logged in by %q; want %v, %q", s.encrypted, s.mech, r.encrypted, r.mech)
					}
				})
				return
			}
			if status != 1 || !strings.Contains(stderr, r.wantText) || r.want != nil && !strings.Contains(stderr, r.want.Error()) || strings.Contains(stdout+stderr, testPassword) {
				t.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
			s.none()
		})
	}
}

// To a server elsewhere no password goes in the clear, not even when it is asked for one.
func TestNoPasswordInTheClear(t *testing.T) {
	s := &session{Settings: Settings{}}
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

func TestSendStopsWithItsContext(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	ctx, cancel := context.WithCancel(context.Background())
	s.set(func(s *mailServer) {
		s.onRcpt = func(string) error {
			cancel()
			return nil
		}
	})
	h := newHouse(t, s.conf(""), "")
	settings, err := LoadSettings(h.home, newMailConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := send(ctx, settings, []string{"ops@example.org"}, []byte("Subject: x\r\n\r\nx\r\n"), nil); err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("err = %v", err)
	}
}
