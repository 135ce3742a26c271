package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/config"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

func testSettings(t testing.TB) *mail.Settings {
	t.Helper()
	m := config.Default().Mail
	m.Server, m.To, m.From = "mail.example.org", []string{"ops@example.org"}, "o@example.org"
	s, err := mail.Load(ossec.Home(t.TempDir()), m)
	if err != nil {
		t.Fatal(err)
	}
	s.Host = "web.example.org"
	return s
}

// composed makes the mail of entries.
func composed(t testing.TB, s *mail.Settings, entries []entry, now time.Time) (mail.Message, []byte, error) {
	t.Helper()
	s.ReverseName = false
	j := job{Task: taskFormat, Settings: s, Entries: entries, Now: now, To: []string{"ops@example.org"},
		Templates: templates(t, s)}
	a := j.do(t.Context(), nil)
	if a.Failed != nil {
		t.Fatal(a.Failed)
	}
	if len(a.Faults) > 0 {
		return a.Message, a.Raw, errors.New(strings.Join(a.Faults, "\n"))
	}
	return a.Message, a.Raw, nil
}

// templates reads the administrator's templates.
func templates(t testing.TB, s *mail.Settings) map[string]string {
	t.Helper()
	sources := map[string]string{}
	for _, part := range parts {
		if path := ownTemplate(s, part); path != "" {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources[part] = string(source)
		}
	}
	return sources
}

// hostile is what an attacker gets into a log, and so into an alert, with luck.
const hostile = "root\r\nBcc: victim@example.org\r\n\r\n--boundary\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\x00\xff\xfe\u202e{{.Log}}\n.\nQUIT\n</pre><h1>Blocked</h1>"

func TestHostileText(t *testing.T) {
	now := time.Now()
	s := testSettings(t)
	s.IDSName = hostile
	n := notice.Of(&arproto.Request{
		Dialect: arproto.Wazuh4, Action: arproto.Add, Addr: netip.MustParseAddr("203.0.113.7"), User: hostile, AlertID: hostile, RuleID: hostile,
		Description: hostile, Groups: []string{hostile, hostile}, AgentName: hostile, FullLog: strings.Repeat(hostile, 8000), Location: hostile,
	}, now)
	n.Rules = []notice.RuleCount{{ID: n.RuleID, Description: n.Facts.Description, Count: 2}}
	n.Standing = notice.Standing{Whitelisted: hostile, Lifting: []string{hostile}, Unknown: hostile}
	if !n.Facts.LogCut || len(n.Facts.Log) > 4*notice.MaxLog {
		t.Errorf("the log is %d bytes, cut %v", len(n.Facts.Log), n.Facts.LogCut)
	}
	one := entry{Notice: n, Item: &outbox.Item{First: now, Last: now, Count: 2}}
	other := one
	other.Addr = netip.MustParseAddr("2001:db8::1")
	for _, entries := range [][]entry{{one}, {one, other}} {
		_, raw, err := composed(t, s, entries, now)
		if err != nil {
			t.Fatal(err)
		}
		m := mailtest.Parse(t, mailtest.Received{Raw: raw})
		for name, values := range m.Header {
			switch name {
			case "Auto-Submitted",
				"Date",
				"Mime-Version",
				"Message-Id",
				"Subject",
				"From",
				"To",
				"Content-Type",
				"X-Ids-Ossec":
				if len(values) != 1 {
					t.Errorf("%s stands %d times", name, len(values))
				}
			default:
				t.Errorf("header %s: %q", name, values)
			}
		}
		for _, part := range []string{m.Text, m.HTML} {
			if strings.ContainsAny(part, "\x00\r\u202e") || !utf8.ValidString(part) {
				t.Error("what cannot be seen got through")
			}
		}
		if strings.Contains(m.HTML, "<script>") || strings.Contains(m.HTML, "</pre><h1>") ||
			strings.Contains(m.HTML, "{{") && !strings.Contains(m.HTML, "{{.Log}}") {
			t.Error("markup got through")
		}
		for line := range strings.Lines(m.Text) {
			if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "QUIT") || line == ".\n" {
				t.Errorf("the line %q stands at the margin", line)
			}
		}
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("root", "Failed password\nfor root", "<b>")
	f.Add(hostile, hostile, hostile)
	f.Add("=?utf-8?q?x?=", strings.Repeat("x", 5000), "\u2028")
	s := testSettings(f)
	f.Fuzz(func(t *testing.T, user, log, description string) {
		now := time.Unix(1795422839, 0)
		n := notice.Of(
			&arproto.Request{
				Dialect:     arproto.Wazuh4,
				Action:      arproto.Add,
				Addr:        netip.MustParseAddr("203.0.113.7"),
				User:        user,
				FullLog:     log,
				Description: description,
			},
			now,
		)
		_, raw, err := composed(
			t,
			s,
			[]entry{{Notice: n, Item: &outbox.Item{First: now, Last: now, Count: 1}}},
			now,
		)
		if err != nil {
			t.Fatal(err)
		}
		m := mailtest.Parse(t, mailtest.Received{Raw: raw})
		if len(m.Header) != 8 || m.Subject != "OSSEC Alert: Threat Detected - 203.0.113.7" {
			t.Errorf("subject %q, header %v", m.Subject, m.Header)
		}
		if strings.Count(m.Text, "\nAddress:     ") != 1 || strings.Count(m.Text, "\nTime:        ") != 1 ||
			strings.Count(m.HTML, "<h1>") != 1 {
			t.Errorf("text\n%s\nHTML\n%s", m.Text, m.HTML)
		}
	})
}

