package chat

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/nicholas-fedor/shoutrrr/pkg/util"
)

// Time bounds all that is done about one message.
const Time = 30 * time.Second

// Send hands a message to the service; nil says that it took it. It is for a process that does
// nothing else: some services of shoutrrr take http.DefaultTransport, which is set here.
func (s Service) Send(ctx context.Context, m Message) *Failure {
	_, failure := s.talk(ctx, m, false)
	return failure
}

// Reach connects to the service as Send does, and asks for nothing that is secret. It returns the
// name of the service, "" when the URL is of none.
func (s Service) Reach(ctx context.Context) (name string, failure *Failure) {
	return s.talk(ctx, Message{Title: "test", Text: "test"}, true)
}

func (s Service) talk(ctx context.Context, m Message, probe bool) (name string, failure *Failure) {
	name, k, u, err := s.open()
	if err != nil {
		return "", &Failure{Text: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, Time)
	defer cancel()
	g, err := newGuard(ctx, s)
	if err != nil {
		return name, &Failure{Text: err.Error()}
	}
	g.probe = probe
	http.DefaultTransport = g
	err = deliver(name, k, u, g, m)
	switch {
	case g.failure != nil:
		return name, g.failure
	case g.asked == 0:
		return name, &Failure{Text: "the URL is not one that " + name + " has"}
	case err != nil && !probe:
		return name, &Failure{Text: "its answer is not one that " + name + " gives" + g.said, Final: true}
	}
	return name, nil
}

// deliver has shoutrrr send a message. Its errors quote URLs: all that counts is whether there is one.
func deliver(name string, k kind, u *url.URL, g *guard, m Message) error {
	service := k.make()
	query := u.Query()
	if err := service.Initialize(u, util.DiscardLogger); err != nil {
		return err
	}
	use(service, g)
	m.Title, m.Text = strings.Join(strings.Fields(m.Title), " "), tidy(m.Text)
	params := types.Params{}
	if k.params != nil {
		params = k.params(m, query)
	}
	title, text := fit(m.Title, k.escape, maxTitle), m.Text
	if !k.titled {
		text = m.Title + "\n" + m.Text
	}
	text = fit(text, k.escape, k.most)
	switch {
	case name == workflow:
		text = card(title, text)
	case k.titled:
		params[types.TitleKey] = title
	}
	return service.Send(text, &params)
}

// maxTitle bounds a title, in bytes: Opsgenie takes 130 characters.
const maxTitle = 130

// use has a service send by the guard, whose HTTP client is its own.
func use(service types.Service, g *guard) {
	client := &http.Client{Transport: g}
	switch s := service.(type) {
	case interface{ SetHTTPClient(client *http.Client) }:
		s.SetHTTPClient(client)
	case interface{ GetHTTPClient() *http.Client }:
		s.GetHTTPClient().Transport = g
	case *discord.Service:
		s.HTTPClient, s.Sleeper = client, noSleep{}
	}
}

// noSleep leaves out the pauses of a service that tries again by itself: the queue does that.
type noSleep struct{}

func (noSleep) Sleep(time.Duration) {}

// guard is how all requests go out. It passes no answer on but that of success, so that no service
// follows a redirect or tries again, and keeps why there was none.
type guard struct {
	ctx       context.Context
	transport *http.Transport
	probe     bool // connect and ask for nothing
	asked     int
	failure   *Failure
	said      string
}

func newGuard(ctx context.Context, s Service) (*guard, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(s.CA)
	t := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxAnswer,
	}
	if s.Proxy != "" {
		proxy, err := url.Parse(s.Proxy)
		if err != nil {
			return nil, errors.New("the proxy has no URL")
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	return &guard{ctx: ctx, transport: t}, nil
}

const (
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 64 << 10
	// maxRequests bounds the requests about one message: one for each chat or room, and those for
	// logging in.
	maxRequests = 32
)

// errStopped is the error that shoutrrr's part for a service gets, whatever failed.
var errStopped = errors.New("stopped")

// RoundTrip is http.RoundTripper's.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.failure != nil || g.probe && g.asked > 0 {
		return nil, errStopped
	}
	if g.asked >= maxRequests { // which some services pass over in silence
		return nil, g.stop(&Failure{Final: true,
			Text: fmt.Sprintf("it got %d requests, and wants more for one message: name fewer chats or rooms", g.asked)})
	}
	g.asked++
	if g.probe {
		root := &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: "/"}
		r = &http.Request{Method: http.MethodHead, URL: root, Header: http.Header{}}
	}
	res, err := g.transport.RoundTrip(r.WithContext(g.ctx))
	if err != nil {
		return nil, g.stop(&Failure{Text: describe(err)})
	}
	defer res.Body.Close() // read, or of no use
	if g.probe {
		return nil, errStopped
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, g.stop(&Failure{Text: describe(err)})
	}
	g.said = known(body)
	if failure := judge(res); failure != nil {
		failure.Text += g.said
		return nil, g.stop(failure)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

func (g *guard) stop(why *Failure) error {
	g.failure = why
	return errStopped
}

// judge returns what an answer means, nil when it is one of success.
func judge(res *http.Response) *Failure {
	status := strings.TrimSpace(fmt.Sprintf("it answered %d %s", res.StatusCode, http.StatusText(res.StatusCode)))
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout,
		code == http.StatusTooEarly:
		return &Failure{Text: status, After: retryAfter(res.Header.Get("Retry-After"), time.Now())}
	case code >= 300 && code < 400:
		return &Failure{Text: status + ", and is not followed elsewhere", Final: true}
	}
	return &Failure{Text: status, Final: true}
}

// maxAfter bounds what a service can ask for.
const maxAfter = 24 * time.Hour

// retryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, maxAfter.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), maxAfter)
	}
	return 0
}

// describe says why there was no answer, by the kind of an error: its text may quote the URL.
func describe(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var lookup *net.DNSError
	var op *net.OpError
	var number syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "it did not answer in time"
	case errors.As(err, &unknown):
		return "its certificate is signed by nobody who is trusted: see ca_file"
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.As(err, &invalid):
		return "its certificate is not valid, or not any more"
	case errors.As(err, &lookup):
		return "its name, or that of the proxy, cannot be looked up"
	case errors.As(err, &number):
		return "connecting: " + number.Error()
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the proxy does not connect"
	}
	return "the connection failed: it, or the proxy, does not speak as it should"
}

// answers are the words of Slack that say what to mend (api.slack.com/messaging/webhooks, and the
// errors of chat.postMessage). No other text of a service is shown.
var answers = strings.Fields(`action_prohibited channel_is_archived channel_not_found invalid_payload
invalid_token no_service no_service_id no_team team_disabled too_many_attachments user_not_found
posting_to_general_channel_denied account_inactive invalid_auth is_archived missing_scope
msg_too_long no_permission no_text not_authed not_in_channel rate_limited ratelimited
restricted_action token_expired token_revoked`)

// known returns what a body says, if that is one of the known words.
func known(body []byte) string {
	said := strings.TrimSpace(string(body))
	var object struct{ Error string }
	if json.Unmarshal(body, &object) == nil {
		said = object.Error
	}
	if slices.Contains(answers, said) {
		return " (" + said + ")"
	}
	return ""
}
