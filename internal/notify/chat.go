package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/ossec-ar/ossec-ar/internal/chat"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

// chatPost sends to chat and paging services. A service is known by the file of its URL.
type chatPost struct{ o *office }

// configure keeps of the settings of mail what holds for every notice, and no secret.
func (p chatPost) configure() (outbox.Limits, error) {
	o := p.o
	all, _ := mail.Load(o.Home, o.config.Mail) // faults in it are mail's
	o.settings = &mail.Settings{Host: all.Host, Mail: config.Mail{ReverseName: all.ReverseName,
		MaxPerHour: all.MaxPerHour, Coalesce: all.Coalesce}}
	unset := o.config.ChatUnset()
	return outbox.Limits{Unset: unset}, unset
}

// fromCall is how the name of a service begins whose URL came with the call.
const fromCall = "call:"

// servicesOf returns the names of the services of a setting for an entry, each with its URL where that
// came with a call.
func servicesOf(c config.Chat, e *entry) map[string]string {
	if !c.FromCall {
		return map[string]string{c.URLFile: ""}
	}
	all := map[string]string{}
	for _, url := range e.Hooks {
		sum := sha256.Sum256([]byte(url))
		all[fromCall+hex.EncodeToString(sum[:4])] = url
	}
	return all
}

// event returns which of config.Chat's On a notice is.
func (e *entry) event() string {
	switch {
	case e.Kind == notice.Report:
		return config.OnReport
	case e.Kind == notice.End:
		return config.OnUnblock
	case e.Kind == notice.Failed || stateOf(e.Notice) == isFailed:
		return config.OnFailure
	}
	return config.OnBlock
}

func (p chatPost) recipients(e *entry) (to []string) {
	level := math.MaxInt // a report is of no level, and of a failure it may not be known here
	if e.Facts != nil && (e.Facts.Level > 0 || e.event() != config.OnFailure) {
		level = e.Facts.Level
	}
	for _, c := range p.o.config.Chat {
		if !c.Wants(e.event(), level, e.Standing.Responses) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(servicesOf(c, e))) {
			if !slices.Contains(to, name) {
				to = append(to, name)
			}
		}
	}
	return to
}

func (chatPost) templates() map[string]string { return nil }

// service returns a service by its name. Where the URL came with the call, the first of the entries
// has it: all that go to one service have the same.
func (p chatPost) service(name string, entries []entry) (chat.Service, error) {
	for _, c := range p.o.config.Chat {
		if url, is := servicesOf(c, &entries[0])[name]; is {
			return chat.Load(c, url)
		}
	}
	return chat.Service{}, fmt.Errorf("no [[chat]] names it any more")
}

// send sends to each service from a process of its own, which knows no other's URL. See outbox.Courier
// for what it returns. All get a message of all entries: what has no room in it is cut off.
func (p chatPost) send(ctx context.Context, j job) (a answer, result map[string]error, err error) {
	result = map[string]error{}
	var mu sync.Mutex
	var done sync.WaitGroup
	services := map[string]chat.Service{}
	for _, to := range j.To {
		s, err := p.service(to, j.Entries)
		if err != nil {
			result[to] = fmt.Errorf("%s: %w", to, err)
			continue
		}
		services[to] = s
	}
	j = p.o.prepare(j) // from here on without the URLs of calls
	j.Task = taskChat
	for to, s := range services {
		done.Go(func() {
			mine := j
			mine.Chat = &s
			answer, err := run(ctx, mine, chat.Time)
			switch {
			case err != nil:
			case answer.Failed != nil:
				err = answer.Failed
			case answer.Chat != nil:
				err = answer.Chat
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				result[to] = fmt.Errorf("%s: %w", to, err)
			}
			p.o.report(answer.Faults)
		})
	}
	done.Wait()
	return answer{Used: len(j.Entries)}, result, nil
}

// chatMessage returns the message of a job for a service.
func (j *job) chatMessage(m mail.Message) chat.Message {
	e := j.Entries[0]
	message := chat.Message{Title: m.Subject, Text: m.Text, Event: e.event(), Host: j.Settings.Host}
	if len(j.Entries) == 1 && e.Addr.IsValid() {
		message.Address, message.Rule = e.Addr.String(), e.RuleID
	}
	for _, e := range j.Entries {
		if e.Facts != nil {
			message.Level = max(message.Level, e.Facts.Level)
		}
	}
	return message
}
