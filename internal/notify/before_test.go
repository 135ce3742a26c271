package notify

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/history"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// about makes the mail about the call of email-notification for an address, as a person previews it.
func (h house) about(words ...string) string {
	h.t.Helper()
	status, out, errs := h.mail(append([]string{"preview"}, words...)...)
	if status != 0 || errs != "" {
		h.t.Fatalf("status %d: %s", status, errs)
	}
	return out
}

// logged appends a line to active-responses.log.
func (h house) logged(at time.Time, status arlog.Status, addr string) {
	h.t.Helper()
	of := target.MustParse(addr).Addr()
	message := arlog.Blocked(of, "5712", "")
	if status == arlog.StatusDelete {
		message = arlog.Unblocked(of, "")
	}
	line := arlog.Entry{Time: at.UTC(), Program: h.home.Programs() + "/firewall-drop.sh", Status: status, Addr: of,
		AlertID: "1.1", RuleID: "5712", Message: message}
	file, err := os.OpenFile(h.home.ResponseLog(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.Write(line.Format())
		_ = file.Close()
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestBefore: a mail says how often the address was blocked before, by the log where no history is kept.
func TestBefore(t *testing.T) {
	t.Setenv("TZ", "UTC")
	now := time.Now().UTC().Truncate(time.Second)
	h := newHouse(t, onlyOps, "")
	h.write(h.home.ResponseLog(), "")
	if got := h.about("203.0.113.7"); strings.Contains(got, "Before:") {
		t.Errorf("an empty log says something:\n%s", got)
	}
	begin := now.Add(-48 * time.Hour)
	for _, step := range []struct {
		after  time.Duration
		status arlog.Status
		addr   string
	}{
		{0, arlog.StatusAdd, "203.0.113.9"},
		{time.Hour, arlog.StatusAdd, "203.0.113.7"},
		{time.Hour + time.Second, arlog.StatusAdd, "203.0.113.7"}, // another response on the same alert
		{2 * time.Hour, arlog.StatusDelete, "203.0.113.7"},
		{2*time.Hour + time.Second, arlog.StatusDelete, "203.0.113.7"},
		{30 * time.Hour, arlog.StatusAdd, "203.0.113.7"},
		{31 * time.Hour, arlog.StatusDelete, "203.0.113.7"},
		{48*time.Hour - time.Second, arlog.StatusAdd, "203.0.113.7"}, // the one that stands
		{48*time.Hour - time.Second, arlog.StatusAdd, "203.0.113.8"},
	} {
		h.logged(begin.Add(step.after), step.status, step.addr)
	}
	for _, addr := range []string{"203.0.113.7", "203.0.113.8"} {
		h.hold("firewall-drop", "firewall-drop.sh", addr, now.Add(-time.Second))
	}
	since := " (the log begins " + stamp(begin, time.Local) + ")\n"
	for addr, want := range map[string]string{
		"203.0.113.7": "Before:      blocked 2 times, the last time " + stamp(begin.Add(30*time.Hour), time.Local) + since,
		"203.0.113.8": "Before:      never blocked" + since,
	} {
		if got := h.about(addr); !strings.Contains(got, want) {
			t.Errorf("the mail lacks %q:\n%s", want, got)
		}
	}
	if _, got, _ := h.mail("preview", "203.0.113.7", "--html"); !strings.Contains(got, ">Before</th><td class=\"v\">blocked 2 times, ") {
		t.Errorf("HTML\n%s", got)
	}
}

// TestBeforeByHistory: where a history is kept, it says how often, also of the network that was blocked.
func TestBeforeByHistory(t *testing.T) {
	h := newHouse(t, onlyOps, "[[escalate]]\nafter = 3\nwithin = \"7d\"\nblock = \"30d\"\n")
	now := time.Now().UTC().Truncate(time.Second)
	h.write(h.home.ResponseLog(), "")
	h.logged(now.Add(-time.Hour), arlog.StatusAdd, "203.0.113.7") // the history knows better
	if err := os.MkdirAll(h.home.State(), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, block := range []string{"203.0.113.7", "203.0.113.7", "203.0.113.7", "2001:db8::/64"} {
		for _, response := range []string{"firewall-drop", "host-deny"} {
			at := now.Add(time.Duration(i-10) * 24 * time.Hour)
			if _, err := (history.Book{Dir: h.home.State(), Response: response}).Add(target.MustParse(block), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for addr, want := range map[string]string{
		"203.0.113.7": fmt.Sprintf("Before:      blocked 3 times, the last time %s\n", stamp(now.Add(-8*24*time.Hour), time.Local)),
		"2001:db8::7": fmt.Sprintf("Before:      blocked 1 time, the last time %s\n", stamp(now.Add(-7*24*time.Hour), time.Local)),
		"203.0.113.8": "Before:      never blocked\n",
	} {
		if got := h.about(addr); !strings.Contains(got, want) {
			t.Errorf("the mail lacks %q:\n%s", want, got)
		}
	}
}

// TestDigestSaysWhoComesBack: in a digest too.
func TestDigestSaysWhoComesBack(t *testing.T) {
	now := time.Now()
	back, other := sample(now), sample(now)
	back.Name, back.Country, back.Network, back.Blocks = "", "", "", 2
	m, _, err := composed(t, testSettings(t), []entry{back, other}, now)
	if err != nil || !strings.Contains(m.Text, "203.0.113.7  blocked by firewall-drop, blocked 2 times before\n") ||
		!strings.Contains(m.HTML, "blocked 2 times before") {
		t.Errorf("%v\n%s", err, m.Text)
	}
}

// TestUntilWhen: a mail says until when an address is blocked, as far as that is known.
func TestUntilWhen(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	h.write(h.home.ResponseList(), "firewall-drop600 - firewall-drop.sh - 600\nfirewall-drop1800 - firewall-drop.sh - 1800\n"+
		"host-deny0 - host-deny.sh - 0\n")
	now := time.Now().UTC().Truncate(time.Second)
	daemon := &lease.Daemon{PID: 1, Start: 1, Boot: "x"}
	for response, l := range map[string]lease.Lease{
		"firewall-drop":  {Program: "firewall-drop.sh", Daemon: daemon},
		"host-deny":      {Program: "host-deny.sh", Daemon: daemon},
		"route-null":     {Program: "block-ip", Daemon: daemon, Until: now.Add(time.Hour)},
		"ip-customblock": {Program: "ossec-ar"},
	} {
		l.Target, l.Since, l.Renewed = target.MustParse("203.0.113.7"), now, now.Add(-time.Minute)
		if err := lease.New(h.home.State(), response).Update(func(tx *lease.Tx) error { return tx.Put(l) }); err != nil {
			t.Fatal(err)
		}
	}
	got := h.about("203.0.113.7")
	since := " since " + stamp(now, time.Local) + ", "
	for _, want := range []string{
		"Blocked by firewall-drop.sh" + since + "at most until 30 minutes after the last alert.\n",
		"Blocked by host-deny.sh" + since + "until somebody frees it.\n",
		"Blocked by block-ip" + since + "until " + stamp(now.Add(time.Hour), time.Local) + ".\n",
		"Blocked by ossec-ar" + since + "until somebody frees it.\n",
		"Whitelist:   not on it\n", "ossec-ar show 203.0.113.7\n", "ossec-ar unban 203.0.113.7\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the mail lacks %q:\n%s", want, got)
		}
	}
}

// TestLockedAccount: a mail says that the account was locked, also of an alert without an address.
func TestLockedAccount(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	now := time.Now().UTC().Truncate(time.Second)
	if err := lease.New(h.home.State(), locking).Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: target.Account("mallory"), Program: "disable-account.sh", Since: now, Renewed: now})
	}); err != nil {
		t.Fatal(err)
	}
	want := "Account mallory locked by disable-account.sh since " + stamp(now, time.Local) + ", until somebody frees it.\n"
	for _, addr := range []string{"-", "203.0.113.7"} {
		if got := h.about("add", "mallory", addr, "-", "5712"); !strings.Contains(got, want) {
			t.Errorf("%s: the mail lacks %q:\n%s", addr, want, got)
		}
	}
	if got := h.about("add", "root", "203.0.113.7", "-", "5712"); strings.Contains(got, "Account ") {
		t.Errorf("of another account:\n%s", got)
	}
}

// TestAccountNotLocked: what failed is news of its own, first of all.
func TestAccountNotLocked(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf("<email_maxperhour>2</email_maxperhour>"), "[mail]\ncoalesce = \"0s\"\n")
	c := newClock()
	for _, addr := range []string{"203.0.113.1", "203.0.113.2"} {
		h.hold("firewall-drop", "firewall-drop.sh", addr, c.Now().Add(-time.Minute))
		h.queueUp(c, addr, "5712")
	}
	if err := lease.New(h.home.State(), locking).Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: target.Account("mallory"), Program: "disable-account.sh", Since: c.Now(),
			Renewed: c.Now(), State: lease.Waiting})
	}); err != nil {
		t.Fatal(err)
	}
	h.queueRequest(c, arproto.Request{Action: arproto.Add, User: "mallory", RuleID: "40112"})
	h.step(h.office(c), c)
	if m := s.Next(); m.Subject != "OSSEC Alert: Rule 40112" ||
		!strings.Contains(m.Text, "disable-account.sh failed to lock account mallory, and ossec-ar maintain tries again each minute.\n") {
		t.Errorf("%s\n%s", m.Subject, m.Text)
	}
}

// TestBlockedThoughWhitelisted: the one does not hide the other.
func TestBlockedThoughWhitelisted(t *testing.T) {
	h := newHouse(t, strings.Replace(onlyOps, "<global>", "<global><white_list>203.0.113.0/24</white_list>", 1), "")
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.7", time.Now().Add(-time.Minute))
	got := h.about("203.0.113.7")
	entry := "203.0.113.0/24 (" + h.home.Conf() + ":1)"
	for _, want := range []string{"Threat Blocked", "Blocked by firewall-drop.sh since ", "Whitelist:   " + entry + "\n",
		"Whitelisted by " + entry + ", so that ossec-ar maintain lifts it.\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the mail lacks %q:\n%s", want, got)
		}
	}
}
