// Command firewall-drop drops the packets of the addresses that OSSEC or Wazuh ask to
// block, with iptables.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() {
	os.Exit(respond.Main(app.OS(), respond.Response{
		Name:    "firewall-drop",
		Summary: "drop the packets of attackers with iptables",
		Manual: []string{
			"firewall-drop drops the packets of an address. With iptables it keeps a chain of its own, OSSEC_AR, in the filter tables of both families, to which INPUT jumps, and on a host that forwards packets FORWARD, or DOCKER-USER if FORWARD leads there. What somebody flushed is made again by the next block.",
		},
		New: func(s respond.Setup) (enforcer.Enforcer, error) {
			c := s.Config.Firewall
			return firewall.New(firewall.Options{
				Backend: c.Backend, Target: c.Target, Forward: c.Forward, Timeout: c.Timeout.Duration,
				MaxRules: c.MaxRules, MaxAddresses: c.MaxAddresses, LockPath: s.StateFile("firewall.lock"),
			})
		},
		Hint: func(err error) string { return respond.InstallHint(err, "iptables") },
	}))
}
