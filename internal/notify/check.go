package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// reachTime bounds the waiting for the mail server in a check.
const reachTime = 5 * time.Second

// Check returns what keeps mail from being sent: faults in the settings and the templates,
// files that cannot be read, a server that does not answer. Without a fault, summary says how
// mail goes. It sends nothing. The error joins all faults, a line each; see Hint.
func Check(ctx context.Context, p *app.Program) (summary string, err error) {
	o := newOffice(p)
	_, fault := o.Configure()
	faults := []error{fault, checkTemplates(o.settings, o.Now()), o.settings.Check()}
	o.geo.lookup(netip.IPv6Loopback(), func(err error) { faults = append(faults, err) })
	o.geo.close()
	if err = errors.Join(faults...); err == nil {
		ctx, cancel := context.WithTimeout(ctx, reachTime)
		defer cancel()
		if err = o.settings.Reach(ctx); err != nil {
			err = fmt.Errorf("trying the mail server: %w", err)
		}
	}
	return fmt.Sprintf("mail goes to %d recipients and %d routes by %s, at most %d an hour",
		len(o.settings.To), len(o.settings.Routes), o.settings.Way(), o.settings.MaxPerHour), err
}
