package chat

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// Each service gets what it documents, from a URL as people have it, and of an attacker's text no
// mention, link or markup.
func TestFormats(t *testing.T) {
	s := newServer(t)
	for name, test := range map[string]struct {
		url, host, path, query string
		header                 map[string]string
		// text returns title and text of what the service got.
		text func(t *testing.T, body []byte) string
		want []string // in the body as it is
	}{
		"slack, as it shows the URL": {
			url: slackHook, host: "hooks.slack.com", path: "/services/T00000000/B00000000/s3cr3tAAAAAAAAAAAAAAAAAA",
			text: slackText,
		},
		"slack, as a bot": {
			url:  "slack://xoxb:123456789012-123456789012-s3cr3tcabcdefabcdefabcdef@C0123456789",
			host: "slack.com", path: "/api/chat.postMessage",
			header: map[string]string{"Authorization": "Bearer xoxb-123456789012-123456789012-s3cr3tcabcdefabcdefabcdef"},
			text:   slackText, want: []string{`"channel": "C0123456789"`},
		},
		"discord": {
			url: "https://discord.com/api/webhooks/123456789/s3cr3t-token_1", host: "discord.com",
			path: "/api/webhooks/123456789/s3cr3t-token_1", text: discordText,
		},
		"teams, a connector": {
			url: "https://contoso.webhook.office.com/webhookb2/11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-" +
				"cccccccccccc/IncomingWebhook/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2s3cr3t",
			host: "contoso.webhook.office.com",
			path: "/webhookb2/11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/IncomingWebhook/" +
				"33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2s3cr3t",
			text: connectorText, want: []string{`"@type":"MessageCard"`},
		},
		"teams, a workflow": {
			url: "https://prod.westeurope.logic.azure.com:443/workflows/abc/triggers/manual/paths/invoke?api-version=2016-06-01" +
				"&sp=%2Ftriggers&sv=1.0&sig=s3cr3t",
			host: "prod.westeurope.logic.azure.com:443", path: "/workflows/abc/triggers/manual/paths/invoke",
			query: "api-version=2016-06-01&sig=s3cr3t&sp=%2Ftriggers&sv=1.0",
			text:  cardText, header: map[string]string{"Content-Type": "application/json"},
			want: []string{`"contentType":"application/vnd.microsoft.card.adaptive"`},
		},
		"telegram": {
			url:  "telegram://110201543:s3cr3tFSofSAs0K5PALDsaw@telegram?chats=-1001&parsemode=Markdown",
			host: "api.telegram.org", path: "/bot110201543:s3cr3tFSofSAs0K5PALDsaw/sendMessage",
			text: field("text"), want: []string{`"parse_mode": "HTML"`, `"disable_web_page_preview": true`, `\u0026lt;`},
		},
		"mattermost": {
			url:  "mattermost://chat.example.org/s3cr3ttoken",
			host: "chat.example.org", path: "/hooks/s3cr3ttoken",
			text: func(t *testing.T, body []byte) string { return markdownText(t, field("text")(t, body)) },
		},
		"ntfy": {
			url: "ntfy://ntfy.sh/s3cr3t-topic?priority=high", host: "ntfy.sh", path: "/s3cr3t-topic",
			header: map[string]string{"Title": "OSSEC Alert: Threat Blocked - 203.0.113.7", "Priority": "High"},
			text:   func(_ *testing.T, body []byte) string { return "Threat Blocked - 203.0.113.7\n" + string(body) },
		},
		"gotify": {
			url: "gotify://push.example.org/As3cr3t.D4iJLVa", host: "push.example.org", path: "/message",
			query: "token=As3cr3t.D4iJLVa", text: field("title", "message"),
		},
		"pushover": {
			url: "pushover://:s3cr3t@userkey/", host: "api.pushover.net", path: "/1/messages.json",
			text: func(t *testing.T, body []byte) string {
				form, err := url.ParseQuery(string(body))
				if err != nil || form.Get("token") != "s3cr3t" || form.Get("user") != "userkey" {
					t.Errorf("%v, %v", form, err)
				}
				return form.Get("title") + "\n" + form.Get("message")
			},
		},
		"opsgenie": {
			url: "opsgenie://api.opsgenie.com/s3cr3t-key", host: "api.opsgenie.com:443", path: "/v2/alerts",
			header: map[string]string{"Authorization": "GenieKey s3cr3t-key"},
			text:   field("message", "description"), want: []string{`"alias":"ossec-ar web 203.0.113.7"`},
		},
		"pagerduty": {
			url:  "pagerduty:///0123456789abcdef0123456789abcdef",
			host: "events.pagerduty.com:443", path: "/v2/enqueue",
			text: func(t *testing.T, body []byte) string {
				var event struct{ Payload struct{ Summary string } }
				decode(t, body, &event)
				return event.Payload.Summary
			},
			want: []string{`"event_action":"trigger"`, `"dedup_key":"ossec-ar web 203.0.113.7"`, `"source":"web"`,
				`"severity":"error"`, `"routing_key":"0123456789abcdef0123456789abcdef"`},
		},
		"any webhook": {
			url: "https://hook.example.org/a/b?token=s3cr3t", host: "hook.example.org", path: "/a/b", query: "token=s3cr3t",
			text: field("title", "message"), header: map[string]string{"Content-Type": "application/json"},
			want: []string{`"address":"203.0.113.7"`, `"rule":"5712"`, `"event":"block"`, `"host":"web"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := Service{URL: test.url, Proxy: s.Proxy, CA: s.CA}
			if failure := service.Send(t.Context(), notice()); failure != nil {
				t.Fatal(failure)
			}
			all := s.All()
			if len(all) != 1 {
				t.Fatalf("%d requests: %+v", len(all), all)
			}
			r := all[0]
			if r.Method != "POST" || r.Host != test.host || r.Path != test.path || r.Query != test.query {
				t.Errorf("%s %s%s?%s", r.Method, r.Host, r.Path, r.Query)
			}
			for key, want := range test.header {
				if got := r.Header.Get(key); got != want {
					t.Errorf("%s: %q", key, got)
				}
			}
			for _, want := range test.want {
				if !strings.Contains(r.Body, want) {
					t.Errorf("the body lacks %s:\n%s", want, r.Body)
				}
			}
			checkText(t, test.text(t, []byte(r.Body)))
			name, failure := service.Reach(t.Context())
			all = s.All()
			if failure != nil || name == "" || len(all) != 1 || all[0].Method != "HEAD" ||
				strings.Contains(fmt.Sprint(all), "s3cr3t") {
				t.Errorf("reached %q, %v, %+v", name, failure, all)
			}
		})
	}
}

// checkText fails unless a text has what the message is about, and no mention, link or markup of the log.
func checkText(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{"203.0.113.7", "Blocked by firewall"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for _, not := range []string{"@everyone", "<!", "<@", "<script", "http://", "evil.example"} {
		if strings.Contains(text, not) {
			t.Errorf("the text has %q:\n%s", not, text)
		}
	}
}

func decode(t *testing.T, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}

func field(names ...string) func(*testing.T, []byte) string {
	return func(t *testing.T, body []byte) (text string) {
		fields := map[string]any{}
		decode(t, body, &fields)
		for _, name := range names {
			text += fmt.Sprint(fields[name]) + "\n"
		}
		return text
	}
}

func slackText(t *testing.T, body []byte) string {
	var message struct {
		Text        string
		Attachments []struct{ Text string }
	}
	decode(t, body, &message)
	text := message.Text
	for _, a := range message.Attachments {
		text += " " + a.Text
	}
	if strings.ContainsAny(text, "<>") || !strings.Contains(text, "&amp;lt;") {
		t.Errorf("not escaped: %s", text)
	}
	return text
}

func discordText(t *testing.T, body []byte) string {
	var message struct {
		Content string
		Embeds  []struct{ Title, Description string }
	}
	decode(t, body, &message)
	if message.Content != "" || len(message.Embeds) != 1 {
		t.Fatalf("%+v", message)
	}
	return markdownText(t, message.Embeds[0].Title+"\n"+message.Embeds[0].Description)
}

func connectorText(t *testing.T, body []byte) string {
	var message struct {
		Title    string
		Sections []struct{ Text string }
	}
	decode(t, body, &message)
	text := message.Title
	for _, s := range message.Sections {
		text += "\n" + s.Text
	}
	return markdownText(t, text)
}

func cardText(t *testing.T, body []byte) (text string) {
	var message struct {
		Type        string
		Attachments []struct {
			Content struct{ Body []struct{ Type, Text string } }
		}
	}
	decode(t, body, &message)
	for _, block := range message.Attachments[0].Content.Body {
		text += block.Text + "\n"
	}
	return markdownText(t, text)
}

func markdownText(t *testing.T, text string) string {
	for _, want := range []string{`\*bold\*`, `\[a\]\(`, "\\`code\\`", "&\u200blt;"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %s:\n%s", want, text)
		}
	}
	for _, not := range []string{"](", "\n#", "\n-"} {
		if strings.Contains(text, not) {
			t.Errorf("the text has %q:\n%s", not, text)
		}
	}
	return text
}

// The end of a block resolves the incident that its beginning made.
func TestPagerDutyResolves(t *testing.T) {
	s := newServer(t)
	m := notice()
	m.Event = "unblock"
	for _, set := range []string{"", "?severity=info&dedup_key=mine"} {
		url := "pagerduty:///0123456789abcdef0123456789abcdef" + set
		if failure := (Service{URL: url, Proxy: s.Proxy, CA: s.CA}).Send(t.Context(), m); failure != nil {
			t.Fatal(failure)
		}
	}
	all := s.All()
	if !strings.Contains(all[0].Body, `"event_action":"resolve","dedup_key":"ossec-ar web 203.0.113.7"`) ||
		!strings.Contains(all[1].Body, `"dedup_key":"mine"`) {
		t.Errorf("%+v", all)
	}
}

// A text that is too long is cut to what the service takes, whatever it is made of.
func TestLongTexts(t *testing.T) {
	s := newServer(t)
	for _, text := range []string{strings.Repeat("x", 1<<20), strings.Repeat("*<@é.a\n", 1<<17), strings.Repeat("\u4e16", 1<<19)} {
		m := notice()
		m.Title, m.Text = text, text
		for _, u := range []string{slackHook, "https://discord.com/api/webhooks/123456789/s3cr3t", "ntfy://ntfy.sh/t",
			"telegram://110201543:s3cr3t@telegram?chats=-1001", "pagerduty:///0123456789abcdef0123456789abcdef"} {
			if failure := (Service{URL: u, Proxy: s.Proxy, CA: s.CA}).Send(t.Context(), m); failure != nil {
				t.Errorf("%s: %v", u, failure)
			}
			for _, r := range s.All() {
				if len(r.Body) > 80_000 || len(r.Header.Get("Title")) > maxTitle {
					t.Errorf("%s: %d bytes", u, len(r.Body))
				}
			}
		}
	}
}
