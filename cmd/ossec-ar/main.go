// Command ossec-ar is the administrator's tool over all blocking responses: who is blocked and
// why, blocking and freeing by hand, upkeep, checks.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/control"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/hostsdeny"
	"github.com/ossec-ar/ossec-ar/internal/libwrap"
	"github.com/ossec-ar/ossec-ar/internal/nullroute"
)

func main() {
	hostDeny := hostsdeny.Kind
	hostDeny.Effect = libwrap.Effect
	os.Exit(control.Main(app.OS(), firewall.Kind, hostDeny, nullroute.Kind))
}
