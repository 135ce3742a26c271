package notify

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

func TestStandingIsTheTruth(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf("<white_list>198.51.100.0/24</white_list>"), "[mail]\ncoalesce = \"0s\"\n")
	c := newClock()
	o := h.office(c)
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.1", c.Now().Add(-time.Hour))
	h.hold("host-deny", "host-deny.sh", "203.0.113.1", c.Now().Add(-time.Minute))
	for addr, want := range map[string][]string{
		"203.0.113.1":  {"Threat Blocked", "Blocked by firewall-drop.sh since ", "Blocked by host-deny.sh since ", "sent for blocked IP: 203.0.113.1"},
		"203.0.113.2":  {"Threat Detected", "Not blocked: no response on this machine holds it.", "sent for IP: 203.0.113.2 (not blocked)"},
		"198.51.100.7": {"Whitelisted Address", "Not blocked: whitelisted by 198.51.100.0/24 (" + h.home.Conf() + ":1).", "sent for IP: 198.51.100.7 (whitelisted)"},
	} {
		h.queueUp(c, addr, "5712")
		h.step(o, c)
		m := s.Next()
		if !strings.Contains(m.Subject, want[0]) {
			t.Errorf("%s: subject %q", addr, m.Subject)
		}
		for _, text := range want[1 : len(want)-1] {
			if !strings.Contains(m.Text, text) {
				t.Errorf("%s: the text lacks %q:\n%s", addr, text, m.Text)
			}
		}
		if !strings.Contains(h.log(), want[len(want)-1]) {
			t.Errorf("%s: the log lacks %q", addr, want[len(want)-1])
		}
	}
}

// What a response failed to block is news of its own.
func TestFailedBlock(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf("<email_maxperhour>2</email_maxperhour>"), "[mail]\ncoalesce = \"0s\"\n")
	c := newClock()
	o := h.office(c)
	for _, addr := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"} {
		h.hold("firewall-drop", "firewall-drop.sh", addr, c.Now().Add(-time.Minute))
		h.queueUp(c, addr, "5712")
	}
	if err := lease.New(h.home.State(), "host-deny").Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: target.MustParse("203.0.113.9"), Program: "host-deny.sh", Since: c.Now(),
			Renewed: c.Now(), Reason: "no room", State: lease.Waiting})
	}); err != nil {
		t.Fatal(err)
	}
	h.queueUp(c, "203.0.113.9", "5712")
	h.step(o, c)
	m := s.Next()
	if m.Subject != "OSSEC Alert: Block Failed - 203.0.113.9" ||
		!strings.Contains(m.Text, "host-deny.sh failed to block it, and ossec-ar maintain tries again each minute.\nWhy: no room.\n") {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
	if !strings.Contains(h.log(), "sent for IP: 203.0.113.9 (block failed)") {
		t.Errorf("log\n%s", h.log())
	}
}

// A mail that is late says what was blocked when the alert came, and what is now.
func TestLateMailIsTrue(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf("<email_maxperhour>1</email_maxperhour>"), "[mail]\ncoalesce = \"0s\"\n")
	c := newClock()
	o := h.office(c)
	s.Set(func(s *mailtest.Server) {
		s.OnData = func(io.Reader) error { return &smtp.SMTPError{Code: 451, Message: "later"} }
	})
	for _, addr := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"} {
		h.hold("firewall-drop", "firewall-drop.sh", addr, c.Now().Add(-time.Minute))
		h.queueUp(c, addr, "5712")
	}
	h.step(o, c)
	s.Set(func(s *mailtest.Server) { s.OnData = nil })
	h.release("firewall-drop", "firewall-drop.sh", "203.0.113.1")
	h.release("firewall-drop", "firewall-drop.sh", "203.0.113.2")
	c.add(13 * time.Minute)
	h.look(o)
	m := s.Next()
	if m.Subject != "OSSEC Alert: 3 addresses, 1 of them blocked, 2 no longer" ||
		!strings.Contains(m.Text, "Blocked: 1  No longer blocked: 2  Whitelisted: 0") ||
		!strings.Contains(m.Text, "203.0.113.1  was blocked by firewall-drop.sh, seen free 20") ||
		!strings.Contains(m.Text, "203.0.113.3  blocked by firewall-drop.sh\n") ||
		!strings.Contains(m.Text, "This notice is late: its first alert came in 13 minutes ago") {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
	if log := h.log(); !strings.Contains(log, "sent for IP: 203.0.113.1 (no longer blocked)") ||
		!strings.Contains(log, "sent for blocked IP: 203.0.113.3") {
		t.Errorf("log\n%s", log)
	}
}

