// Command ossec-ar is the administrator's tool. This is a stand-in with the word mail alone.
package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/notify"
)

func main() {
	p := app.New(app.OS(), "ossec-ar")
	p.Hint = notify.Hint
	line := command.Line{Program: &p, Summary: "look after the active responses"}
	frame := line.App()
	frame.Commands = []*cli.Command{notify.Command(&p)}
	os.Exit(line.Run(context.Background(), frame, p.Arguments()))
}
