package notify

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/chat"
	"github.com/ossec-ar/ossec-ar/internal/chat/chattest"
	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

const slackURL = "https://hooks.slack.com/services/T00000000/B00000000/s3cr3tAAAAAAAAAAAAAAAAAA"

// chatHouse is a house whose services are the server; each of them has a file with its URL, and the
// lines given for it.
type chatHouse struct {
	house
	s *chattest.Server
}

func newChatHouse(t *testing.T, conf string, services ...[3]string) chatHouse {
	t.Helper()
	s, err := chattest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	h := chatHouse{newHouse(t, conf, ""), s}
	h.set(services...)
	return h
}

// set makes these the services: name, URL and lines of [[chat]].
func (h chatHouse) set(services ...[3]string) {
	h.t.Helper()
	h.write(h.file("ca.pem"), string(h.s.CA))
	settings := "[mail]\nlinger = \"0s\"\n"
	for _, service := range services {
		settings += fmt.Sprintf("[[chat]]\nproxy = %q\nca_file = %q\n%s\n", h.s.Proxy, h.file("ca.pem"), service[2])
		if service[0] != "" {
			settings += fmt.Sprintf("url_file = %q\n", h.file(service[0]))
			h.write(h.file(service[0]), service[1]+"\n")
		}
	}
	h.write(string(h.home)+"/etc/active-response.toml", settings)
}

func (h chatHouse) file(name string) string { return filepath.Join(string(h.home), "etc", name) }

