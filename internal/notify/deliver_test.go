package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// A call by OSSEC returns at once; a process of its own finds the alert and sends.
func TestCallDelivers(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf("<email_idsname>north</email_idsname><email_reply_to>soc@example.org</email_reply_to>"), "[mail]\nlinger = \"0s\"\n")
	id := fmt.Sprintf("%d.0", time.Now().Unix())
	h.write(filepath.Join(string(h.home), "logs/alerts/alerts.log"), "** Alert "+id+": mail  - syslog,sshd,\n2026 Nov 23 08:33:59 (web) 192.0.2.5->/var/log/auth.log\nRule: 5712 (level 10) -> 'SSHD brute force trying to get access to the system.'\nSrc IP: 203.0.113.7\nUser: root\nsshd[9]: Failed password <b>for</b> root\n\n")
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.7", time.Now().Add(-time.Minute))
	if status, stdout, stderr := h.run("", "add", "root", "203.0.113.7", id, "5712", "(web)", "192.0.2.5->/var/log/auth.log", "-"); status != 0 || stdout != "" || stderr != "" {
		t.Fatalf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	m := s.next()
	if m.subject != "OSSEC Alert: Threat Blocked - 203.0.113.7" || m.from != "ossec@web.example.org" || strings.Join(m.to, ",") != "ops@example.org" {
		t.Errorf("subject %q, from %s to %s", m.subject, m.from, m.to)
	}
	if m.header.Get("X-IDS-OSSEC") != "north" || m.header.Get("Reply-To") != "<soc@example.org>" || m.header.Get("Auto-Submitted") == "" {
		t.Errorf("header %v", m.header)
	}
	for _, want := range []string{"Blocked by firewall-drop.sh since ", "Rule:        5712 (level 10)", "SSHD brute force trying", "Host:        web", "User:        root", "Location:    /var/log/auth.log", "    sshd[9]: Failed password <b>for</b> root"} {
		if !strings.Contains(m.text, want) {
			t.Errorf("the text lacks %q:\n%s", want, m.text)
		}
	}
	if !strings.Contains(m.html, "Failed password &lt;b&gt;for&lt;/b&gt; root") || strings.Contains(m.html, "<b>for") {
		t.Errorf("HTML:\n%s", m.html)
	}
	h.idle()
	line := regexp.MustCompile(`^\S+ \S+ +\d+ \S+ \S+ \d{4} ` + regexp.QuoteMeta(h.invoked()) + ` add - 203\.0\.113\.7 ` + regexp.QuoteMeta(id) + ` 5712 - Email notification sent for blocked IP: 203\.0\.113\.7\n$`)
	if !line.MatchString(h.log()) {
		t.Errorf("log %q", h.log())
	}
	if n := h.waiting(stateWaiting) + h.waiting(stateArrived); n != 0 {
		t.Errorf("%d left in the queue", n)
	}
}

