package stats

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/check"
	"github.com/ossec-ar/ossec-ar/internal/config"
)

// checkCommand looks at all that the daily report rests on.
func (c *program) checkCommand() *cli.Command {
	return check.Command(false, func(ctx context.Context, options check.Options) error {
		settings, faults := config.Load(c.Home.Settings())
		status := check.Run(ctx, c.Program, check.Subject{
			Name: Name, Config: settings, Settings: faults, FromCron: true,
			Jobs: []check.Job{{When: "59 23 * * *", Why: "no day's report is made", Vital: true}},
		}, options)
		return command.Result(status)
	})
}