func (h chatHouse) next() chattest.Request {
	h.t.Helper()
	r, err := h.s.Next()
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// tell runs chat-notification as a daemon does.
func (h chatHouse) tell(stdin string, args ...string) {
	h.t.Helper()
	cmd := h.process(h.chatter(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		h.t.Fatalf("%v\n%s", err, out)
	}
}

// A call by OSSEC returns at once; processes of their own send each service what is true.
func TestChatDelivers(t *testing.T) {
	t.Parallel()
	h := newChatHouse(t, "", [3]string{"slack.url", slackURL, ""}, [3]string{"ntfy.url", "ntfy://ntfy.sh/s3cr3t-topic", ""})
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.7", time.Now().Add(-time.Minute))
	h.tell("", "add", "-", "203.0.113.7", "-", "5712", "(web)", "192.0.2.5->/var/log/auth.log", "-")
	got := map[string]string{}
	for range 2 {
		r := h.next()
		got[r.Host] = r.Body + r.Header.Get("Title")
	}
	for _, host := range []string{"hooks.slack.com", "ntfy.sh"} {
		for _, want := range []string{"Threat Blocked - 203.0.113.7", "Blocked by firewall-drop.\u200bsh since ", "ossec-ar unban 203.0.113.7",
			"chat-notification on "} {
			if !strings.Contains(got[host], want) {
				t.Errorf("%s got no %q: %s", host, want, got[host])
			}
		}
	}
	h.idle()
	if want := h.chatter() + " add - 203.0.113.7 - 5712 - Chat notification sent for blocked IP: 203.0.113.7\n"; !strings.HasSuffix(h.log(), want) ||
		strings.Count(h.log(), "\n") != 1 {
		t.Errorf("log %q", h.log())
	}
	if _, out, _ := h.chat("queue"); out != "the queue is empty\n" {
		t.Errorf("%s", out)
	}
}

// wazuhRequest is a call of Wazuh's own response for Slack, with the webhook.
const wazuhRequest = `{"version":1,"origin":{"name":"n","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[%q],"alert":{"timestamp":"2026-11-23T03:27:57.000+0000","rule":{"level":10,"description":"An attack","id":"5763"},"agent":{"id":"001","name":"agent7"},"id":"1669818000.12345","full_log":"a line","data":{"srcip":%q}},"program":"active-response/bin/wazuh-slack"}}` + "\n"

// The webhook that Wazuh passes counts only where the settings say so, and only if it is Slack's.
func TestChatHookOfCall(t *testing.T) {
	t.Parallel()
	h := newChatHouse(t, "", [3]string{"ntfy.url", "ntfy://ntfy.sh/t", ""})
	h.tell(fmt.Sprintf(wazuhRequest, slackURL, "203.0.113.7"))
	if r := h.next(); r.Host != "ntfy.sh" {
		t.Errorf("%+v", r)
	}
	h.idle()
	h.set([3]string{"", "", "from_call = true"})
	h.tell(fmt.Sprintf(wazuhRequest, "https://hook.example.org/s3cr3t", "203.0.113.8"))
	h.idle()
	if all := h.s.All(); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	h.tell(fmt.Sprintf(wazuhRequest, slackURL, "203.0.113.9"))
	if r := h.next(); r.Host != "hooks.slack.com" || !strings.HasSuffix(r.Path, "/B00000000/s3cr3tAAAAAAAAAAAAAAAAAA") ||
		!strings.Contains(r.Body, "An attack") {
		t.Errorf("%+v", r)
	}
	h.idle()
	h.s.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	h.tell(fmt.Sprintf(wazuhRequest, slackURL, "203.0.113.10"))
	h.idle()
	_, queue, _ := h.chat("queue", "--json")
	if strings.Contains(queue+h.log(), "s3cr3t") || !strings.Contains(queue, `"call:`) ||
		!strings.Contains(h.log(), "it answered 404 Not Found") {
		t.Errorf("%s\n%s", queue, h.log())
	}
}

// Neither a service that is down nor one that refuses holds up another, or mail; what it missed goes
// later, and what it refused is logged once.
func TestChatIndependent(t *testing.T) {
	t.Parallel()
	mails, _ := mailtest.New(t, false, false)
	h := newChatHouse(t, mails.Conf(""), [3]string{"slack.url", slackURL, ""}, [3]string{"ntfy.url", "ntfy://ntfy.sh/t", ""},
		[3]string{"hook.url", "https://hook.example.org/x?token=s3cr3t", ""})
	answers := func(slack int) {
		h.s.Answer(func(w http.ResponseWriter, r *http.Request) {
			switch r.Host {
			case "hooks.slack.com":
				w.WriteHeader(slack)
				_, _ = io.WriteString(w, "ok")
			case "hook.example.org":
				w.WriteHeader(http.StatusGone)
			default:
				chattest.Accept(w, r)
			}
		})
	}
	answers(http.StatusBadGateway)
	h.tell("", "add", "-", "203.0.113.7", "-", "5712", "x", "-")
	h.call("add", "-", "203.0.113.7", "-", "5712", "x", "-")
	if m := mails.Next(); !strings.Contains(m.Subject, "203.0.113.7") {
		t.Errorf("%+v", m)
	}
	h.idle()
	hosts := map[string]int{}
	for _, r := range h.s.All() {
		hosts[r.Host]++
	}
	if hosts["ntfy.sh"] != 1 || hosts["hooks.slack.com"] != 1 || hosts["hook.example.org"] != 1 {
		t.Errorf("%v", hosts)
	}
	for _, want := range []string{
		"Failed: sending chat: " + h.file("slack.url") + ": it answered 502 Bad Gateway",
		"Failed: sending chat: " + h.file("hook.url") + ": it answered 410 Gone",
	} {
		if strings.Count(h.log(), want) != 1 {
			t.Errorf("the log has not once %q:\n%s", want, h.log())
		}
	}
	answers(http.StatusOK)
	_, queue, _ := h.chat("queue")
	if strings.Count(queue, " waiting ") != 1 || strings.Count(queue, " refused ") != 1 {
		t.Errorf("%s", queue)
	}
	if status, _, stderr := h.chat("queue", "--retry", "all"); status != 0 {
		t.Fatal(stderr)
	}
	got := map[string]bool{}
	for range 2 {
		got[h.next().Host] = true
	}
	h.idle()
	if !got["hooks.slack.com"] || !got["hook.example.org"] || len(h.s.All()) > 0 {
		t.Errorf("%v", got)
	}
}

// Each service gets what it asks for.
func TestChatWants(t *testing.T) {
	t.Parallel()
	c := newClock()
	c.add(-time.Minute)
	service := func(name, lines string) [3]string { return [3]string{name, "https://hook.example.org/" + name, lines} }
	h := newChatHouse(t, "", service("all", "on = [\"block\", \"unblock\", \"failure\", \"report\"]"),
		service("usual", ""), service("grave", "level = 12"), service("ends", "on = [\"unblock\"]"),
		service("routes", "responses = [\"route-null\"]"), service("reports", "on = [\"report\"]"))
	h.hold("route-null", "route-null.sh", "203.0.113.8", c.Now().Add(-time.Minute))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"add", "-", "203.0.113.7", "-", "5712", "x", "-"}, "/all /usual"},
		{[]string{"add", "-", "203.0.113.8", "-", "5712", "x", "-"}, "/all /routes /usual"},
		{[]string{"delete", "-", "203.0.113.7", "-", "5712", "x", "-"}, "/all /ends"},
	} {
		h.tell("", test.args...)
		h.idle()
		var paths []string
		for _, r := range h.s.All() {
			paths = append(paths, r.Path)
		}
		if got := sorted(paths); got != test.want {
			t.Errorf("%v: got %s, want %s", test.args, got, test.want)
		}
	}
	env, _, _ := h.env(h.tool())
	p := app.New(env, "response-stats")
	if err := notice.QueueReport(&p, notice.Chat, "Active responses today: 7 blocks", "Total blocks: 7", "", false); err != nil {
		t.Fatal(err)
	}
	got := []string{h.next().Path, h.next().Path}
	h.idle()
	if sorted(got) != "/all /reports" || len(h.s.All()) > 0 || !strings.HasSuffix(h.log(), " - Chat sent: Active responses today: 7 blocks\n") {
		t.Errorf("%v, log\n%s", got, h.log())
	}
}

