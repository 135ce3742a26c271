package notify

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/check"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// checkCommand looks at all that mail rests on, or at its settings only.
func (c *call) checkCommand() *cli.Command {
	words := check.Command(false, func(ctx context.Context, options check.Options) error {
		return command.Result(c.checkAll(ctx, options))
	})
	words.Flags = append(words.Flags, &cli.BoolFlag{Name: "settings", Usage: "look for faults in the settings only"})
	all := words.Action
	words.Action = func(x *cli.Context) error {
		if x.Bool("settings") && !x.Args().Present() {
			return command.Result(c.check())
		}
		return all(x)
	}
	return words
}

func (c *call) checkAll(ctx context.Context, options check.Options) int {
	settings, faults := config.Load(c.Home.Settings())
	return check.Run(ctx, c.Program, check.Subject{
		Name: Name, Config: settings, Settings: faults, Logs: []string{c.Home.NotificationLog()},
		Jobs: []check.Job{
			{Command: "flush", When: "*/2 * * * *", Why: "mail that could not be sent at once waits for the next alert"},
		},
		Extra: func(context.Context) []check.Finding { return c.settingsFindings(settings.Mail) },
	}, options)
}

// settingsFindings are the faults in the settings as rows.
func (c *call) settingsFindings(settings config.Mail) []check.Finding {
	const what = "mail settings"
	s, fault := LoadSettings(c.Home, settings)
	err := Check(s, fault, c.Now())
	if err == nil {
		return []check.Finding{{What: what, Verdict: enforcer.OK, Found: fmt.Sprintf("%d recipients and %d routes, at most %d mails an hour", len(s.To), len(s.Routes), s.MaxPerHour)}}
	}
	mend := Hint(err)
	if mend == "" {
		mend = "correct it in <global> of " + c.Home.Conf() + " or in [mail] of " + c.Home.Settings()
	}
	var found []check.Finding
	for text := range strings.SplitSeq(err.Error(), "\n") {
		found = append(found, check.Finding{What: what, Verdict: enforcer.Fault, Found: text, Mend: mend})
	}
	return found
}
