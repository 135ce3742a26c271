package chat

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/opsgenie"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/generic"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// kind is one of the services that shoutrrr knows. Not all are here: each one links more.
type kind struct {
	make func() types.Service
	// titled says that the service has a place for a title. Elsewhere it is the first line.
	titled bool
	escape func(string) string
	most   int // bytes of a text, escaped
	// params sets what depends on the message.
	params func(m Message, query url.Values) types.Params
}

// kinds are the services, by the scheme of their URLs.
var kinds = map[string]kind{
	"slack":   {make: of[slack.Service], titled: true, escape: forSlack, most: 8000},
	"teams":   {make: of[teams.Service], titled: true, escape: forMarkdown, most: 8000},
	workflow:  {make: of[generic.Service], titled: true, escape: forMarkdown, most: 8000},
	"discord": {make: of[discord.Service], titled: true, escape: forMarkdown, most: 1900, params: forDiscord},
	"telegram": {make: of[telegram.Service], titled: true, escape: plain, most: 3500,
		params: set("parsemode", "None", "preview", "No")},
	"matrix":     {make: of[matrix.Service], escape: plain, most: 16_000},
	"mattermost": {make: of[mattermost.Service], escape: forMarkdown, most: 12_000},
	"ntfy":       {make: of[ntfy.Service], titled: true, escape: plain, most: 3500},
	"gotify":     {make: of[gotify.Service], titled: true, escape: plain, most: 16_000},
	"pushover":   {make: of[pushover.Service], titled: true, escape: plain, most: 1000},
	"opsgenie":   {make: of[opsgenie.Service], titled: true, escape: plain, most: 12_000, params: forOpsgenie},
	"pagerduty":  {make: of[pagerduty.Service], escape: plain, most: 1000, params: forPagerDuty},
	"generic":    {make: of[generic.Service], titled: true, escape: plain, most: 64_000, params: forGeneric},
}

// workflow is Teams by Power Automate, which takes what shoutrrr's generic service sends, when that
// is a card.
const workflow = "teams-workflow"

func of[S any, P interface {
	*S
	types.Service
}]() types.Service {
	return P(new(S))
}

var errUnknown = errors.New("it holds no URL of a service that is known: slack, teams, discord, telegram, " +
	"matrix, mattermost, ntfy, gotify, pushover, opsgenie, pagerduty, generic, or https for any other webhook")

// open returns what a URL is for: one as shoutrrr has it, or the https one that the service itself
// shows.
func (s Service) open() (name string, k kind, u *url.URL, err error) {
	u, err = url.Parse(strings.TrimSpace(s.URL))
	if err != nil { // which quotes the URL
		return "", kind{}, nil, errUnknown
	}
	name = u.Scheme
	if name == "https" {
		name, u = fromHook(u)
	}
	k, known := kinds[name]
	if !known {
		return "", kind{}, nil, errUnknown
	}
	switch query := u.Query(); {
	case name == "generic" && query.Get("template") == "":
		query.Set("template", generic.JSONTemplate)
		u.RawQuery = query.Encode()
	case name == "pagerduty" && u.Port() == "": // shoutrrr 0.13 connects to port 0 then
		u.Host = net.JoinHostPort(cmp.Or(u.Hostname(), "events.pagerduty.com"), "443")
	}
	return name, k, u, nil
}

var (
	hookPath      = regexp.MustCompile(`^/services/([A-Z0-9]+)/([A-Z0-9]+)/([A-Za-z0-9]+)$`)
	discordPath   = regexp.MustCompile(`^/api/webhooks/([0-9]+)/([A-Za-z0-9_-]+)$`)
	workflowHosts = regexp.MustCompile(`\.(logic\.azure\.(com|us)|environment\.api\.powerplatform\.com)(:443)?$`)
	officeHosts   = regexp.MustCompile(`\.webhook\.office\.com$`)
)

// fromHook returns the scheme and the shoutrrr URL of a webhook.
func fromHook(u *url.URL) (string, *url.URL) {
	if p := hookPath.FindStringSubmatch(u.Path); p != nil && u.Host == "hooks.slack.com" {
		return "slack", &url.URL{Scheme: "slack", Host: "webhook",
			User: url.UserPassword("hook", strings.Join(p[1:], "-"))}
	}
	if p := discordPath.FindStringSubmatch(u.Path); p != nil &&
		(u.Host == "discord.com" || u.Host == "discordapp.com") {
		return "discord", &url.URL{Scheme: "discord", Host: p[1], User: url.User(p[2])}
	}
	if officeHosts.MatchString(u.Host) {
		if c, err := teams.ConfigFromWebhookURL(*u); err == nil {
			return "teams", c.GetURL()
		}
	}
	to := *u
	to.Scheme = "generic"
	if workflowHosts.MatchString(u.Host) {
		query := to.Query()
		query.Set("@Content-Type", "application/json")
		to.RawQuery = query.Encode()
		return workflow, &to
	}
	return "generic", &to
}

func set(pairs ...string) func(Message, url.Values) types.Params {
	return func(Message, url.Values) types.Params {
		p := types.Params{}
		for i := 0; i < len(pairs); i += 2 {
			p[pairs[i]] = pairs[i+1]
		}
		return p
	}
}

// forDiscord has the text in one piece, and in an embed: there nobody is mentioned.
var forDiscord = set("splitlines", "No")

// key is the same for all messages about one address: paging services make one incident of them.
func (m Message) key() string { return "ossec-ar " + m.Host + " " + m.Address }

// forPagerDuty says what an incident is about, where the URL does not. The end of a block resolves it.
func forPagerDuty(m Message, query url.Values) types.Params {
	p := types.Params{"source": m.Host, "severity": m.severity()}
	if m.Address != "" {
		p["dedup_key"] = m.key()
		if m.Event == "unblock" {
			p["action"] = "resolve"
		}
	}
	for name := range p {
		if query.Has(name) {
			delete(p, name)
		}
	}
	return p
}

// severity returns PagerDuty's word for a level: from 12 on OSSEC and Wazuh call it high.
func (m Message) severity() string {
	switch {
	case m.Event == "failure" || m.Level >= 12:
		return "critical"
	case m.Event == "report" || m.Event == "unblock":
		return "info"
	case m.Level >= 8:
		return "error"
	}
	return "warning"
}

func forOpsgenie(m Message, query url.Values) types.Params {
	if m.Address == "" || query.Has("alias") {
		return types.Params{"source": m.Host}
	}
	return types.Params{"source": m.Host, "alias": m.key()}
}

// forGeneric are fields for programs.
func forGeneric(m Message, _ url.Values) types.Params {
	p := types.Params{"event": m.Event, "host": m.Host}
	if m.Address != "" {
		p["address"], p["rule"] = m.Address, m.Rule
	}
	return p
}
