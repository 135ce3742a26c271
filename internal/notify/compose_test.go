package notify

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

func testSettings(t testing.TB) Settings {
	t.Helper()
	m := newMailConfig()
	m.Server, m.To, m.From = "mail.example.org", []string{"ops@example.org"}, "o@example.org"
	s := Settings{Mail: m, Host: "web.example.org"}
	s.To = mustAddresses(t, m.To...)
	s.From = mustAddresses(t, m.From)[0]
	return s
}

// hostile is what an attacker gets into a log, and so into an alert, with luck.
const hostile = "root\r\nBcc: victim@example.org\r\n\r\n--boundary\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\x00\xff\xfe\u202e{{.Log}}\n.\nQUIT\n</pre><h1>Blocked</h1>"

func TestHostileText(t *testing.T) {
	now := time.Now()
	s := testSettings(t)
	s.IDSName = hostile
	e := newEvent(&arproto.Request{
		Dialect: arproto.Wazuh4, Action: arproto.Add, Addr: netip.MustParseAddr("203.0.113.7"), User: hostile, AlertID: hostile, RuleID: hostile,
		Description: hostile, Groups: []string{hostile, hostile}, AgentName: hostile, FullLog: strings.Repeat(hostile, 8000), Location: hostile,
	}, "/x", now)
	n := notice{ID: "x", Kind: kindAlert, Addr: e.Addr, First: now, Last: now, Count: 2, Alert: *e.Alert, RuleID: e.RuleID, Reverse: hostile,
		Rules: []ruleCount{{ID: e.RuleID, Description: hostile, Count: 2}}, Standing: standing{Whitelisted: hostile, Lifting: []string{hostile}}}
	if !e.Alert.LogCut || len(e.Alert.Log) > 4*maxLog {
		t.Errorf("the log is %d bytes, cut %v", len(e.Alert.Log), e.Alert.LogCut)
	}
	other := n
	other.Addr = netip.MustParseAddr("2001:db8::1")
	for _, notices := range [][]notice{{n}, {n, other}} {
		c, err := compose(s, notices, []string{"ops@example.org"}, now)
		if err != nil {
			t.Fatal(err)
		}
		m := parseMail(t, received{raw: c.raw})
		for name, values := range m.header {
			switch name {
			case "Auto-Submitted", "Date", "Mime-Version", "Message-Id", "Subject", "From", "To", "Content-Type", "X-Ids-Ossec":
				if len(values) != 1 {
					t.Errorf("%s stands %d times", name, len(values))
				}
			default:
				t.Errorf("header %s: %q", name, values)
			}
		}
		for _, part := range []string{m.text, m.html} {
			if strings.ContainsAny(part, "\x00\r\u202e") || !utf8.ValidString(part) {
				t.Error("what cannot be seen got through")
			}
		}
		if strings.Contains(m.html, "<script>") || strings.Contains(m.html, "</pre><h1>") || strings.Contains(m.html, "{{") && !strings.Contains(m.html, "{{.Log}}") {
			t.Error("markup got through")
		}
		for line := range strings.Lines(m.text) {
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
		e := newEvent(&arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Add, Addr: netip.MustParseAddr("203.0.113.7"), User: user, FullLog: log, Description: description}, "/x", now)
		n := notice{ID: "x", Kind: kindAlert, Addr: e.Addr, First: now, Last: now, Count: 1, Alert: *e.Alert}
		c, err := compose(s, []notice{n}, []string{"ops@example.org"}, now)
		if err != nil {
			t.Fatal(err)
		}
		m := parseMail(t, received{raw: c.raw})
		if len(m.header) != 8 || m.subject != "OSSEC Alert: Threat Detected - 203.0.113.7" {
			t.Errorf("subject %q, header %v", m.subject, m.header)
		}
		if strings.Count(m.text, "\nAddress:     ") != 1 || strings.Count(m.text, "\nTime:        ") != 1 || strings.Count(m.html, "<h1>") != 1 {
			t.Errorf("text\n%s\nHTML\n%s", m.text, m.html)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, text string) {
		line := cleanLine(text)
		if strings.ContainsAny(line, "\n\r\x00\t") || !utf8.ValidString(line) {
			t.Errorf("%q gives %q", text, line)
		}
		if len(text) <= maxWord && len(line) <= maxWord && cleanLine(line) != line {
			t.Errorf("%q is not clean yet", line)
		}
		if log := cleanLog(text); !utf8.ValidString(log) || strings.ContainsAny(log, "\r\x00") {
			t.Errorf("%q gives %q", text, log)
		}
	})
}

// What nobody can see is shown, so that no text looks like another.
func TestInvisible(t *testing.T) {
	for _, r := range "\u115f\u1160\uffa0\u17b4\u180b\u3164\u034f\ufe0f\u2800\u2003\u200b\u202e\U000e0041\U000e0101" {
		if got, want := cleanLine("ad"+string(r)+"min"), fmt.Sprintf(`ad\u%04xmin`, r); got != want {
			t.Errorf("%U: %q, want %q", r, got, want)
		}
	}
	const seen = "Ŝtelo – 星 ★\u00a0é🙂" // and a blank that is one
	if got := cleanLine(seen); got != seen {
		t.Errorf("%q, want it as it is", got)
	}
}

