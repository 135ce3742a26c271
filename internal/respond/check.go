package respond

import (
	"context"

	"github.com/ossec-ar/ossec-ar/internal/check"
	"github.com/ossec-ar/ossec-ar/internal/config"
)

// check says why it is not blocking. What is wrong in the configuration is a row there,
// not a line in the log.
func (p *call) check(ctx context.Context, options check.Options) int {
	p.looking = !options.Live
	settings, faults := config.Load(p.Home.Settings())
	p.config = settings
	err := p.prepare()
	return check.Run(ctx, p.Program, check.Subject{
		Name: p.response.Name, Config: settings, Settings: faults,
		Store: p.store, Enforcer: p.enforcer, Failure: err, Lasting: p.response.Lasting,
		Jobs: []check.Job{
			{Command: "expire", When: "*/5 * * * *", Why: "a block whose daemon died stays"},
			{Command: "restore", When: "@reboot", Why: "what was blocked before a reboot is free after it"},
		},
	}, options)
}
