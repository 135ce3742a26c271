package stats

import "github.com/urfave/cli/v2"

func (c *command) watchCommand() *cli.Command { return &cli.Command{Name: "watch"} }
