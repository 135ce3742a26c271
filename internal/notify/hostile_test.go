package notify

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// hostileServer answers each connection by say until it returns, and each after the first `times` as a
// server that takes all mail.
func hostileServer(t *testing.T, times int, say func(conn net.Conn, lines *bufio.Scanner)) (port int, took chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	took = make(chan string, 100)
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			lines := bufio.NewScanner(conn)
			if n < times {
				say(conn, lines)
			} else {
				took <- takesAll(conn, lines)
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, took
}

// takesAll speaks just enough SMTP to be sent a mail, and returns its text.
func takesAll(conn io.Writer, lines *bufio.Scanner) (text string) {
	fmt.Fprint(conn, "220 mail.test\r\n")
	for within := false; lines.Scan(); {
		line := lines.Text()
		switch {
		case within && line != ".":
			text += line + "\n"
			continue
		case line == "DATA":
			within = true
			fmt.Fprint(conn, "354 go on\r\n")
			continue
		}
		within = false
		fmt.Fprint(conn, "250 yes\r\n")
	}
	return text
}

// Whatever a mail server says holds up neither the queue nor the next mail, and little of it is kept.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	hello := func(conn net.Conn, lines *bufio.Scanner, extensions string) {
		fmt.Fprint(conn, "220 mail.test\r\n")
		lines.Scan()
		fmt.Fprintf(conn, "250-mail.test\r\n250 %s\r\n", extensions)
	}
	for name, say := range map[string]func(conn net.Conn, lines *bufio.Scanner){
		"an endless banner": func(conn net.Conn, _ *bufio.Scanner) {
			for {
				if _, err := fmt.Fprint(conn, "220-", strings.Repeat("x", 1000), "\r\n"); err != nil {
					return
				}
			}
		},
		"an endless line": func(conn net.Conn, _ *bufio.Scanner) {
			for {
				if _, err := fmt.Fprint(conn, strings.Repeat("2", 1<<16)); err != nil {
					return
				}
			}
		},
		"nothing": func(conn net.Conn, _ *bufio.Scanner) { _, _ = io.Copy(io.Discard, conn) },
		"a byte now and then": func(conn net.Conn, _ *bufio.Scanner) {
			for {
				if _, err := fmt.Fprint(conn, "2"); err != nil {
					return
				}
				<-time.After(20 * time.Millisecond)
			}
		},
		"a password hashed without end": func(conn net.Conn, lines *bufio.Scanner) {
			hello(conn, lines, "AUTH SCRAM-SHA-256")
			for lines.Scan() {
				fmt.Fprint(conn, "334 cj1yT3ByTkdmd0ViZVJXZ2JORWtxTyxzPVcyMlphSjBTTlk3c29Fc1VFamI2Z1E9PSxpPTkwMDAwMDAwMDAwMDAwMDAwMDA=\r\n")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, took := hostileServer(t, 1, say)
			h := newHouse(t, fmt.Sprintf("<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>127.0.0.1:%d"+
				"</smtp_server><auth_smtp>yes</auth_smtp><smtp_user>u</smtp_user><smtp_password>s3cret</smtp_password>"+
				"</global></ossec_config>", port), "[mail]\nlinger = \"0s\"\ntimeout = \"300ms\"\nauth = \"auto\"\n")
			c := newClock()
			c.add(-time.Minute) // settled
			h.queueUp(c, "203.0.113.7", "5712")
			begin := time.Now()
			if status, _, stderr := h.mail("flush"); status != 1 || stderr == "" {
				t.Errorf("%d, %q", status, stderr)
			}
			if d := time.Since(begin); d > time.Minute {
				t.Errorf("it took %s", d)
			}
			if log := h.log(); !strings.Contains(log, "Failed: sending mail: ") || len(log) > 4096 ||
				strings.Contains(log, "s3cret") {
				t.Errorf("log\n%.5000s", log)
			}
			h.write(h.home.Conf(), strings.Replace(onlyOps, "192.0.2.1", fmt.Sprintf("127.0.0.1:%d", port), 1))
			h.queueUp(c, "203.0.113.8", "5712")
			if status, _, stderr := h.mail("queue", "--retry", "all"); status != 0 {
				t.Errorf("%d, %q", status, stderr)
			}
			var got string
			for range 2 {
				select {
				case text := <-took:
					got += text
				case <-time.After(time.Minute):
					t.Fatal("no mail came")
				}
			}
			if !strings.Contains(got, "203.0.113.7") || !strings.Contains(got, "203.0.113.8") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}
