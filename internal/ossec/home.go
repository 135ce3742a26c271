// Package ossec knows what OSSEC and Wazuh keep on disk: where their home is and how
// it is laid out, their configuration, the list of responses that an agent gets from
// its manager. It only reads.
package ossec

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// DefaultHome is where OSSEC and Wazuh are installed by default.
const DefaultHome = "/var/ossec"

// Home is the folder of an installation.
type Home string

// FindHome derives the home from the path that a response was invoked as: the folder
// two above the executable's when that path ends in active-response/bin/NAME (a
// relative one, as Wazuh passes, counts from dir, the working directory), else
// override ($OSSEC_HOME), else DefaultHome. Symbolic links are not resolved, so that
// an alias keeps its own home.
func FindHome(invoked, dir, override string) Home {
	if bin := filepath.Dir(invoked); strings.HasSuffix("/"+bin, "/active-response/bin") {
		if !filepath.IsAbs(bin) {
			bin = filepath.Join(dir, bin)
		}
		return Home(filepath.Dir(filepath.Dir(bin)))
	}
	if filepath.IsAbs(override) {
		return Home(filepath.Clean(override))
	}
	return DefaultHome
}

// FindToolHome derives the home that ossec-ar works on: override ($OSSEC_HOME, which a response
// sets that runs it), else the folder above the bin that it was invoked in, else the one above the
// bin that its executable, links resolved, is in, else DefaultHome. A folder is a home when it
// holds active-response/bin, so that a copy in /usr/bin makes none of /usr.
func FindToolHome(invoked, executable, dir, override string) Home {
	if filepath.IsAbs(override) {
		return Home(filepath.Clean(override))
	}
	if strings.Contains(invoked, "/") && !filepath.IsAbs(invoked) {
		invoked = filepath.Join(dir, invoked)
	}
	for _, path := range []string{invoked, executable} {
		if home, ok := homeAbove(path); ok {
			return home
		}
	}
	return DefaultHome
}

func homeAbove(path string) (Home, bool) {
	bin := filepath.Dir(path)
	home := Home(filepath.Dir(bin))
	if filepath.Base(bin) != "bin" {
		return "", false
	}
	info, err := os.Stat(home.Programs())
	return home, err == nil && info.IsDir()
}

// The files under the home.
func (h Home) Conf() string            { return h.join("etc/ossec.conf") }
func (h Home) Settings() string        { return filepath.Join(h.SettingsDirs()[0], SettingsName) }
func (h Home) Whitelists() string      { return filepath.Join(h.SettingsDirs()[0], "whitelist.d") }
func (h Home) ResponseList() string    { return h.join("etc/shared/ar.conf") }
func (h Home) Logs() string            { return h.join("logs") }
func (h Home) ResponseLog() string     { return h.join("logs/active-responses.log") }
func (h Home) StatsLog() string        { return h.join("logs/response-stats.log") }
func (h Home) Alerts() string          { return h.join("logs/alerts") }
func (h Home) AlertLog() string        { return h.join("logs/alerts/alerts.log") }
func (h Home) NotificationLog() string { return h.join("logs/notifications.log") }
func (h Home) JSONLog() string         { return h.join("logs/active-responses.json") }
func (h Home) LastMaintain() string    { return filepath.Join(h.State(), "maintain.last") }
func (h Home) Programs() string        { return h.join("active-response/bin") }
func (h Home) Tool() string            { return h.join("bin/ossec-ar") }

// Installed reports whether there is an OSSEC or Wazuh, though it may lack a part.
func (h Home) Installed() bool {
	return h.Wazuh() || h.has("etc/ossec.conf") || h.has("bin/ossec-control") || h.has("bin/ossec-execd")
}

// Wazuh reports whether the home is Wazuh's, and not OSSEC's.
func (h Home) Wazuh() bool { return h.has("bin/wazuh-control") || h.has("bin/wazuh-execd") }

// Wazuh5 reports whether the home is that of Wazuh 5 or later, which writes no ar.conf: its version
// stands in a file that Wazuh has installed since 4.12.
func (h Home) Wazuh5() bool {
	text, err := state.Read(h.join("VERSION.json"), maxVersion)
	var version struct{ Version string }
	if err != nil || json.Unmarshal(text, &version) != nil {
		return false
	}
	major, _, _ := strings.Cut(version.Version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 5
}

// maxVersion bounds VERSION.json in bytes.
const maxVersion = 4096

func (h Home) has(name string) bool {
	_, err := os.Stat(h.join(name))
	return err == nil
}

// systemSettings is where the suite's settings are when others than root can write in the home's etc,
// as Wazuh's account can.
const systemSettings = "/etc/ossec-ar"

// SettingsName is the name of the file of the suite's own settings.
const SettingsName = "active-response.toml"

// SettingsDirs returns the folder of the suite's own settings, and after it those that others than root
// can write in: what stands there may only add to the whitelist.
func (h Home) SettingsDirs() []string {
	etc := h.join("etc")
	if err := state.Trusted(etc); err == nil || errors.Is(err, os.ErrNotExist) {
		return []string{etc}
	}
	return []string{systemSettings, etc}
}

// systemState has the state of the homes in whose var others than root can write.
const systemState = "/var/lib/ossec-ar"

// State returns the folder of the state: leases, the queue of mail. Who can write in the folder above could
// take it away and bring it back later, so it is in the home's var where that is root's alone, and else,
// as on Wazuh, in a folder of the system that has the path of the home, links resolved. Once that one is
// there it is used whatever becomes of the modes in the home.
func (h Home) State() string {
	home := string(h)
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real // else a daemon's name for the home and a person's would have a state each
	}
	system := filepath.Join(systemState, home, "state") // a home can lie in another
	if state.Trusted(system) == nil {
		return system
	}
	if err := state.Trusted(h.join("var")); err == nil || errors.Is(err, os.ErrNotExist) {
		return h.join("var/active-response")
	}
	return system
}

func (h Home) join(name string) string { return filepath.Join(string(h), name) }