func TestFailuresAndRecovery(t *testing.T) {
	t.Parallel()
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf("<email_to>second@example.org</email_to>"), "")
	c := newClock()
	d := h.deliverer(c)

	t.Run("temporary", func(t *testing.T) {
		s.set(func(s *mailServer) {
			s.onData = func(io.Reader) error { return &smtp.SMTPError{Code: 451, Message: "later"} }
		})
		h.queueUp(c, "203.0.113.1", "5712")
		next := step(t, d, c)
		if pause := next.Sub(c.Now()); pause != 15*time.Second || h.waiting(stateWaiting) != 1 {
			t.Errorf("the next attempt is in %s, %d wait", pause, h.waiting(stateWaiting))
		}
		for _, want := range []time.Duration{30, 60, 120, 240} {
			c.add(next.Sub(c.Now()))
			if next = step(t, d, c); next.Sub(c.Now()) != want*time.Second {
				t.Errorf("pause %s, want %d s", next.Sub(c.Now()), want)
			}
		}
		s.set(func(s *mailServer) { s.onData = nil })
		c.add(240 * time.Second)
		step(t, d, c)
		if m := s.next(); !strings.Contains(m.text, "This mail is late: its first alert came in ") {
			t.Errorf("it does not say that it is late:\n%s", m.text)
		}
	})
	t.Run("cut within the mail", func(t *testing.T) {
		s.set(func(s *mailServer) { s.cutAfter = 100 })
		h.queueUp(c, "203.0.113.2", "5712")
		step(t, d, c)
		if h.waiting(stateWaiting) != 1 {
			t.Fatal("the notification is lost")
		}
		s.set(func(s *mailServer) { s.cutAfter = 0 })
		c.add(time.Minute)
		step(t, d, c)
		s.next()
	})
	t.Run("stall", func(t *testing.T) {
		release := make(chan struct{})
		s.set(func(s *mailServer) {
			s.onData = func(r io.Reader) error {
				<-release
				return errors.New("gone")
			}
		})
		h.queueUp(c, "203.0.113.3", "5712")
		sound := d.send
		d.send = func(ctx context.Context, s Settings, to []string, message []byte) (map[string]error, error) {
			s.Timeout.Duration = 300 * time.Millisecond
			return sound(ctx, s, to, message)
		}
		step(t, d, c)
		d.send = sound
		close(release)
		if h.waiting(stateWaiting) != 1 {
			t.Fatal("the notification is lost")
		}
		s.set(func(s *mailServer) { s.onData = nil })
		c.add(time.Minute)
		step(t, d, c)
		s.next()
	})
	t.Run("one recipient refused, one put off", func(t *testing.T) {
		s.set(func(s *mailServer) {
			s.onRcpt = func(to string) error {
				if strings.HasPrefix(to, "ops") {
					return &smtp.SMTPError{Code: 550, Message: "no such user"}
				}
				return nil
			}
		})
		h.queueUp(c, "203.0.113.4", "5712")
		step(t, d, c)
		if m := s.next(); strings.Join(m.to, ",") != "second@example.org" {
			t.Errorf("to %s", m.to)
		}
		if h.waiting(stateWaiting) != 0 || h.waiting(stateRefused) != 1 {
			t.Errorf("%d wait, %d refused", h.waiting(stateWaiting), h.waiting(stateRefused))
		}
		s.set(func(s *mailServer) {
			s.onRcpt = func(to string) error {
				if strings.HasPrefix(to, "ops") {
					return &smtp.SMTPError{Code: 450, Message: "greylisted"}
				}
				return nil
			}
		})
		c.add(time.Hour)
		h.queueUp(c, "203.0.113.5", "5712")
		next := step(t, d, c)
		if m := s.next(); strings.Join(m.to, ",") != "second@example.org" || h.waiting(stateWaiting) != 1 {
			t.Errorf("to %s, %d wait", m.to, h.waiting(stateWaiting))
		}
		s.set(func(s *mailServer) { s.onRcpt = nil })
		c.add(next.Sub(c.Now()))
		step(t, d, c)
		if m := s.next(); strings.Join(m.to, ",") != "ops@example.org" || !strings.Contains(m.text, "203.0.113.5") {
			t.Errorf("to %s:\n%s", m.to, m.text)
		}
	})
	t.Run("refused for good, then put back", func(t *testing.T) {
		s.set(func(s *mailServer) {
			s.onData = func(io.Reader) error { return &smtp.SMTPError{Code: 554, Message: "looks like spam"} }
		})
		c.add(time.Hour)
		h.queueUp(c, "203.0.113.6", "5712")
		step(t, d, c)
		if h.waiting(stateRefused) != 2 {
			t.Errorf("%d are kept aside", h.waiting(stateRefused))
		}
		if !strings.Contains(h.log(), "Failed: sending mail: the mail: ") || !strings.Contains(h.log(), "looks like spam") {
			t.Errorf("the log does not tell:\n%s", h.log())
		}
		s.set(func(s *mailServer) { s.onData = nil })
		rows, _, err := d.queue.list()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := d.queue.putBack(r.ID); err != nil {
				t.Fatal(err)
			}
		}
		c.add(time.Hour)
		step(t, d, c)
		first, second := s.next(), s.next()
		if !strings.Contains(first.text, "203.0.113.4") || !strings.Contains(second.text, "203.0.113.6") || h.waiting(stateRefused) != 0 {
			t.Errorf("first\n%s\nsecond\n%s", first.text, second.text)
		}
	})
	s.none()
}

