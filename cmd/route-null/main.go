// Command route-null sends what this host would answer to the addresses that OSSEC or
// Wazuh ask to block into a blackhole route.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/nullroute"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() {
	os.Exit(respond.Main(app.OS(), respond.Response{
		Name:    "route-null",
		Summary: "route the way back to attackers into a blackhole",
		Manual: []string{
			"route-null makes a blackhole route for an address, so that nothing that this host sends gets back to it. The routes carry the protocol number 214, and only such routes are ever removed. The line \"214 ossec_ar\" in /etc/iproute2/rt_protos.d/ossec_ar.conf gives it a name.",
		},
		New: func(s respond.Setup) (enforcer.Enforcer, error) {
			return nullroute.New(nullroute.Options{Type: s.Config.RouteNull.Type})
		},
	}))
}
