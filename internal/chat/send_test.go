package chat

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/chat/chattest"
)

func newServer(t *testing.T) *chattest.Server {
	t.Helper()
	s, err := chattest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// slackHook is a webhook as Slack shows it. What is secret in the URLs here has "s3cr3t" in it.
const slackHook = "https://hooks.slack.com/services/T00000000/B00000000/s3cr3tAAAAAAAAAAAAAAAAAA"

const hostile = "<!here> @everyone http://evil.example/x <@U123> *bold* [a](http://b.example) &lt; `code` <script>x"

func notice() Message {
	return Message{
		Title: "OSSEC Alert: Threat Blocked - 203.0.113.7",
		Text:  "Blocked by firewall-drop.sh.\n\nLog:\n    " + hostile + "\n# heading\n- list\n",
		Event: "block", Host: "web", Address: "203.0.113.7", Rule: "5712", Level: 10,
	}
}

// What a service answers decides whether it is asked again, and when; its words are not repeated.
func TestAnswers(t *testing.T) {
	s := newServer(t)
	say := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   Failure
	}{
		"a limit":             {say(429, "", "Retry-After", "7"), Failure{Text: "it answered 429 Too Many Requests", After: 7 * time.Second}},
		"a limit of 30 years": {say(429, "", "Retry-After", "1e9"), Failure{Text: "it answered 429 Too Many Requests", After: maxAfter}},
		"a limit of nonsense": {say(429, "", "Retry-After", "soon"), Failure{Text: "it answered 429 Too Many Requests"}},
		"a limit in the past": {say(429, "", "Retry-After", "-5"), Failure{Text: "it answered 429 Too Many Requests"}},
		"it is broken":        {say(503, "s3cr3t"), Failure{Text: "it answered 503 Service Unavailable"}},
		"it refuses":          {say(403, "invalid_token"), Failure{Text: "it answered 403 Forbidden (invalid_token)", Final: true}},
		"it repeats the URL":  {say(404, slackHook), Failure{Text: "it answered 404 Not Found", Final: true}},
		"it leads elsewhere": {say(302, "", "Location", "https://hook.example.org/?"+url.QueryEscape(slackHook)),
			Failure{Text: "it answered 302 Found, and is not followed elsewhere", Final: true}},
		"it leads elsewhere with the message": {say(307, "", "Location", "https://hook.example.org/s3cr3t"),
			Failure{Text: "it answered 307 Temporary Redirect, and is not followed elsewhere", Final: true}},
		"garbage": {say(200, "<html>s3cr3t\x00\x1b[2J"), Failure{Text: "its answer is not one that slack gives", Final: true}},
		"an endless answer": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat("s3cr3t", 1000)); err != nil {
					return
				}
			}
		}, Failure{Text: "its answer is not one that slack gives", Final: true}},
		"endless headers": {say(200, "ok", "X", strings.Repeat("s3cr3t", 100_000)),
			Failure{Text: "the connection failed: it, or the proxy, does not speak as it should"}},
		"it hangs up": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, Failure{Text: "the connection failed: it, or the proxy, does not speak as it should"}},
		"status 999": {say(999, ""), Failure{Text: "it answered 999"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Answer(test.answer)
			failure := Service{URL: slackHook, Proxy: s.Proxy, CA: s.CA}.Send(t.Context(), notice())
			if failure == nil || *failure != test.want {
				t.Errorf("got %+v, want %+v", failure, test.want)
			}
			if n := len(s.All()); n != 1 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// Discord's part of shoutrrr tries again by itself, with pauses; here the queue does that.
func TestOneAttempt(t *testing.T) {
	s := newServer(t)
	s.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	service := Service{URL: "https://discord.com/api/webhooks/123456789/s3cr3t", Proxy: s.Proxy, CA: s.CA}
	failure := service.Send(t.Context(), notice())
	if failure == nil || failure.After != 2*time.Second || len(s.All()) != 1 {
		t.Errorf("%+v", failure)
	}
}

// Who names more chats than one message may go to gets an error that says so.
func TestManyChats(t *testing.T) {
	s := newServer(t)
	chats := strings.Repeat("1,", maxRequests) + "2"
	service := Service{URL: "telegram://110201543:s3cr3tFSofSAs0K5PALDsaw@telegram?chats=" + chats, Proxy: s.Proxy, CA: s.CA}
	failure := service.Send(t.Context(), notice())
	if failure == nil || !failure.Final || !strings.Contains(failure.Text, "name fewer chats") || len(s.All()) != maxRequests {
		t.Errorf("%+v", failure)
	}
}

// Where there is no answer, the reason is reported, and nothing of the URL.
func TestConnections(t *testing.T) {
	s := newServer(t)
	gone := newServer(t)
	gone.Close()
	other := newServer(t)
	for name, test := range map[string]struct {
		service Service
		want    string
	}{
		"nobody trusts it":      {Service{URL: slackHook, Proxy: s.Proxy, CA: other.CA}, "its certificate is signed by nobody who is trusted"},
		"another's certificate": {Service{URL: "ntfy://s3cr3t.example.net/s3cr3t", Proxy: s.Proxy, CA: s.CA}, "its certificate is for another name"},
		"verification turned off": {Service{URL: "ntfy://ntfy.sh/s3cr3t?disabletlsverification=yes", Proxy: s.Proxy},
			"its certificate is signed by nobody who is trusted"},
		"no proxy":     {Service{URL: slackHook, Proxy: gone.Proxy}, "connecting: connection refused"},
		"not a URL":    {Service{URL: "s3cr3t\x7f://%zz"}, errUnknown.Error()},
		"unknown":      {Service{URL: "s3cr3t://x/y"}, errUnknown.Error()},
		"a bad URL":    {Service{URL: "telegram://s3cr3t"}, "the URL is not one that telegram has"},
		"a bad option": {Service{URL: "ntfy://ntfy.sh/s3cr3t?s3cr3t=1"}, "the URL is not one that ntfy has"},
		"plain http":   {Service{URL: "http://hook.example.org/s3cr3t"}, errUnknown.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, failure := range []*Failure{test.service.Send(t.Context(), notice()), second(test.service.Reach(t.Context()))} {
				if failure == nil || failure.Final || !strings.HasPrefix(failure.Error(), test.want) ||
					strings.Contains(failure.Text, "s3cr3t") {
					t.Errorf("got %+v, want %q", failure, test.want)
				}
			}
		})
	}
}

func second(_ string, f *Failure) *Failure { return f }

// A service that keeps us waiting is left when the time is up, wherever it stops.
func TestHangs(t *testing.T) {
	for name, begin := range map[string]func(w http.ResponseWriter){
		"before the answer": func(http.ResponseWriter) {},
		"within the answer": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "o")
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			over := make(chan struct{})
			defer close(over)
			s.Answer(func(w http.ResponseWriter, _ *http.Request) {
				begin(w)
				<-over
			})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			failure := Service{URL: slackHook, Proxy: s.Proxy, CA: s.CA}.Send(ctx, notice())
			if failure == nil || failure.Final || failure.Text != "it did not answer in time" {
				t.Errorf("%+v", failure)
			}
		})
	}
}
