package mail

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
)

// serve is a server that says what a test wants it to, to one client: answer gets each line
// that comes, and "" for the beginning. It returns the port.
func serve(t *testing.T, secure *tls.Config, answer func(w io.Writer, line string) error) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		lines := bufio.NewScanner(conn)
		for err = answer(conn, ""); err == nil && lines.Scan(); {
			err = answer(conn, lines.Text())
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return port
}

// polite answers as a server does that takes every mail.
func polite(w io.Writer, line string) (err error) {
	switch verb, _, _ := strings.Cut(line, " "); verb {
	case "":
		if line == "" { // also the line before the text
			return nil
		}
	case "EHLO":
		_, err = io.WriteString(w, "250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n")
	case "MAIL", "RCPT", ".":
		_, err = io.WriteString(w, "250 fine\r\n")
	case "DATA":
		_, err = io.WriteString(w, "354 go on\r\n")
	case "QUIT":
		_, err = io.WriteString(w, "221 bye\r\n")
	case "*":
		_, err = io.WriteString(w, "501 as you like\r\n")
	}
	return err
}

// A server that does not stop talking is cut off; one with a long greeting is listened to.
func TestTalkativeServer(t *testing.T) {
	secure, ca := mailtest.Certificate(t)
	for _, r := range []struct {
		name   string
		secure *tls.Config
		unit   string // of what it says
		end    string // what follows, "" for nothing
		size   int
	}{
		{"a greeting without an end", nil, "220-" + strings.Repeat("x", 1000) + "\r\n", "", 256 << 20},
		{"short lines without an end", nil, "220-\r\n", "", 256 << 20},
		{"a line without an end", nil, "220 " + strings.Repeat("x", 1000), "", 256 << 20},
		{"a line without an end, encrypted", secure, "220 " + strings.Repeat("x", 1000), "", 256 << 20},
		{"a greeting of 1 MB", nil, "220-" + strings.Repeat("x", 1000) + "\r\n", "220 mail.test\r\n", 1 << 20},
		{"a greeting of 1 MB, encrypted", secure, "220-" + strings.Repeat("x", 1000) + "\r\n", "220 mail.test\r\n", 1 << 20},
	} {
		t.Run(r.name, func(t *testing.T) {
			said := make(chan int, 1)
			port := serve(t, r.secure, func(w io.Writer, line string) error {
				if line != "" || len(said) > 0 {
					return polite(w, line)
				}
				n, err := 0, error(nil)
				for chunk := strings.Repeat(r.unit, 50); n < r.size && err == nil; n += len(chunk) {
					_, err = io.WriteString(w, chunk)
				}
				said <- n
				if err == nil && r.end == "" {
					err = io.EOF // it hangs up
				}
				if err == nil {
					_, err = io.WriteString(w, r.end)
				}
				return err
			})
			settings := fmt.Sprintf("[mail]\ntimeout = \"5m\"\nca_file = %q\n", ca)
			if r.secure != nil {
				settings += "tls = \"implicit\"\n"
			}
			_, err := mustLoad(t, confOf(port, ""), settings).sendAll(t)
			if r.end != "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, errTalkative) || len(err.Error()) > 1000 {
				t.Errorf("%.1000s", err)
			}
			if n := <-said; n > 64<<20 { // what the kernel takes in is beyond us
				t.Errorf("%d bytes were read", n)
			}
		})
	}
}

// Whatever a server repeats of what it was sent, the password is in no output and no log.
func TestServerRepeatsThePassword(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	const user, password = "mailer", `correct "horse" battery`
	plain, login := encode([]byte("\x00"+user+"\x00"+password)), encode([]byte(password))
	for _, r := range []struct {
		name, mech string
		answer     func(line string) string
		want       string
	}{
		{"the whole command", "plain", func(line string) string { return "500 what is " + line + "?" }, "what is AUTH PLAIN [...]?"},
		{"the beginning of the command", "plain", func(line string) string { return "500 what is " + line[:len(line)-4] }, "what is AUTH PLAIN [...]"},
		{"what it decoded", "plain", func(string) string { return "535 " + password + " is wrong" }, "[...] is wrong"},
		{"the answer to its question", "login", func(line string) string {
			if strings.HasPrefix(line, "AUTH") || line == encode([]byte(user)) {
				return "334 " + encode([]byte("and?"))
			}
			return "500 what is " + line + "?"
		}, "what is [...]?"},
		{"in one more question", "login", func(line string) string {
			if line == login {
				return "334 " + encode([]byte("what is "+login+"?"))
			}
			return "334 " + encode([]byte("and?"))
		}, "what is [...]?"},
		{"in several lines, with what steers a terminal", "plain", func(line string) string { return "500-\x1b[31m\r\n500 what is " + line + "?" }, "what is AUTH PLAIN [...]?"},
	} {
		t.Run(r.name, func(t *testing.T) {
			answer := func(w io.Writer, line string) error {
				switch verb, _, _ := strings.Cut(line, " "); {
				case line == "":
					_, err := io.WriteString(w, "220 mail.test\r\n")
					return err
				case verb == "EHLO" || verb == "QUIT" || verb == "*":
					return polite(w, line)
				}
				_, err := io.WriteString(w, r.answer(line)+"\r\n")
				return err
			}
			conf := confOf(
				serve(t, nil, answer),
				fmt.Sprintf(
					"<auth_smtp>yes</auth_smtp><smtp_user>%s</smtp_user><smtp_password>%s</smtp_password>",
					user,
					password,
				),
			)
			dialogue, err := mustLoad(t, conf, fmt.Sprintf("[mail]\nauth = %q\n", r.mech)).sendAll(t)
			if err == nil {
				t.Fatal("it was sent")
			}
			text := dialogue + err.Error()
			if !strings.Contains(text, r.want) || strings.Contains(text, password) ||
				strings.Contains(text, plain[8:20]) ||
				strings.Contains(text, login[8:20]) ||
				strings.ContainsRune(text, 0x1b) {
				t.Errorf("want %q in\n%s", r.want, text)
			}
		})
	}
}

// TestWithoutSecret: whichever forms of the password begin alike, all of the one that is there goes.
func TestWithoutSecret(t *testing.T) {
	s := &session{sent: true, Settings: new(Settings)}
	s.User, s.Secret = "mailer", `correct "horse" battery`
	for _, text := range []string{`correct "horse" battery`, `correct \"horse\" battery`, `correct "horse"`, "correct "} {
		if got := s.withoutSecret("535 " + text + "; next"); got != "535 [...]; next" {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

// confOf is an ossec.conf that names a server on that port.
func confOf(port int, more string) string {
	return fmt.Sprintf(
		"<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>127.0.0.1</smtp_server><smtp_port>%d</smtp_port>%s</global></ossec_config>",
		port,
		more,
	)
}

// Errors that are made printable keep their kind.
func TestPresentable(t *testing.T) {
	s := &session{Settings: &Settings{}}
	if err := s.presentable(refusedError{errNoTLS}); !errors.As(err, new(refusedError)) ||
		!errors.Is(err, errNoTLS) ||
		s.presentable(nil) != nil {
		t.Errorf("%v", err)
	}
}
