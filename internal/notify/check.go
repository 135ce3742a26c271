package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/chat"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// reachTime bounds the waiting for the mail server, or for a service, in a check.
const reachTime = 5 * time.Second

// CheckMail returns what keeps mail from being sent: faults in the settings and the templates,
// files that cannot be read, a server that does not answer. Without a fault, summary says how
// mail goes. It sends nothing. The error joins all faults, a line each; see Hint.
func CheckMail(ctx context.Context, p *app.Program) (summary string, err error) {
	o := newOffice(p, notice.Mail)
	_, fault := o.Configure()
	faults := []error{fault, o.settings.Check()}
	note := func(err error) { faults = append(faults, err) }
	o.fault = note
	o.geo.lookup(netip.IPv6Loopback(), note)
	o.geo.close()
	o.settings.Timeout.Duration = min(o.settings.Timeout.Duration, reachTime)
	a, err := o.delegate(ctx, job{Task: taskCheck}, o.settings.TotalTime())
	if a.Failed != nil && errors.Join(faults...) == nil {
		note(fmt.Errorf("trying the mail server: %w", a.Failed))
	}
	return fmt.Sprintf("mail goes to %s and %s by %s, at most %d an hour",
			printable.Count(len(o.settings.To), "recipient"), printable.Count(len(o.settings.Routes), "route"),
			o.settings.Way(), o.settings.MaxPerHour),
		errors.Join(append(faults, err)...)
}

// CheckChat is CheckMail for chat and paging services. It asks them for nothing.
func CheckChat(ctx context.Context, p *app.Program) (summary string, err error) {
	o := newOffice(p, notice.Chat)
	_, fault := o.Configure()
	faults := []error{fault}
	var names []string
	for _, c := range o.config.Chat {
		if c.FromCall {
			names = append(names, "Slack by the URL that comes with a call")
			continue
		}
		s, err := chat.Load(c, "")
		var a answer
		if err == nil {
			a, err = o.delegate(ctx, job{Task: taskCheck, Chat: &s}, reachTime)
		}
		if err == nil && a.Chat != nil {
			err = a.Chat
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", c.URLFile, err))
			continue
		}
		names = append(names, fmt.Sprintf("%s (%s)", a.Service, c.URLFile))
	}
	return fmt.Sprintf("notices go to %s, at most %d an hour", strings.Join(names, ", "), o.settings.MaxPerHour),
		errors.Join(faults...)
}
