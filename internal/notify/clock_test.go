package notify

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// TestClockSetBack: what is remembered of a time that has not come yet holds no mail back:
// neither the pause after a failure, nor that an address was mailed, nor the limit.
func TestClockSetBack(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf("<email_maxperhour>2</email_maxperhour>"), "[mail]\ncoalesce = \"24h\"\n")
	c := newClock()
	d := h.deliverer(c)
	arrives := func(step, addr string) {
		t.Helper()
		if m := s.next(); !strings.HasSuffix(m.subject, addr) {
			t.Errorf("%s: subject %q, want one about %s", step, m.subject, addr)
		}
		s.none()
		if n := h.waiting(stateWaiting) + h.waiting(stateArrived); n != 0 {
			t.Errorf("%s: %d wait", step, n)
		}
	}
	s.set(func(s *mailServer) {
		s.onData = func(io.Reader) error { return &smtp.SMTPError{Code: 451, Message: "later"} }
	})
	h.queueUp(c, "203.0.113.1", "5712")
	step(t, d, c)
	s.set(func(s *mailServer) { s.onData = nil })
	c.add(-24 * time.Hour)
	step(t, d, c)
	arrives("after a failure", "203.0.113.1")

	c.add(-24 * time.Hour)
	h.queueUp(c, "203.0.113.1", "5712")
	step(t, d, c)
	arrives("the same address", "203.0.113.1")

	h.queueUp(c, "203.0.113.2", "5712")
	step(t, d, c)
	s.none()
	if h.waiting(stateWaiting) != 1 {
		t.Fatal("the limit holds nothing back")
	}
	c.add(-24 * time.Hour)
	step(t, d, c)
	arrives("beyond the limit", "203.0.113.2")

	// And another process, which reads what this one wrote.
	c.add(-24 * time.Hour)
	h.queueUp(c, "203.0.113.2", "5712")
	step(t, h.deliverer(c), c)
	arrives("another process", "203.0.113.2")
}
