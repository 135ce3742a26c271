// Package neverblock gathers the whitelist of a host from all places where one can
// stand: built in, ossec.conf, active-response.toml, etc/whitelist.d.
package neverblock

import (
	"errors"
	"fmt"
	"os"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// List returns the whitelist, usable even when there is an error: ossec.conf could then
// not be read at all. Broken entries are in the list's Faults. A host without ossec.conf
// has no entries there.
func List(home ossec.Home, settings config.Whitelist, resolver whitelist.Resolver) (*whitelist.List, error) {
	list := &whitelist.List{ResolveTimeout: settings.ResolveTimeout.Duration}
	if settings.ResolveNames {
		list.Resolver = resolver
	}
	list.AddBuiltIn(whitelist.BuiltIn{
		Loopback: settings.Loopback, Unspecified: settings.Unspecified, Multicast: settings.Multicast,
		Broadcast: settings.Broadcast, OwnAddresses: settings.OwnAddresses,
		Gateways: settings.Gateways, DNSServers: settings.DNSServers,
	})
	read := false
	err := ossec.ReadConf(home.Conf(), func(e ossec.Element) {
		read = true
		if name := e.Path[len(e.Path)-1]; (name == "white_list" || name == "allow_list") && e.Text != "" {
			_ = list.Add(e.Text, fmt.Sprintf("%s:%d", home.Conf(), e.Line)) // list.Faults has it
		}
	})
	if errors.Is(err, os.ErrNotExist) || read && errors.Is(err, ossec.ErrBrokenConf) {
		err = nil // a slip somewhere in a file that was read is reported by `check`
	}
	for _, entry := range settings.Entries {
		_ = list.Add(entry, home.Settings()+": whitelist.entries")
	}
	for _, path := range settings.Files {
		list.AddFile(path)
	}
	list.AddDir(home.Whitelists())
	return list, err
}
