package mail

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// slowServer speaks just enough SMTP to be sent a mail. It says each of its lines by way of
// say, which may take its time. It returns its port.
func slowServer(t *testing.T, say func(w io.Writer, command, line string) error) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			slowDialogue(conn, say)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port
}

// slowDialogue ends when the client hangs up.
func slowDialogue(conn net.Conn, say func(w io.Writer, command, line string) error) {
	defer conn.Close() // nothing is lost
	if say(conn, "", "220 mail.test\r\n") != nil {
		return
	}
	text := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		command, answer := strings.ToUpper(lines.Text()), "250 yes\r\n"
		if text && command != "." {
			continue
		}
		text = command == "DATA"
		if text {
			answer = "354 go on\r\n"
		}
		if say(conn, command, answer) != nil {
			return
		}
	}
}

// drip writes an answer that never ends, a byte now and then, until the client hangs up.
func drip(w io.Writer, line string, pause time.Duration) error {
	line = line[:3] + "-" + line[4:] // more lines follow
	for i := 0; ; i = (i + 1) % len(line) {
		if _, err := io.WriteString(w, line[i:i+1]); err != nil {
			return err
		}
		<-time.After(pause)
	}
}

func TestSlowServer(t *testing.T) {
	const stepTime = 400 * time.Millisecond
	quick := func(w io.Writer, line string) error {
		_, err := io.WriteString(w, line)
		return err
	}
	dripAt := func(prefix string) func(io.Writer, string, string) error {
		return func(w io.Writer, command, line string) error {
			if prefix == command || prefix != "" && strings.HasPrefix(command, prefix) {
				return drip(w, line, stepTime/8)
			}
			return quick(w, line)
		}
	}
	for _, r := range []struct {
		name string
		say  func(w io.Writer, command, line string) error
	}{
		{"drips the greeting", dripAt("")},
		{"drips at EHLO", dripAt("EHLO")},
		{"drips at MAIL", dripAt("MAIL")},
		{"drips at RCPT", dripAt("RCPT")},
		{"drips at DATA", dripAt("DATA")},
		{"drips at the end of the text", dripAt(".")},
		// No step takes too long, and all together do.
		{"takes its time for each recipient", func(w io.Writer, command, line string) error {
			if strings.HasPrefix(command, "RCPT") {
				<-time.After(stepTime / 4)
			}
			return quick(w, line)
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			settings := mustLoad(t, confOf(slowServer(t, r.say), ""), "")
			settings.Timeout.Duration = stepTime
			var to []string
			for i := range 40 {
				to = append(to, fmt.Sprintf("ops%d@example.org", i))
			}
			begin := time.Now()
			_, err := settings.Send(t.Context(), to, []byte("Subject: x\r\n\r\nx\r\n"), func(string) {})
			if took := time.Since(begin); err == nil || took > time.Minute {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
}