// A day without a server loses nothing, and does not end in a day of mails.
func TestDayOfOutage(t *testing.T) {
	t.Parallel()
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	c := newClock()
	d := h.deliverer(c)
	down := true
	real := d.send
	d.send = func(ctx context.Context, set Settings, to []string, message []byte) (map[string]error, error) {
		if down {
			return nil, errors.New("connecting to mail.test:25: connection refused")
		}
		return real(ctx, set, to, message)
	}
	end := c.Now().Add(24 * time.Hour)
	addresses := 0
	for ; c.Now().Before(end); c.add(15 * time.Minute) {
		addresses++
		h.queueUp(c, fmt.Sprintf("198.51.100.%d", addresses), "5712")
		step(t, d, c)
	}
	if h.waiting(stateWaiting) != addresses {
		t.Fatalf("%d of %d wait", h.waiting(stateWaiting), addresses)
	}
	if attempts := strings.Count(h.log(), "Failed: "); attempts > 60 {
		t.Errorf("%d attempts in a day", attempts)
	}
	down = false
	c.add(time.Hour)
	step(t, d, c)
	mails := s.all()
	if len(mails) != 1 || h.waiting(stateWaiting) != 0 {
		t.Fatalf("%d mails, %d still wait", len(mails), h.waiting(stateWaiting))
	}
	for i := 1; i <= addresses; i++ {
		if addr := fmt.Sprintf("198.51.100.%d ", i); !strings.Contains(mails[0].text, "\n"+addr) {
			t.Errorf("%s is not named", addr)
		}
	}
}

func TestStorm(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"in seconds": 20 * time.Millisecond, "in an hour": 3600 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			s, _ := newMailServer(t, false, false)
			h := newHouse(t, s.conf(""), "")
			c := newClock()
			d := h.deliverer(c)
			start := c.Now()
			var sent []time.Time
			named := map[string]int{}
			collect := func() {
				for _, m := range s.all() {
					sent = append(sent, c.Now())
					for _, addr := range regexp.MustCompile(`(?m)^(?:Address: +)?(10\.\d+\.\d+\.\d+)`).FindAllStringSubmatch(m.text, -1) {
						named[addr[1]]++
					}
				}
			}
			for i := 0; i < 1000; {
				for range 100 {
					h.queueUp(c, fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), "5712")
					i++
				}
				c.add(100*every - settleTime)
				step(t, d, c)
				collect()
			}
			for next := step(t, d, c); !next.IsZero(); next = step(t, d, c) {
				collect()
				c.add(next.Sub(c.Now()))
			}
			collect()
			if len(named) != 1000 {
				t.Errorf("%d addresses are named", len(named))
			}
			for addr, n := range named {
				if n != 1 {
					t.Errorf("%s is named %d times", addr, n)
				}
			}
			for i := range sent {
				if i >= 12 && sent[i].Sub(sent[i-12]) < time.Hour {
					t.Errorf("13 mails from %s to %s", sent[i-12], sent[i])
				}
			}
			t.Logf("%d mails, the last after %s", len(sent), sent[len(sent)-1].Sub(start))
			if n := strings.Count(h.log(), " - Email notification sent for IP: "); n != 1000 || strings.Count(h.log(), "\n") != n {
				t.Errorf("%d lines in the log tell of an address, of %d", n, strings.Count(h.log(), "\n"))
			}
		})
	}
}

