package setup

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// Command is what install.sh calls to change ossec.conf. It is hidden: people use
// `install.sh --configure`.
func Command(p *app.Program) *cli.Command {
	var o Options
	list := func(c *cli.Context, name string) []string {
		if !c.IsSet(name) {
			return nil
		}
		var out []string
		for part := range strings.SplitSeq(c.String(name), ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
		return out
	}
	return &cli.Command{
		Name: "configure", Usage: "put what the suite needs into ossec.conf, or take it out",
		Hidden: true, HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "home", Usage: "the home `DIR`",
				Value: string(p.Home), Destination: &o.Home},
			&cli.StringFlag{Name: "destdir", Usage: "`DIR` is put before every path",
				Destination: &o.DestDir},
			&cli.StringFlag{Name: "profile", Usage: "the profiles `A,B`: " +
				strings.Join(ProfileNames(), ", ")},
			&cli.StringFlag{Name: "whitelist", Usage: "never block the addresses and networks `A,B`"},
			&cli.StringFlag{Name: "rules", Usage: "install the rules in `FILE`", Destination: &o.Rules},
			&cli.BoolFlag{Name: "remove", Usage: "take all of it out again", Destination: &o.Remove},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and change nothing",
				Destination: &o.DryRun},
		},
		Action: func(c *cli.Context) error {
			o.Profiles, o.Whitelist = list(c, "profile"), list(c, "whitelist")
			if c.IsSet("profile") && o.Profiles == nil {
				return errors.New("--profile names none")
			}
			o.Now, o.Out = p.Now(), p.Stdout
			return Run(o)
		},
	}
}