func TestDamagedLeasesAreNotTheTruth(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf(""), "")
	c := newClock()
	o := h.office(c)
	h.write(filepath.Join(h.home.State(), "firewall-drop.db"), "")
	h.queueUp(c, "203.0.113.1", "5712")
	h.step(o, c)
	if m := s.Next(); !strings.Contains(m.Text, "Whether it is blocked is not known: ") ||
		strings.Contains(m.Text, "Not blocked") ||
		strings.Contains(m.Subject, "locked") {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
}

// The block and the alert may come a little later than the call.
func TestWaitsForWhatIsComing(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf(""), "")
	c := newClock()
	o := h.office(c)
	id := fmt.Sprintf("%d.0", c.Now().Unix())
	h.queueRequest(
		c,
		arproto.Request{
			Action:  arproto.Add,
			Addr:    netip.MustParseAddr("203.0.113.7"),
			AlertID: id,
			RuleID:  "5712",
		},
	)
	look := func() {
		t.Helper()
		h.look(o)
	}
	look()
	s.None()
	alerts := filepath.Join(string(h.home), "logs/alerts/alerts.log")
	h.write(
		alerts,
		"** Alert "+id+": - sshd,\n2026 Nov 23 08:33:59 web->/var/log/auth.log\nRule: 5712 (level 10) -> 'Brute force'\nhalf of the li",
	)
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.7", c.Now())
	c.add(leaseAge / 2)
	look()
	s.None()
	h.write(
		alerts,
		"** Alert "+id+": - sshd,\n2026 Nov 23 08:33:59 web->/var/log/auth.log\nRule: 5712 (level 10) -> 'Brute force'\nhalf of the line and the rest\n\n",
	)
	look()
	s.None() // the lease is too fresh: the block may yet fail
	c.add(leaseAge / 2)
	look()
	if m := s.Next(); !strings.Contains(m.Text, "half of the line and the rest") ||
		!strings.Contains(m.Subject, "Threat Blocked") {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
	h.queueRequest(
		c,
		arproto.Request{
			Action:   arproto.Add,
			Addr:     netip.MustParseAddr("203.0.113.8"),
			AlertID:  "1.1",
			RuleID:   "5712",
			Location: "web->/x",
			User:     "root",
		},
	)
	h.step(o, c)
	if m := s.Next(); !strings.Contains(
		m.Text,
		"The alert's log is not here: it is not in alerts.log or alerts.json",
	) ||
		!strings.Contains(m.Text, "Host:        web\nUser:        root\nLocation:    /x\n") {
		t.Errorf("text\n%s", m.Text)
	}
}

func TestEndOfABlock(t *testing.T) {
	t.Parallel()
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf(""), "[mail]\non_delete = true\nlinger = \"0s\"\n")
	h.call("delete", "-", "203.0.113.7", "-", "5712")
	if m := s.Next(); m.Subject != "OSSEC Alert: Block Ended - 203.0.113.7" {
		t.Errorf("subject %q", m.Subject)
	}
	h.hold("host-deny", "host-deny", "203.0.113.8", time.Now())
	h.call("delete", "-", "203.0.113.8", "-", "5712")
	if m := s.Next(); m.Subject != "OSSEC Alert: Still Blocked - 203.0.113.8" ||
		!strings.Contains(m.Text, "Blocked by host-deny since ") {
		t.Errorf("subject %q\n%s", m.Subject, m.Text)
	}
}

type names map[string]string

// LookupAddr answers for the addresses in the map, and keeps others waiting.
func (n names) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if name, ok := n[addr]; ok {
		return []string{name}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestNameOfTheAddress(t *testing.T) {
	now := time.Now()
	known, unknown := sample(now), sample(now)
	known.Name, unknown.Name, unknown.Addr = "", "", netip.MustParseAddr("203.0.113.9")
	j := job{Task: taskWrite, Settings: testSettings(t), Entries: []entry{known, unknown}, Now: now}
	a := j.do(t.Context(), names{"203.0.113.7": "scanner\x1b.example.net."})
	if !strings.Contains(a.Message.Text, "203.0.113.7  blocked by firewall-drop, scanner\\x1b.example.net, ") ||
		!strings.Contains(a.Message.Text, "203.0.113.9  blocked by firewall-drop, Netherlands") {
		t.Errorf("text\n%s", a.Message.Text)
	}
}

func TestGeo(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	g := &geo{paths: []string{dir + "/testdata/geo.mmdb", dir + "/testdata/none.mmdb"}}
	defer g.close()
	var faults []error
	country, network := g.lookup(
		netip.MustParseAddr("203.0.113.7"),
		func(err error) { faults = append(faults, err) },
	)
	if country != "Amsterdam, Netherlands" || network != "AS64500 Example Networks (203.0.113.0/24)" ||
		len(faults) != 1 {
		t.Errorf("%q, %q, %v", country, network, faults)
	}
	if country, network := g.lookup(netip.MustParseAddr("192.0.2.1"), func(err error) { t.Error(err) }); country != "" ||
		network != "" {
		t.Errorf("%q, %q", country, network)
	}
}
