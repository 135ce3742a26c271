package control

import (
	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/notify"
)

// mail is what people do with mail.
func (t *tool) mail() *cli.Command {
	c := notify.Command(&t.Program)
	for _, sub := range c.Subcommands {
		sub.Before = t.begin
	}
	c.UsageText = "ossec-ar mail queue\nossec-ar mail test --to you@example.org\nossec-ar mail preview --html > mail.html"
	return c
}