func TestSubjects(t *testing.T) {
	now := time.Now()
	n := sample(now)
	for want, change := range map[string]func(*entry){
		"OSSEC Alert: Threat Blocked - 203.0.113.7":      func(*entry) {},
		"OSSEC Alert: Threat Detected - 203.0.113.7":     func(n *entry) { n.Standing = notice.Standing{} },
		"OSSEC Alert: Threat Detected - 203.0.113.7 ":    func(n *entry) { n.Standing = notice.Standing{Unknown: "x"} },
		"OSSEC Alert: Whitelisted Address - 203.0.113.7": func(n *entry) { n.Standing = notice.Standing{Whitelisted: "x"} },
		"OSSEC Alert: Block Ended - 203.0.113.7":         func(n *entry) { n.Kind, n.Standing = notice.End, notice.Standing{} },
		"OSSEC Alert: Still Blocked - 203.0.113.7":       func(n *entry) { n.Kind = notice.End },
		"OSSEC Alert: Rule 5712 on web":                  func(n *entry) { n.Addr = netip.Addr{} },
	} {
		one := n
		change(&one)
		m, _, err := composed(t, testSettings(t), []entry{one}, now)
		if err != nil || m.Subject != strings.TrimSpace(want) {
			t.Errorf("%q, %v, want %q", m.Subject, err, want)
		}
	}
}

// A digest counts each address as it stands, and is red only where one may be at large.
func TestDigestCounts(t *testing.T) {
	now := time.Now()
	blocked := sample(now)
	still, ended, white, unknown, lifting, free := blocked, blocked, blocked, blocked, blocked, blocked
	still.Kind = notice.End
	ended.Kind, ended.Standing = notice.End, notice.Standing{}
	white.Standing = notice.Standing{Whitelisted: "x"}
	unknown.Standing = notice.Standing{Unknown: "x"}
	lifting.Kind, lifting.Standing = notice.End, notice.Standing{Lifting: []string{"firewall-drop"}}
	free.Standing = notice.Standing{}
	for _, r := range []struct {
		entries              []entry
		subject, text, color string
	}{
		{[]entry{ended, ended}, "2 addresses, 2 blocks ended", "Blocked: 0  Whitelisted: 0  Not blocked: 0  Block ended: 2\n", "green"},
		{[]entry{unknown, lifting}, "2 addresses, state of 2 unknown", "Blocked: 0  Whitelisted: 0  Not blocked: 0  Unknown: 2\n", "red"},
		{[]entry{blocked, still}, "2 addresses, 2 of them blocked", "Blocked: 2  Whitelisted: 0  Not blocked: 0\n", "green"},
		{[]entry{blocked, ended}, "2 addresses, 1 of them blocked, 1 block ended", "Blocked: 1  Whitelisted: 0  Not blocked: 0  Block ended: 1\n", "green"},
		{[]entry{white, white}, "2 addresses, 0 of them blocked", "Blocked: 0  Whitelisted: 2  Not blocked: 0\n", "amber"},
		{[]entry{blocked, free, white, ended, unknown}, "5 addresses, 1 of them blocked, 1 block ended, state of 1 unknown", "Blocked: 1  Whitelisted: 1  Not blocked: 1  Block ended: 1  Unknown: 1\n", "red"},
	} {
		m, _, err := composed(t, testSettings(t), r.entries, now)
		if err != nil || m.Subject != "OSSEC Alert: "+r.subject || !strings.Contains(m.Text, "\n"+r.text) ||
			!strings.Contains(m.HTML, `<div class="bar `+r.color+`">`) {
			t.Errorf(
				"%q, %v\n%s%s\nwant %q, %q, a bar in %s",
				m.Subject,
				err,
				m.Text,
				m.HTML,
				r.subject,
				r.text,
				r.color,
			)
		}
	}
}

func TestOwnTemplates(t *testing.T) {
	now := time.Now()
	h := newHouse(t, "", "")
	path := string(h.home) + "/subject.tmpl"
	s := testSettings(t)
	s.Mail.Subject = path
	h.write(path, "[{{.Host}}]\n {{(index .Items 0).Address}}\r\nBcc: x@example.org")
	m, _, err := composed(t, s, []entry{sample(now)}, now)
	if err != nil || m.Subject != "[web.example.org] 203.0.113.7 Bcc: x@example.org" {
		t.Errorf("%q, %v", m.Subject, err)
	}
	check := func() error { return (&job{Settings: s, Now: now, Templates: templates(t, s)}).checkTemplates() }
	if err := check(); err != nil {
		t.Error(err)
	}
	for _, broken := range []string{"{{.Nothing}}", "{{", "{{index .Items 7}}", "{{range $x := .Items}}{{template \"none\"}}{{end}}"} {
		h.write(path, broken)
		m, _, err := composed(t, s, []entry{sample(now)}, now)
		if m.Subject != "OSSEC Alert: Threat Blocked - 203.0.113.7" || err == nil ||
			!strings.Contains(err.Error(), "broken template "+path) {
			t.Errorf("%s: %q, %v", broken, m.Subject, err)
		}
		if err := check(); err == nil {
			t.Errorf("%s: check finds nothing", broken)
		}
	}
}

