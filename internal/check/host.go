package check

import (
	"bufio"
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// host is the outside as this package sees it. Tests make one up.
type host struct {
	app.Program
	Options
	subjects []Subject
	subject  *Subject // the one that is looked at
	byHand   bool     // no daemon calls it, but others
	conf     conf

	root  string // what "/" stands for
	owner int    // user id that installed files must belong to
	user  int    // user id of this process
	// addresses returns those of the host's interfaces.
	addresses func() ([]netip.Addr, error)
}

func newHost(p app.Program, o Options, subjects []Subject) *host {
	h := &host{
		Program: p, Options: o, subjects: subjects, subject: &subjects[0],
		root: cmp.Or(o.Root, "/"), user: os.Geteuid(),
		addresses: interfaceAddresses,
	}
	if o.Root != "" {
		h.Proc = h.path("proc")
	}
	h.conf = readConf(h.Home.Conf())
	return h
}

func interfaceAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	var out []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap().WithZone(""))
		}
	}
	return out, err
}

// path returns where a file of the system is.
func (h *host) path(name string) string { return filepath.Join(h.root, name) }

func (h *host) processes() processes { return processes{h.Proc, h.Home} }

// rights reports when much cannot be seen.
func (h *host) rights(context.Context) []Finding {
	if h.user != h.owner {
		return []Finding{warn("sudo "+h.Name+" check",
			"not run as root: some of what follows may be wrong, for it cannot be seen")}
	}
	return []Finding{ok("run as user %d", h.user)}
}

// control is the command that starts, stops and restarts the daemons.
func (h *host) control(action string) string {
	for _, name := range []string{"wazuh-control", "ossec-control"} {
		path := filepath.Join(string(h.Home), "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path + " " + action
		}
	}
	return filepath.Join(string(h.Home), "bin/ossec-control") + " " + action
}

// wazuh reports whether the home is Wazuh's.
func (h *host) wazuh() bool {
	for _, name := range []string{"bin/wazuh-control", "bin/wazuh-execd"} {
		if _, err := os.Stat(filepath.Join(string(h.Home), name)); err == nil {
			return true
		}
	}
	return false
}

// group looks up the group that the daemons run as; false when there is none.
func (h *host) group() (name string, id int, found bool) {
	groups := []string{"ossec", "wazuh"}
	if h.wazuh() {
		slices.Reverse(groups)
	}
	file, err := os.Open(h.path("etc/group"))
	if err != nil {
		return "", 0, false
	}
	defer file.Close() // only read from
	best := len(groups)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		at := slices.Index(groups, fields[0])
		if at < 0 || at >= best || len(fields) < 3 {
			continue
		}
		if n, err := strconv.Atoi(fields[2]); err == nil {
			name, id, best = fields[0], n, at
		}
	}
	return name, id, best < len(groups)
}
