// Command response-stats reports what the active responses of this host, or of all
// agents, did.
package main

import (
	"errors"
	"os"
	"runtime/debug"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/notify"
	"github.com/ossec-ar/ossec-ar/internal/report"
)

// memory is what the program should keep to, in bytes, whatever the size of the logs.
const memory = 48 << 20

func main() {
	// Most runs end long before that is reached: nothing is collected until then.
	debug.SetMemoryLimit(memory)
	debug.SetGCPercent(-1)
	env := app.OS()
	if len(env.Args) > 1 && env.Args[1] == "deliver" { // as notify.Submit starts it
		os.Exit(notify.Main(env))
	}
	p := app.New(env, report.Name)
	p.Hint = notify.Hint
	os.Exit(report.Main(p, func(subject, text, html string) error { return mail(&p, subject, text, html) }))
}

// mail leaves the report in email-notification's queue, from which it is delivered by the
// same settings, with the same retries, as a notification.
func mail(p *app.Program, subject, text, html string) error {
	configured, err := config.Load(p.Home.Settings())
	if err != nil {
		p.Complain(err) // what is sound in it counts
	}
	settings, err := notify.LoadSettings(p.Home, configured.Mail)
	if err != nil && !errors.Is(err, notify.ErrNotSet) {
		p.Complain(err)
	}
	return notify.Submit(p, settings, notify.Message{Subject: subject, Text: text, HTML: html})
}
