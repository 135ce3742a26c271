// Package mail tests email-notification and ossec-ar against a real mail server of Debian's: the
// programs as they are installed, Postfix with Cyrus SASL, mailboxes on disk.
package mail

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// house is an installation with nothing but the two programs in it.
type house struct {
	t       *testing.T
	home    string
	program string
}

func newHouse(t *testing.T) house {
	t.Helper()
	h := house{t: t, home: filepath.Join(t.TempDir(), "var/ossec")}
	h.program = filepath.Join(h.home, "active-response/bin/email-notification")
	for path, source := range map[string]string{h.program: "email-notification", filepath.Join(h.home, "bin/ossec-ar"): "ossec-ar"} {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "urfave_cli_no_docs", "-o", path, "../../cmd/"+source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building: %v\n%s", err, out)
		}
		// What others may write to is not run.
		if err := errors.Join(os.Chmod(filepath.Dir(path), 0o755), os.Chmod(path, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// conf sets the program up to send by the server.
func (h house) conf(p *postfix, global, settings string) {
	h.t.Helper()
	text := fmt.Sprintf("<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>127.0.0.1</smtp_server><smtp_port>%d</smtp_port>"+
		"<email_from>ossec@web.example.org</email_from><email_maxperhour>1000</email_maxperhour>%s</global></ossec_config>\n", p.port, global)
	for path, text := range map[string]string{"etc/ossec.conf": text, "etc/active-response.toml": "[mail]\nlinger = \"0s\"\ncoalesce = \"0s\"\n" + settings} {
		path = filepath.Join(h.home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h house) run(args ...string) (string, error) {
	out, err := exec.Command(h.program, args...).CombinedOutput()
	return string(out), err
}

const asUser = "<secure_smtp>yes</secure_smtp><auth_smtp>yes</auth_smtp><smtp_user>" + login + "</smtp_user><smtp_password>s3cret &quot;p&amp;w</smtp_password>"

func TestPostfix(t *testing.T) {
	needPostfix(t)
	p := newPostfix(t)
	h := newHouse(t)
	trust := fmt.Sprintf("ca_file = %q\n", p.ca)

	for i, mech := range []string{"auto", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"} {
		t.Run("STARTTLS and AUTH "+mech, func(t *testing.T) {
			h.conf(p, asUser, trust+fmt.Sprintf("auth = %q\n", mech))
			addr := fmt.Sprintf("203.0.113.%d", i+1)
			if out, err := h.run("add", "root", addr, "1.1", "5712", "web->/var/log/auth.log", "-"); err != nil || out != "" {
				t.Fatalf("%v\n%s", err, out)
			}
			m, err := mail.ReadMessage(bytes.NewReader(p.next("ops")))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Header.Get("Subject"); got != "OSSEC Alert: Threat Detected - "+addr {
				t.Errorf("subject %q", got)
			}
			want := mech
			if mech == "auto" {
				want = "scram-sha-256"
			}
			p.wantLogged("sasl_method=" + want + ", sasl_username=" + login + "@mail.test")
			if received := strings.Join(m.Header["Received"], "\n"); !strings.Contains(received, "ESMTPSA") {
				t.Errorf("not by an encrypted, authenticated session: %s", received)
			}
		})
	}
	t.Run("test shows the dialogue", func(t *testing.T) {
		h.conf(p, asUser, trust)
		out, err := h.run("test")
		for _, want := range []string{"connected to 127.0.0.1:", "encrypted: TLS 1.3, certificate verified\n", "logged in as mailer with SCRAM-SHA-256\n", "recipient ops@example.org accepted\n", "mail accepted: 2.0.0 Ok: queued as "} {
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("%v: it lacks %q:\n%s", err, want, out)
			}
		}
		p.next("ops")
	})
	t.Run("an unknown certificate", func(t *testing.T) {
		h.conf(p, asUser, "")
		if out, err := h.run("test"); err == nil || !strings.Contains(out, "the server's certificate is not to be trusted") || !strings.Contains(out, "hint: set ca_file") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("a wrong password", func(t *testing.T) {
		h.conf(p, strings.Replace(asUser, "s3cret", "guess", 1), trust)
		if out, err := h.run("test"); err == nil || !strings.Contains(out, `logging in as "mailer" with SCRAM-SHA-256: 535`) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("a recipient that is not there", func(t *testing.T) {
		h.conf(p, asUser+"<email_to>nobody@example.org</email_to>", trust)
		if out, err := h.run("add", "203.0.113.100"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		p.next("ops")
		if out, err := h.run("flush"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		out, err := h.run("queue")
		if err != nil || !strings.Contains(out, "refused  203.0.113.100") || !strings.Contains(out, "nobody@example.org") || strings.Contains(out, "ops@example.org") {
			t.Errorf("%v\n%s", err, out)
		}
		if out, err := h.run("queue", "--drop", "all"); err != nil || out != "dropped 1\n" {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("the server is away", func(t *testing.T) {
		h.conf(p, asUser, trust+"[[mail.route]]\nto = [\"boss@example.org\"]\nrules = [\"31151\"]\nonly = true\n")
		p.stop()
		for i := range 3 {
			if out, err := h.run("add", "-", fmt.Sprintf("198.51.100.%d", i+1), "1.1", "5712", "x", "-"); err != nil || out != "" {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		if out, err := h.run("add", "-", "198.51.100.4", "1.1", "31151", "x", "-"); err != nil || out != "" {
			t.Fatalf("%v\n%s", err, out)
		}
		p.start()
		if out, err := h.run("queue", "--retry", "all"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if text := string(p.next("boss")); !strings.Contains(text, "198.51.100.4") {
			t.Errorf("boss got\n%s", text)
		}
		all := ""
		for strings.Count(all, "\nSubject: ") < 1 || !strings.Contains(all, "198.51.100.1") || !strings.Contains(all, "198.51.100.2") || !strings.Contains(all, "198.51.100.3") {
			all += string(p.next("ops"))
		}
		if p.count("ops") != 0 || strings.Contains(all, "198.51.100.4") {
			t.Errorf("ops got more:\n%s", all)
		}
	})
}