// While others are not ready yet, a mail holds those that are, and nothing else.
func TestGather(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf("<email_maxperhour>2</email_maxperhour>"), "")
	c := newClock()
	d := h.deliverer(c)
	for i := range 10 {
		h.queueUp(c, fmt.Sprintf("10.0.0.%d", i+1), "5712")
		c.add(settleTime / 10)
		if _, err := d.step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 { // a flood that does not end
		h.queueUp(c, fmt.Sprintf("10.0.1.%d", i+1), "5712")
		c.add(settleTime / 10)
		if _, err := d.step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	m := s.next()
	named := map[string]int{}
	countNamed(named, m)
	if want := fmt.Sprintf("OSSEC Alert: %d addresses, 0 of them blocked", len(named)); m.subject != want || len(named) < 10 || strings.Contains(m.text, "no address") {
		t.Errorf("%d are named in %q:\n%s", len(named), m.subject, m.text)
	}
}

func TestCoalesce(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	c := newClock()
	d := h.deliverer(c)
	for range 5 {
		h.queueUp(c, "203.0.113.7", "5712")
		h.queueUp(c, "203.0.113.7", "5720")
		c.add(100 * time.Millisecond)
	}
	step(t, d, c)
	if m := s.next(); !strings.Contains(m.text, "Alerts:      10, from ") || !strings.Contains(m.text, "rule 5720") {
		t.Errorf("the mail does not tell of all alerts:\n%s", m.text)
	}
	h.queueUp(c, "203.0.113.7", "5712")
	h.queueUp(c, "203.0.113.8", "5712")
	next := step(t, d, c)
	if m := s.next(); !strings.HasSuffix(m.subject, "203.0.113.8") {
		t.Errorf("subject %q", m.subject)
	}
	s.none()
	c.add(next.Sub(c.Now()))
	step(t, d, c)
	if m := s.next(); !strings.HasSuffix(m.subject, "203.0.113.7") {
		t.Errorf("subject %q", m.subject)
	}
	if want := "Email notification sent for IP: 203.0.113.7 (not blocked) (10 alerts)"; !strings.Contains(h.log(), want) {
		t.Errorf("the log lacks %q:\n%s", want, h.log())
	}
}

// What was taken into a notice when the process was killed is not taken in again.
func TestFoldedOnce(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	c := newClock()
	d := h.deliverer(c)
	d.send = func(context.Context, Settings, []string, []byte) (map[string]error, error) {
		return nil, errors.New("down")
	}
	h.queueUp(c, "203.0.113.7", "5712")
	names, err := d.queue.names(dirNew)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	saved, err := os.ReadFile(filepath.Join(d.queue.dir, dirNew, names[0]+".json"))
	if err != nil {
		t.Fatal(err)
	}
	step(t, d, c)
	h.write(filepath.Join(d.queue.dir, dirNew, names[0]+".json"), string(saved)) // as if it had been killed before removing it
	h.queueUp(c, "203.0.113.7", "5712")
	d = h.deliverer(c)
	c.add(time.Hour)
	step(t, d, c)
	if m := s.next(); !strings.Contains(m.text, "Alerts:      2, from ") {
		t.Errorf("not two alerts:\n%s", m.text)
	}
}

func TestDamagedFilesAreKept(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	c := newClock()
	d := h.deliverer(c)
	h.write(filepath.Join(d.queue.dir, dirNew, "1.json"), "{\"kind\":")
	h.write(filepath.Join(d.queue.dir, dirReady, "2.json"), "")
	h.write(filepath.Join(d.queue.dir, "progress.json"), "x")
	h.queueUp(c, "203.0.113.7", "5712")
	d = h.deliverer(c)
	step(t, d, c)
	s.next()
	for _, name := range []string{"1.damaged", "2.damaged"} {
		if _, err := os.Stat(filepath.Join(d.queue.dir, dirFailed, name)); err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(h.log(), "damaged file in the mail queue"); n != 3 {
		t.Errorf("the log tells of %d damaged files:\n%s", n, h.log())
	}
}
