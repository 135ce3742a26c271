package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/notify"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// mailCommand is what people do with mail.
func (t *tool) mailCommand() *cli.Command {
	c := notify.Command(&t.Program)
	for _, sub := range c.Subcommands {
		sub.Before = t.begin
	}
	c.UsageText = "ossec-ar mail queue\nossec-ar mail test --to you@example.org\nossec-ar mail preview --html > mail.html"
	return c
}

// deliverMail delivers what waits.
func (t *tool) deliverMail(ctx context.Context) error { return notify.Deliver(ctx, &t.Program) }

// mailStatus is what waits in the mail queue.
func (t *tool) mailStatus() string {
	box, err := outbox.Open(t.Home.MailQueue())
	if errors.Is(err, os.ErrNotExist) {
		return "nothing waits" // nothing was ever queued
	}
	var rows []outbox.Row
	var progress outbox.Progress
	if err == nil {
		rows, progress, err = box.List(t.Now())
	}
	if err != nil {
		return t.colour(bad, printable.Error(err))
	}
	counts := map[outbox.State]int{}
	for _, row := range rows {
		counts[row.State] += len(row.Topic)
	}
	var parts []string
	for _, state := range []outbox.State{outbox.Arrived, outbox.Waiting, outbox.Refused} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing waits"}
	}
	if progress.Error != "" {
		parts = append(parts, t.colour(bad, "the last attempt failed: "+printable.Line(progress.Error)))
	}
	return strings.Join(parts, ", ")
}
