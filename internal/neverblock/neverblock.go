// Package neverblock gathers the whitelist of a host from all places where one can
// stand: built in, ossec.conf, active-response.toml, etc/whitelist.d. The addresses of the
// host names among them are asked for by Refresh alone and remembered; List asks nobody.
package neverblock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// List returns the whitelist, usable even when there is an error: ossec.conf could then
// not be read at all. Broken entries are in the list's Faults. A host without ossec.conf
// has no entries there.
func List(home ossec.Home, settings config.Whitelist, now time.Time) (*whitelist.List, error) {
	list := &whitelist.List{Translated: settings.Translated}
	if settings.ResolveNames {
		list.Names = remembered(home, now)
	}
	list.AddBuiltIn(whitelist.BuiltIn{
		Loopback: settings.Loopback, Unspecified: settings.Unspecified, Multicast: settings.Multicast,
		Broadcast: settings.Broadcast, OwnAddresses: settings.OwnAddresses,
		Gateways: settings.Gateways, DNSServers: settings.DNSServers,
		Metadata: settings.Metadata, DHCPServers: settings.DHCPServers,
	})
	dirs := home.SettingsDirs()
	list.Strange = state.Trusted(home.Conf()) != nil
	read := false
	err := ossec.ReadConf(home.Conf(), func(e ossec.Element) {
		read = true
		name := e.Path[len(e.Path)-1]
		counts := name == "white_list" || name == "allow_list" || settings.Manager && namesManager(e.Path)
		if counts && e.Text != "" {
			_ = list.Add(e.Text, fmt.Sprintf("%s:%d", home.Conf(), e.Line)) // list.Faults has it
		}
	})
	if errors.Is(err, os.ErrNotExist) || read && errors.Is(err, ossec.ErrBrokenConf) {
		err = nil // a slip somewhere in a file that was read is reported by `check`
	}
	list.Strange = false
	source := filepath.Join(dirs[0], ossec.SettingsName) + ": whitelist.entries"
	for _, entry := range settings.Entries {
		_ = list.Add(entry, source)
	}
	list.Strange = true
	source = filepath.Join(dirs[len(dirs)-1], ossec.SettingsName) + ": whitelist.entries"
	for _, entry := range settings.Strange {
		_ = list.Add(entry, source)
	}
	for _, path := range settings.Files {
		list.AddFile(path)
	}
	list.AddDir(filepath.Join(dirs[0], "whitelist.d"))
	for _, dir := range dirs[1:] { // others can write there
		list.AddDirBelow(dir, "whitelist.d")
	}
	return list, err
}

// namesManager reports whether a tag of ossec.conf names the manager of an agent: in OSSEC
// <client><server-ip> or <server-hostname>, in Wazuh <client><server><address>, in Wazuh 5
// <client><manager><address>.
func namesManager(path []string) bool {
	n := len(path)
	if n >= 2 && path[n-2] == "client" {
		return path[n-1] == "server-ip" || path[n-1] == "server-hostname"
	}
	return n >= 3 && path[n-3] == "client" && (path[n-2] == "server" || path[n-2] == "manager") &&
		path[n-1] == "address"
}