// No output has anything of a URL, whatever goes wrong with it.
func TestChatSecrets(t *testing.T) {
	t.Parallel()
	for name, break_ := range map[string]func(h chatHouse){
		"nothing": func(chatHouse) {},
		"the file can be read": func(h chatHouse) {
			if err := os.Chmod(h.file("slack.url"), 0o644); err != nil {
				t.Error(err)
			}
		},
		"there is no URL in the file": func(h chatHouse) { h.write(h.file("slack.url"), "s3cr3t\x00://s3cr3t\n") },
		"the service repeats it": func(h chatHouse) {
			h.s.Answer(func(w http.ResponseWriter, r *http.Request) { http.Error(w, slackURL, http.StatusBadRequest) })
		},
		"the service leads to it": func(h chatHouse) {
			h.s.Answer(http.RedirectHandler("https://hook.example.org/s3cr3t", http.StatusTemporaryRedirect).ServeHTTP)
		},
		"nobody answers": func(h chatHouse) { h.s.Close() },
		"the URL stands in the wrong place": func(h chatHouse) {
			h.write(string(h.home)+"/etc/active-response.toml", "[[chat]]\nurl_file = "+fmt.Sprintf("%q", slackURL)+"\n")
		},
		"the proxy has a password": func(h chatHouse) {
			h.write(string(h.home)+"/etc/active-response.toml", "[[chat]]\nurl_file = \"/etc/x\"\nproxy = \"http://u:s3cr3t@proxy\"\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newChatHouse(t, "", [3]string{"slack.url", slackURL, ""})
			break_(h)
			cmd := h.process(h.chatter(), "add", "-", "203.0.113.7", "-", "5712", "x", "-")
			out, _ := cmd.CombinedOutput() // it may fail
			h.idle()
			text := string(out) + h.log()
			for _, words := range [][]string{{"queue"}, {"queue", "--json"}, {"flush"}, {"test"}, {"preview"}} {
				_, stdout, stderr := h.chat(words...)
				text += stdout + stderr
			}
			env, _, _ := h.env(h.tool())
			p := app.New(env, "ossec-ar")
			summary, err := CheckChat(t.Context(), &p)
			text += fmt.Sprint(summary, err)
			for _, not := range []string{"s3cr3t", "T00000000"} {
				if strings.Contains(text, not) {
					t.Errorf("%q is in\n%s", not, text)
				}
			}
			if name == "nothing" && err == nil && !strings.Contains(summary, "notices go to slack ("+h.file("slack.url")+"), at most 12 an hour") {
				t.Errorf("%s", summary)
			}
			if (name == "nothing") != (err == nil) && !strings.Contains(name, "service") {
				t.Errorf("checked: %v", err)
			}
		})
	}
}

func sorted(paths []string) string {
	slices.Sort(paths)
	return strings.Join(paths, " ")
}

// Two calls about one alert, each with a webhook of its own, are one notice, which both get.
func TestChatHooksOfCalls(t *testing.T) {
	t.Parallel()
	h := newChatHouse(t, "", [3]string{"", "", "from_call = true"})
	other := strings.Replace(slackURL, "T00000000", "T00000001", 1)
	h.tell(fmt.Sprintf(wazuhRequest, slackURL+" "+other, "203.0.113.7"))
	if paths := []string{h.next().Path, h.next().Path}; paths[0] == paths[1] {
		t.Errorf("both to %s", paths)
	}
	h.idle()
	env, _, _ := h.env(h.tool())
	p := app.New(env, "ossec-ar")
	body := func(url string) json.RawMessage {
		text, _ := json.Marshal(notice.Notice{Hooks: []string{url}})
		return text
	}
	o := newOffice(&p, notice.Chat)
	merged := open(&outbox.Item{Body: o.Merge(o.Merge(body(slackURL), body(other)), body(slackURL))})
	if d := cmp.Diff([]string{slackURL, other}, merged.Hooks); d != "" {
		t.Errorf("of two calls (-want +got):\n%s", d)
	}
}

// The process that sends to one service gets no other's URL.
func TestChatJobs(t *testing.T) {
	t.Parallel()
	h := newChatHouse(t, "", [3]string{"ntfy.url", "ntfy://ntfy.sh/t", ""}, [3]string{"", "", "from_call = true"})
	env, _, _ := h.env(h.tool())
	p := app.New(env, "ossec-ar")
	o := newOffice(&p, notice.Chat)
	if _, err := o.Configure(); err != nil {
		t.Fatal(err)
	}
	entries := []entry{{Notice: notice.Notice{Hooks: []string{slackURL}}, Item: &outbox.Item{}}}
	if job, err := json.Marshal(o.prepare(job{Entries: entries})); err != nil || strings.Contains(string(job), "s3cr3t") {
		t.Errorf("%s, %v", job, err)
	}
}

// What is wrong beside the sending is passed on for a chat message, as it is for a mail.
func TestChatFaults(t *testing.T) {
	j := job{Task: taskChat, Chat: &chat.Service{URL: "x://"}, Settings: testSettings(t), Now: time.Now(),
		Entries: []entry{sample(time.Now())}, Templates: map[string]string{partSubject: "{{"}}
	a := j.do(t.Context(), nil)
	if a.Chat == nil || len(a.Faults) != 1 || !strings.HasPrefix(a.Faults[0], errTemplate.Error()) {
		t.Errorf("%+v", a)
	}
}
