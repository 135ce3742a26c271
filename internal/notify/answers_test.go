package notify

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
	secure, ca := certificate(t)
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
			h := newHouse(t, fmt.Sprintf("<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>127.0.0.1</smtp_server><smtp_port>%d</smtp_port></global></ossec_config>", port), settings)
			status, _, stderr := h.run("", "test")
			if r.end != "" {
				if status != 0 {
					t.Errorf("status %d, %s", status, stderr)
				}
				return
			}
			if status != 1 || !strings.Contains(stderr, errTalkative.Error()) || len(stderr) > 1000 {
				t.Errorf("status %d, %.1000s", status, stderr)
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
			conf := func() string {
				return fmt.Sprintf("<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>127.0.0.1</smtp_server><smtp_port>%d</smtp_port><auth_smtp>yes</auth_smtp><smtp_user>%s</smtp_user><smtp_password>%s</smtp_password></global></ossec_config>",
					serve(t, nil, answer), user, password)
			}
			h := newHouse(t, conf(), fmt.Sprintf("[mail]\nauth = %q\n", r.mech))
			_, stdout, stderr := h.run("", "test")
			h.write(h.home.Conf(), conf())
			c := newClock()
			d := h.deliverer(c)
			h.queueUp(c, "203.0.113.7", "5712")
			step(t, d, c)
			_, queue, _ := h.run("", "queue")
			for where, text := range map[string]string{"test": stdout + stderr, "the log": h.log(), "queue": queue} {
				if !strings.Contains(text, r.want) || strings.Contains(text, password) || strings.Contains(text, plain[8:20]) || strings.Contains(text, login[8:20]) || strings.ContainsRune(text, 0x1b) {
					t.Errorf("%s: want %q in\n%s", where, r.want, text)
				}
			}
		})
	}
}

// What is wrapped for people is still told apart.
func TestToldKeepsItsKind(t *testing.T) {
	s := &session{}
	if err := s.told(refused{errNoTLS}); !errors.As(err, new(refused)) || !errors.Is(err, errNoTLS) || s.told(nil) != nil {
		t.Errorf("%v", err)
	}
}
