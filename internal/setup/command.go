package setup

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	commandline "github.com/ossec-ar/ossec-ar/internal/app/command"
)

// Command changes ossec.conf: `install.sh --configure` calls it, and persons may.
func Command(p *app.Program) *cli.Command {
	var o Options
	return &cli.Command{
		Name: "configure", Usage: "put what the suite needs into ossec.conf, or take it out",
		UsageText: "ossec-ar configure --dry-run\nossec-ar configure --profile ssh,web,mail --whitelist 192.168.1.0/24\n" +
			"ossec-ar configure --remove",
		HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "home", Usage: "the home `DIR`",
				Value: string(p.Home), Destination: &o.Home},
			&cli.StringFlag{Name: "destdir", Usage: "`DIR` is put before every path",
				Destination: &o.DestDir},
			&cli.StringSliceFlag{Name: "profile", Usage: "the profiles `A,B`: " +
				strings.Join(ProfileNames(), ", ")},
			&cli.StringSliceFlag{Name: "whitelist", Usage: "never block the addresses and networks `A,B`"},
			&cli.StringFlag{Name: "rules", Usage: "install the suite's rules too; `DIR` is its folder contrib",
				Destination: &o.Rules},
			&cli.BoolFlag{Name: "remove", Usage: "take all of it out again", Destination: &o.Remove},
			&cli.BoolFlag{Name: "logs", Usage: "only make the logs that are followed and missing",
				Destination: &o.Logs},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and change nothing",
				Destination: &o.DryRun},
		},
		Action: func(c *cli.Context) error {
			if err := commandline.NoOperands(c); err != nil {
				return err
			}
			o.Profiles, o.Whitelist = c.StringSlice("profile"), c.StringSlice("whitelist")
			o.Now, o.Out = p.Now(), p.Stdout
			return Run(o)
		},
	}
}
