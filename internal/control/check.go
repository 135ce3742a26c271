package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/check"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/notify"
)

// reporter is the program that makes the day's report.
const reporter = "response-stats"

func runCheck(t *tool, c *cli.Context) error {
	var subjects []*check.Subject
	for _, kind := range t.chosen {
		s := &check.Subject{Name: kind.Name}
		if r, err := t.open(kind, !c.Bool("live")); err != nil {
			s.Failure = err
		} else {
			s.Hold = r.Holder
		}
		subjects = append(subjects, s)
	}
	if len(t.chosen) == len(t.all) {
		logs := []string{t.Home.NotificationLog()}
		subjects = append(subjects,
			&check.Subject{Name: notice.Mail.Program, Logs: logs, Extra: checkChannel(t, notify.CheckMail,
				"correct it in <global> of "+t.Home.Conf()+" or in [mail] of "+t.Home.Settings())},
			&check.Subject{Name: notice.Chat.Program, Logs: logs, Set: len(t.settings.Chat) > 0,
				Extra: checkChannel(t, notify.CheckChat, "correct it in [[chat]] of "+t.Home.Settings())},
			&check.Subject{Name: reporter, FromCron: true,
				Jobs: []check.Job{{When: "59 23 * * *", Why: "no day's report is made"}}})
	}
	subjects = append(subjects, upkeep(t, readMaintained(t.Home)))
	o := check.Options{JSON: c.Bool("json"), Live: c.Bool("live"), Width: t.width(), Settings: t.settings,
		SettingsFault: t.settingsFault}
	if root := c.String("root"); root != "/" {
		o.Root = root
	}
	return command.Reported(check.Run(c.Context, t.Program, o, subjects...) != app.ExitOK)
}

// overdue is how old the last run of maintain may be.
const overdue = 10 * time.Minute

// upkeep is the job of each minute. While something is blocked, it is needed.
func upkeep(t *tool, done maintained) *check.Subject {
	blocked := slices.ContainsFunc(t.all, func(k enforcer.Kind) bool {
		n := 0
		err := lease.New(t.Home.State(), k.Name).View(func(tx *lease.Tx) error {
			n = tx.Count(false) + tx.Count(true)
			return nil
		})
		return n > 0 || err != nil // where they cannot be read, there may be some
	})
	return &check.Subject{Name: Name, Path: t.Tool(), FromCron: true, Jobs: []check.Job{{
		Command: "maintain", When: "* * * * *",
		Why:  "what somebody flushes stays open, and what is over stays blocked",
		Last: done.At, Within: overdue, Needed: blocked,
	}}}
}

// checkChannel returns what looks at the settings of a way that notices go. usual is how to mend what is
// wrong, where there is no other advice.
func checkChannel(
	t *tool, look func(context.Context, *app.Program) (string, error), usual string,
) func(context.Context) []check.Finding {
	const what = "settings"
	return func(ctx context.Context) (found []check.Finding) {
		summary, err := look(ctx, &t.Program)
		if err == nil {
			return []check.Finding{{What: what, Verdict: enforcer.OK, Found: summary}}
		}
		mend, said := cmp.Or(notify.Hint(err), usual), strings.Split(fmt.Sprint(t.settingsFault), "\n")
		for text := range strings.SplitSeq(err.Error(), "\n") {
			if !slices.Contains(said, text) {
				found = append(found, check.Finding{What: what, Verdict: enforcer.Fault, Found: text, Mend: mend})
			}
		}
		if found == nil {
			found = []check.Finding{{What: what, Verdict: enforcer.Skip, Found: "see active-response.toml above"}}
		}
		return found
	}
}