func TestBuiltInTemplatesOnAllSamples(t *testing.T) {
	now := time.Now()
	s := testSettings(t)
	for i, entries := range samples(now) {
		m, _, err := composed(t, s, entries, now)
		if err != nil {
			t.Errorf("sample %d: %v", i, err)
		}
		for _, text := range []string{m.Subject, m.Text, m.HTML} {
			if strings.Contains(text, "<no value>") || strings.Contains(text, "ZgotmplZ") ||
				strings.Contains(text, "%!") {
				t.Errorf("sample %d:\n%s", i, text)
			}
		}
	}
}

func TestMessageIDIsThatOfTheSameMail(t *testing.T) {
	now := time.Now()
	a := sample(now)
	again, b := a, a
	b.Item = &outbox.Item{ID: a.Item.ID, First: now, Last: now, Count: 2}
	id := func(e entry, to string) string { return (&job{Entries: []entry{e}, To: []string{to}}).messageID() }
	if id(a, "ops") != id(again, "ops") || id(a, "ops") == id(b, "ops") || id(a, "ops") == id(a, "x") {
		t.Error("the id is not that of the mail")
	}
}

func TestRoundDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{3 * time.Minute: "3 minutes", time.Hour: "1 hour 0 minutes", 49 * time.Hour: "2 days 1 hour"} {
		if got := roundDuration(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

// A digest that gets too long to be one mail has the first addresses; a single one that does is
// refused, unless the administrator's own template is to blame: then the built-in one serves.
func TestTooLong(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := testSettings(t)
	var entries []entry
	for i := range 900 {
		e := sample(now)
		e.Addr, e.Rules = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), nil
		e.Item = &outbox.Item{First: now, Last: now, Count: maxRules}
		for r := range maxRules {
			e.Rules = append(
				e.Rules,
				notice.RuleCount{
					ID:          fmt.Sprint(5000 + r),
					Level:       10,
					Description: strings.Repeat("&", 512),
					Count:       1,
					Last:        now,
				},
			)
		}
		entries = append(entries, e)
	}
	j := job{Task: taskWrite, Settings: s, Entries: entries, Now: now}
	s.ReverseName = false
	if a := j.do(t.Context(), nil); a.Failed != nil || a.Used >= 900 || a.Used < 100 ||
		!strings.Contains(a.Message.Subject, fmt.Sprint(a.Used, " addresses")) {
		t.Errorf("%d used, %v", a.Used, a.Failed)
	}
	j.Entries = entries[:1]
	j.Entries[0].Facts.Log = strings.Repeat("x\n", maxPart)
	if a := j.do(t.Context(), nil); a.Failed == nil || !a.Failed.Final {
		t.Errorf("%v", a.Failed)
	}
	entries = []entry{sample(now), sample(now)}
	h := newHouse(t, onlyOps, "")
	s.Text = string(h.home) + "/text.tmpl"
	h.write(s.Text, `{{range 20000000}}too much{{end}}`)
	if m, _, err := composed(t, s, entries, now); err == nil ||
		!strings.Contains(m.Text, "203.0.113.7") {
		t.Errorf("err = %v", err)
	}
}

// Alerts on one address make one entry; what had no room is mentioned.
func TestMergeAndCounted(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf(""), "")
	c := newClock()
	for range 5 {
		h.queueUp(c, "203.0.113.7", "5712")
		h.queueUp(c, "203.0.113.7", "5720")
		c.add(100 * time.Millisecond)
	}
	h.write(
		notice.Mail.Queue(h.home)+"/queue",
		`{"counted":{"total":4,"top":{"203.0.113.9":3,"203.0.113.8":1}}}`+"\n",
	)
	h.step(h.office(c), c)
	m := s.Next()
	if !strings.Contains(m.Text, "Alerts:      10, from ") ||
		!strings.Contains(m.Text, "rule 5720, 5 alerts") ||
		!strings.Contains(m.Text, "\n4 more alerts came in than there was room for in the queue") ||
		!strings.Contains(m.Text, "The most frequent:\n    203.0.113.9  3 alerts\n    203.0.113.8  1 alert\n") ||
		!strings.Contains(m.HTML, "4 more alerts") || !strings.Contains(m.HTML, "203.0.113.9 (3), 203.0.113.8 (1)") {
		t.Errorf("the mail lacks some alerts:\n%s", m.Text)
	}
	if want := "Email notification sent for IP: 203.0.113.7 (not blocked) (10 alerts)"; !strings.Contains(
		h.log(),
		want,
	) {
		t.Errorf("the log lacks %q:\n%s", want, h.log())
	}
}
