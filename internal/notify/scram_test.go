package notify

import (
	"strings"
	"testing"
)

const scramLogin = "<auth_smtp>yes</auth_smtp><smtp_user>" + testUser + "</smtp_user><smtp_password>s3cret &quot;p&amp;w</smtp_password>"

func TestScramCount(t *testing.T) {
	for _, r := range []struct{ name, count, want string }{
		{"usual", "4096", ""},
		{"as many as may be", "1000000", ""},
		{"one more", "1000001", errIterations.Error()},
		{"for ever", "9000000000000000000", errIterations.Error()},
		{"the greatest", "9223372036854775807", errIterations.Error()},
		{"the greatest, signed", "+9223372036854775807", errIterations.Error()},
		{"the greatest, followed by an extension", "9223372036854775807,x=y", errIterations.Error()},
		{"no number", "9e18", "invalid iterations"},
		{"too great a number", "9223372036854775808", "invalid iterations"},
		{"none", "", "invalid iterations"},
	} {
		for _, secure := range []bool{false, true} {
			name := r.name + ", in the clear"
			if secure {
				name = r.name + ", encrypted"
			}
			t.Run(name, func(t *testing.T) {
				s, _ := newMailServer(t, secure, false)
				s.set(func(s *mailServer) { s.mechs, s.count = []string{"SCRAM-SHA-256"}, r.count })
				h := newHouse(t, s.conf(scramLogin), "")
				status, stdout, stderr := h.run("", "test")
				if r.want == "" {
					if status != 0 || stderr != "" {
						t.Fatalf("status %d\n%s%s", status, stdout, stderr)
					}
					s.next()
					s.set(func(s *mailServer) {
						if s.mech != "SCRAM-SHA-256" || s.encrypted != secure {
							t.Errorf("logged in by %q, encrypted %v", s.mech, s.encrypted)
						}
					})
					return
				}
				if status != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, `logging in as "mailer" with SCRAM-SHA-256: `) || !strings.Contains(stderr, r.want) {
					t.Errorf("status %d\n%s%s", status, stdout, stderr)
				}
				s.none()
			})
		}
	}
}

// Mail that such a server keeps waits, and goes when the server is well again.
func TestScramCountHoldsUpNothing(t *testing.T) {
	s, _ := newMailServer(t, true, false)
	s.set(func(s *mailServer) { s.mechs, s.count = []string{"SCRAM-SHA-256"}, "9223372036854775807" })
	h := newHouse(t, s.conf(scramLogin), "")
	c := newClock()
	d := h.deliverer(c)
	h.queueUp(c, "203.0.113.7", "5712")
	next := step(t, d, c)
	if n := h.waiting(stateWaiting); n != 1 || next.IsZero() || !strings.Contains(h.log(), errIterations.Error()) {
		t.Fatalf("%d waiting, next attempt %v\n%s", n, next, h.log())
	}
	s.none()
	s.set(func(s *mailServer) { s.count = "4096" })
	c.add(next.Sub(c.Now()))
	step(t, d, c)
	if m := s.next(); !strings.Contains(m.subject, "203.0.113.7") {
		t.Errorf("subject %q", m.subject)
	}
}
