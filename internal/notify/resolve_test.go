package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

func TestStandingIsTheTruth(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf("<white_list>198.51.100.0/24</white_list>"), "[mail]\ncoalesce = \"0s\"\n")
	c := newClock()
	d := h.deliverer(c)
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.1", c.Now().Add(-time.Hour))
	h.hold("host-deny", "host-deny.sh", "203.0.113.1", c.Now().Add(-time.Minute))
	for addr, want := range map[string][]string{
		"203.0.113.1":  {"Threat Blocked", "Blocked by firewall-drop.sh since ", "Blocked by host-deny.sh since ", "sent for blocked IP: 203.0.113.1"},
		"203.0.113.2":  {"Threat Detected", "Not blocked: no response on this machine holds it.", "sent for IP: 203.0.113.2 (not blocked)"},
		"198.51.100.7": {"Whitelisted Address", "Not blocked: whitelisted by 198.51.100.0/24 (" + h.home.Conf() + ":1).", "sent for IP: 198.51.100.7 (whitelisted)"},
	} {
		h.queueUp(c, addr, "5712")
		step(t, d, c)
		m := s.next()
		if !strings.Contains(m.subject, want[0]) {
			t.Errorf("%s: subject %q", addr, m.subject)
		}
		for _, text := range want[1 : len(want)-1] {
			if !strings.Contains(m.text, text) {
				t.Errorf("%s: the text lacks %q:\n%s", addr, text, m.text)
			}
		}
		if !strings.Contains(h.log(), want[len(want)-1]) {
			t.Errorf("%s: the log lacks %q", addr, want[len(want)-1])
		}
	}
}

func TestDamagedLeasesAreNotTheTruth(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	c := newClock()
	d := h.deliverer(c)
	h.write(filepath.Join(h.home.State(), "firewall-drop.db"), "")
	h.queueUp(c, "203.0.113.1", "5712")
	step(t, d, c)
	if m := s.next(); !strings.Contains(m.text, "Whether it is blocked could not be told: ") || strings.Contains(m.text, "Not blocked") || strings.Contains(m.subject, "locked") {
		t.Errorf("%s\n%s", m.subject, m.text)
	}
}

// The block and the alert may come a little later than the call.
func TestWaitsForWhatIsComing(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	c := newClock()
	d := h.deliverer(c)
	id := fmt.Sprintf("%d.0", c.Now().Unix())
	h.queueEvent(newEvent(&arproto.Request{Action: arproto.Add, Addr: netip.MustParseAddr("203.0.113.7"), AlertID: id, RuleID: "5712"}, "/x", c.Now()))
	look := func() {
		t.Helper()
		if _, err := d.step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	s.none()
	alerts := filepath.Join(string(h.home), "logs/alerts/alerts.log")
	h.write(alerts, "** Alert "+id+": - sshd,\n2026 Nov 23 08:33:59 web->/var/log/auth.log\nRule: 5712 (level 10) -> 'Brute force'\nhalf of the li")
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.7", c.Now())
	c.add(leaseAge / 2)
	look()
	s.none()
	h.write(alerts, "** Alert "+id+": - sshd,\n2026 Nov 23 08:33:59 web->/var/log/auth.log\nRule: 5712 (level 10) -> 'Brute force'\nhalf of the line and the rest\n\n")
	look()
	s.none() // the lease is too fresh: the block may yet fail
	c.add(leaseAge / 2)
	look()
	if m := s.next(); !strings.Contains(m.text, "half of the line and the rest") || !strings.Contains(m.subject, "Threat Blocked") {
		t.Errorf("%s\n%s", m.subject, m.text)
	}
	h.queueEvent(newEvent(&arproto.Request{Action: arproto.Add, Addr: netip.MustParseAddr("203.0.113.8"), AlertID: "1.1", RuleID: "5712", Location: "web->/x", User: "root"}, "/x", c.Now()))
	step(t, d, c)
	if m := s.next(); !strings.Contains(m.text, "The alert's log is not here: it is not in alerts.log or alerts.json") || !strings.Contains(m.text, "Host:        web\nUser:        root\nLocation:    /x\n") {
		t.Errorf("text\n%s", m.text)
	}
}

func TestEndOfABlock(t *testing.T) {
	t.Parallel()
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "[mail]\non_delete = true\nlinger = \"0s\"\n")
	if status, _, stderr := h.run("", "delete", "-", "203.0.113.7", "-", "5712"); status != 0 || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if m := s.next(); m.subject != "OSSEC Alert: Block Ended - 203.0.113.7" {
		t.Errorf("subject %q", m.subject)
	}
	h.hold("host-deny", "host-deny", "203.0.113.8", time.Now())
	h.run("", "delete", "-", "203.0.113.8", "-", "5712")
	if m := s.next(); m.subject != "OSSEC Alert: Still Blocked - 203.0.113.8" || !strings.Contains(m.text, "Blocked by host-deny since ") {
		t.Errorf("subject %q\n%s", m.subject, m.text)
	}
}

type slowNames struct{ answer chan string }

func (s slowNames) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("none")
}

func (s slowNames) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	select {
	case name := <-s.answer:
		return []string{name}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestNameOfTheAddress(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	c := newClock()
	d := h.deliverer(c)
	names := slowNames{make(chan string)}
	d.lookup = names
	h.hold("firewall-drop", "firewall-drop", "203.0.113.7", c.Now().Add(-time.Hour))
	h.queueUp(c, "203.0.113.7", "5712")
	if _, err := d.step(context.Background()); err != nil { // asks for the name
		t.Fatal(err)
	}
	s.none()
	names.answer <- "scanner.example.net."
	<-d.facts.names[netip.MustParseAddr("203.0.113.7")].done
	if _, err := d.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	if m := s.next(); !strings.Contains(m.text, "Name:        scanner.example.net (as its owner claims)") {
		t.Errorf("text\n%s", m.text)
	}
	c.add(time.Hour)
	h.queueUp(c, "203.0.113.9", "5712") // nobody answers
	step(t, d, c)
	if m := s.next(); strings.Contains(m.text, "Name:") {
		t.Errorf("text\n%s", m.text)
	}
}

func TestGeo(t *testing.T) {
	g := &geo{paths: []string{"testdata/geo.mmdb", "testdata/none.mmdb"}}
	defer g.close()
	var faults []error
	country, network := g.lookup(netip.MustParseAddr("203.0.113.7"), func(err error) { faults = append(faults, err) })
	if country != "Amsterdam, Netherlands" || network != "AS64500 Example Networks (203.0.113.0/24)" || len(faults) != 1 {
		t.Errorf("%q, %q, %v", country, network, faults)
	}
	if country, network := g.lookup(netip.MustParseAddr("192.0.2.1"), func(err error) { t.Error(err) }); country != "" || network != "" {
		t.Errorf("%q, %q", country, network)
	}
}
