package control

import "github.com/urfave/cli/v2"

// checkCommand is why it is not blocking.
func (t *tool) checkCommand() []*cli.Command { return nil }
