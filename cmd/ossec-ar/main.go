// Command ossec-ar is the administrator's tool over all blocking responses: who is blocked and
// why, blocking and freeing by hand, upkeep, checks.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/account"
	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/blockfile"
	"github.com/ossec-ar/ossec-ar/internal/confine"
	"github.com/ossec-ar/ossec-ar/internal/control"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/hostsdeny"
	"github.com/ossec-ar/ossec-ar/internal/libwrap"
	"github.com/ossec-ar/ossec-ar/internal/notify"
	"github.com/ossec-ar/ossec-ar/internal/nullroute"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == confine.Word {
		os.Exit(notify.Serve())
	}
	env := app.OS()
	env.Executable, _ = os.Executable() // one of several ways to find the home
	hostDeny := hostsdeny.Kind
	hostDeny.Effect = libwrap.Effect
	os.Exit(control.Main(env, firewall.Kind, hostDeny, nullroute.Kind, account.Kind, blockfile.Kind))
}
