package nullroute

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

// Inspect returns whether the routes can be seen, whether rules lead packets past them, and
// whether a network daemon below root takes away those that it does not know. It changes
// nothing.
func (e *Enforcer) Inspect(ctx context.Context, root string) []enforcer.Finding {
	routes := enforcer.Finding{What: "routes", Verdict: enforcer.OK}
	if addrs, err := e.addresses(ctx); err != nil {
		routes.Verdict, routes.Found = enforcer.Fault, err.Error()
		routes.Mend = "run it as root, on a kernel with rtnetlink"
	} else {
		routes.Found = fmt.Sprintf("the main table can be read; %s routes of protocol %d: %d",
			e.kind.name, e.protocol, len(addrs))
	}
	found := []enforcer.Finding{routes}
	if s, err := netlink.Open(ctx); err == nil { // else there are no routes to be seen either
		found = append(found, inspectRules(s)...)
		s.Close()
	}
	return append(found, inspectNetworkd(root))
}

// inspectNetworkd checks whether systemd-networkd runs and manages foreign routes, which
// is its default: networkd.conf(5).
func inspectNetworkd(root string) enforcer.Finding {
	f := enforcer.Finding{What: "network daemon", Verdict: enforcer.OK,
		Found: "none that takes the routes away"}
	// Its folder is there wherever systemd is (tmpfiles.d/systemd-network.conf).
	if _, err := os.Stat(filepath.Join(root, "run/systemd/netif/state")); err != nil {
		return f // it does not run
	}
	files := []string{filepath.Join(root, "etc/systemd/networkd.conf")}
	for _, dir := range []string{"usr/lib", "run", "etc"} {
		matches, _ := filepath.Glob(filepath.Join(root, dir, "systemd/networkd.conf.d/*.conf")) // well-formed
		files = append(files, matches...)
	}
	managed := true
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			continue // a missing one says nothing
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if key, value, ok := strings.Cut(lines.Text(), "="); ok &&
				strings.TrimSpace(key) == "ManageForeignRoutes" {
				value = strings.ToLower(strings.TrimSpace(value))
				managed = value == "yes" || value == "true" || value == "on" || value == "1"
			}
		}
		_ = file.Close() // only read from
	}
	if managed {
		f.Verdict, f.Found = enforcer.Warn,
			"systemd-networkd removes routes that it does not know when it restarts, these too"
		f.Mend = "write ManageForeignRoutes=no into [Network] of " +
			"/etc/systemd/networkd.conf.d/ossec-ar.conf, then systemctl restart systemd-networkd"
	}
	return f
}
