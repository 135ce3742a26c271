package kernel

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// aliases are the further names that the programs are called by.
var aliases = map[string][]string{
	"firewall-drop":      {"firewall-drop.sh", "custom-firewall-drop.sh"},
	"host-deny":          {"host-deny.sh", "custom-host-deny.sh"},
	"route-null":         {"route-null.sh", "custom-route-null.sh"},
	"email-notification": {"email-notification.sh"},
}

// buildPrograms puts the real programs into a home of the test's own and returns its bin
// folder.
func buildPrograms(t *testing.T) string {
	t.Helper()
	built := os.Getenv(programsVariable)
	entries, err := os.ReadDir(built)
	if err == nil && len(entries) == 0 {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "urfave_cli_no_docs", "-o", built+"/", "../../cmd/...")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building the programs: %v\n%s", err, out)
		}
		entries, err = os.ReadDir(built)
	}
	bin := filepath.Join(t.TempDir(), "active-response/bin")
	err = errors.Join(err, os.MkdirAll(bin, 0o755))
	for _, e := range entries {
		err = errors.Join(err, os.Link(filepath.Join(built, e.Name()), filepath.Join(bin, e.Name())))
		for _, alias := range aliases[e.Name()] {
			err = errors.Join(err, os.Symlink(e.Name(), filepath.Join(bin, alias)))
		}
	}
	if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "firewall-drop" }) {
		t.Fatalf("the programs: %v, %v", entries, err)
	}
	configure(t, bin, "")
	return bin
}
