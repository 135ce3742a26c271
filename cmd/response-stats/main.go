// Command response-stats reports what the active responses of this host, or of all
// agents, did.
package main

import (
	"cmp"
	"os"
	"runtime/debug"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/report"
)

// memory is what the program should keep to, in bytes, whatever the size of the logs.
const memory = 48 << 20

func main() {
	// Most runs end long before that is reached: nothing is collected until then.
	debug.SetMemoryLimit(memory)
	debug.SetGCPercent(-1)
	p := app.New(app.OS(), report.Name)
	p.Hint = func(err error) string { return cmp.Or(config.MailHint(err), config.ChatHint(err)) }
	by := func(ch notice.Channel, wait bool) report.Send {
		return func(subject, text, html string) error {
			return notice.QueueReport(&p, ch, subject, text, html, wait)
		}
	}
	os.Exit(report.Main(p, report.Sending{Mail: by(notice.Mail, false), Chat: by(notice.Chat, false),
		Leave: by(notice.Chat, true)}))
}