func TestSubjects(t *testing.T) {
	now := time.Now()
	n := sample(now)
	for want, change := range map[string]func(*notice){
		"OSSEC Alert: Threat Blocked - 203.0.113.7":      func(*notice) {},
		"OSSEC Alert: Threat Detected - 203.0.113.7":     func(n *notice) { n.Standing = standing{} },
		"OSSEC Alert: Threat Detected - 203.0.113.7 ":    func(n *notice) { n.Standing = standing{Unknown: "x"} },
		"OSSEC Alert: Whitelisted Address - 203.0.113.7": func(n *notice) { n.Standing = standing{Whitelisted: "x"} },
		"OSSEC Alert: Block Ended - 203.0.113.7":         func(n *notice) { n.Kind, n.Standing = kindEnd, standing{} },
		"OSSEC Alert: Still Blocked - 203.0.113.7":       func(n *notice) { n.Kind = kindEnd },
		"OSSEC Alert: Rule 5712 on web":                  func(n *notice) { n.Addr = netip.Addr{} },
	} {
		one := n
		change(&one)
		c, err := compose(testSettings(t), []notice{one}, []string{"ops@example.org"}, now)
		if err != nil || c.subject != strings.TrimSpace(want) {
			t.Errorf("%q, %v, want %q", c.subject, err, want)
		}
	}
}

// A digest counts each address as it stands, and is red only where one may be at large.
func TestDigestCounts(t *testing.T) {
	now := time.Now()
	blocked := sample(now)
	still, ended, white, unknown, lifting, free := blocked, blocked, blocked, blocked, blocked, blocked
	still.Kind = kindEnd
	ended.Kind, ended.Standing = kindEnd, standing{}
	white.Standing = standing{Whitelisted: "x"}
	unknown.Standing = standing{Unknown: "x"}
	lifting.Kind, lifting.Standing = kindEnd, standing{Lifting: []string{"firewall-drop"}}
	free.Standing = standing{}
	for _, r := range []struct {
		notices              []notice
		subject, text, color string
	}{
		{[]notice{ended, ended}, "2 addresses, 2 blocks ended", "Blocked: 0  Whitelisted: 0  Not blocked: 0  Block ended: 2\n", "green"},
		{[]notice{unknown, lifting}, "2 addresses, state of 2 unknown", "Blocked: 0  Whitelisted: 0  Not blocked: 0  Unknown: 2\n", "red"},
		{[]notice{blocked, still}, "2 addresses, 2 of them blocked", "Blocked: 2  Whitelisted: 0  Not blocked: 0\n", "green"},
		{[]notice{blocked, ended}, "2 addresses, 1 of them blocked, 1 block ended", "Blocked: 1  Whitelisted: 0  Not blocked: 0  Block ended: 1\n", "green"},
		{[]notice{white, white}, "2 addresses, 0 of them blocked", "Blocked: 0  Whitelisted: 2  Not blocked: 0\n", "amber"},
		{[]notice{blocked, free, white, ended, unknown}, "5 addresses, 1 of them blocked, 1 block ended, state of 1 unknown", "Blocked: 1  Whitelisted: 1  Not blocked: 1  Block ended: 1  Unknown: 1\n", "red"},
	} {
		c, err := compose(testSettings(t), r.notices, []string{"ops@example.org"}, now)
		if err != nil || c.subject != "OSSEC Alert: "+r.subject || !strings.Contains(c.text, "\n"+r.text) || !strings.Contains(c.html, `<div class="bar `+r.color+`">`) {
			t.Errorf("%q, %v\n%s%s\nwant %q, %q, a bar in %s", c.subject, err, c.text, c.html, r.subject, r.text, r.color)
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
	c, err := compose(s, []notice{sample(now)}, []string{"ops@example.org"}, now)
	if err != nil || c.subject != "[web.example.org] 203.0.113.7 Bcc: x@example.org" {
		t.Errorf("%q, %v", c.subject, err)
	}
	if err := s.CheckTemplates(now); err != nil {
		t.Error(err)
	}
	for _, broken := range []string{"{{.Nothing}}", "{{", "{{index .Items 7}}", "{{range $x := .Items}}{{template \"none\"}}{{end}}"} {
		h.write(path, broken)
		c, err := compose(s, []notice{sample(now)}, []string{"ops@example.org"}, now)
		if c.subject != "OSSEC Alert: Threat Blocked - 203.0.113.7" || err == nil || !strings.Contains(err.Error(), "broken template "+path) {
			t.Errorf("%s: %q, %v", broken, c.subject, err)
		}
		if err := s.CheckTemplates(now); err == nil {
			t.Errorf("%s: check finds nothing", broken)
		}
	}
	s.Mail.Subject = path + ".missing"
	if c, err = compose(s, []notice{sample(now)}, []string{"ops@example.org"}, now); c.raw == nil || err == nil {
		t.Errorf("missing template: %v", err)
	}
}

func TestBuiltInTemplatesOnAllSamples(t *testing.T) {
	now := time.Now()
	s := testSettings(t)
	for i, notices := range samples(now) {
		c, err := compose(s, notices, []string{"ops@example.org"}, now)
		if err != nil {
			t.Errorf("sample %d: %v", i, err)
		}
		for _, text := range []string{c.subject, c.text, c.html} {
			if strings.Contains(text, "<no value>") || strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "%!") {
				t.Errorf("sample %d:\n%s", i, text)
			}
		}
	}
}

func TestMessageIDIsThatOfTheSameMail(t *testing.T) {
	now := time.Now()
	s, a := testSettings(t), sample(now)
	again, b := a, a
	b.Count++
	to := []string{"ops@example.org"}
	if messageID(s, []notice{a}, to) != messageID(s, []notice{again}, to) || messageID(s, []notice{a}, to) == messageID(s, []notice{b}, to) ||
		messageID(s, []notice{a}, to) == messageID(s, []notice{a}, []string{"x@example.org"}) {
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
