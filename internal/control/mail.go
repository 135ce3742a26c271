package control

import (
	"context"

	"github.com/urfave/cli/v2"
)

// mailCommand is what people do with mail.
func (t *tool) mailCommand() []*cli.Command { return nil }

// deliverMail delivers what waits.
func (t *tool) deliverMail(context.Context) error { return nil }

// mailStatus is what waits in the mail queue.
func (t *tool) mailStatus() string { return "nothing waits" }
