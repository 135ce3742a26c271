package check

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// host is the outside as this package sees it. Tests make one up.
type host struct {
	app.Program
	Options
	subjects []*Subject
	subject  *Subject // the one that is looked at
	conf     conf
	running  []ossec.Process // daemons of this home
	noList   bool            // it was reported that ar.conf is missing

	root  string // what "/" stands for
	owner int    // user id that installed files must belong to
	user  int    // user id of this process
	// addresses returns those of the host's interfaces.
	addresses func() ([]netip.Addr, error)
}

func newHost(p app.Program, o Options, subjects []*Subject) *host {
	h := &host{
		Program: p, Options: o, subjects: subjects, subject: subjects[0],
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

// systemd reports whether it runs the host, as sd_booted(3) does.
func (h *host) systemd() bool {
	_, err := os.Stat(h.path("run/systemd/system"))
	return err == nil
}

// tool is a command of ossec-ar.
func (h *host) tool(words string) string {
	name := "ossec-ar"
	if _, err := exec.Find(name, filepath.SplitList(os.Getenv("PATH"))); err != nil {
		name = h.Home.Tool()
	}
	return name + " " + words
}

// rights reports when much cannot be seen.
func (h *host) rights(_ context.Context, s *sheet) {
	if h.user != h.owner {
		s.warn("run it as root",
			"not run as root: some of what follows may be wrong, for it cannot be seen")
	}
	s.ok("run as user %d", h.user)
}

// absent says what works without OSSEC and Wazuh, and what waits for them.
func (h *host) absent(_ context.Context, s *sheet) {
	s.skip("there is none in %s: nothing is blocked by alerts until it is installed there, or --home names "+
		"where it is; what people block, the upkeep and the reports work without", h.Home)
}

// control is the command that starts, stops and restarts the daemons.
func (h *host) control(action string) string {
	path := filepath.Join(string(h.Home), "bin", h.daemon("control"))
	if _, err := os.Stat(path); err != nil {
		return action + " the daemons of OSSEC or Wazuh"
	}
	return path + " " + action
}

// daemon is the full name of a daemon.
func (h *host) daemon(name string) string {
	if h.Home.Wazuh() {
		return "wazuh-" + name
	}
	return "ossec-" + name
}
