// Command host-deny enters the addresses that OSSEC or Wazuh ask to block into
// /etc/hosts.deny, which services built with TCP wrappers obey.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/hostsdeny"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() {
	os.Exit(respond.Main(app.OS(), respond.Response{
		Name:    "host-deny",
		Summary: "deny attackers the services that use TCP wrappers, in hosts.deny",
		Manual: []string{
			"host-deny enters an address into /etc/hosts.deny, as ALL:203.0.113.7 or ALL:[2001:db8::7], and takes exactly that entry out again, also where it stood there before. Every other byte of the file stays, and no reader ever sees it half-written. Only services that are built with TCP wrappers (libwrap) read that file; on many systems none is.",
		},
		Lasting: true,
		New: func(s respond.Setup) (enforcer.Enforcer, error) {
			c := s.Config.HostDeny
			return hostsdeny.New(hostsdeny.Options{
				Path: c.File, Daemons: c.Daemons, Allow: c.AllowForm,
				LockPath: s.StateFile("hosts.deny.lock"), LockWait: s.Config.Lease.LockTimeout.Duration,
			}), nil
		},
		Caveat: func() string {
			_, hint := hostsdeny.Effective("/")
			return hint
		},
	}))
}
