package nullroute

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
)

func TestInspectNetworkd(t *testing.T) {
	rows := []struct {
		name, conf, dropIn string
		runs               bool
		want               enforcer.Verdict
	}{
		{"does not run", "", "", false, enforcer.OK},
		{"by default", "", "", true, enforcer.Warn},
		{"left alone", "[Network]\nManageForeignRoutes=no\n", "", true, enforcer.OK},
		{"commented out", "[Network]\n#ManageForeignRoutes=no\n", "", true, enforcer.Warn},
		{"overridden", "[Network]\nManageForeignRoutes=yes\n", "[Network]\nManageForeignRoutes = false\n", true, enforcer.OK},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			root := t.TempDir()
			write := func(name, text string) {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Join(root, "run/systemd/netif/links"), 0o755); err != nil {
				t.Fatal(err)
			}
			if row.runs {
				write("run/systemd/netif/state", "")
			}
			if row.conf != "" {
				write("etc/systemd/networkd.conf", row.conf)
			}
			if row.dropIn != "" {
				write("etc/systemd/networkd.conf.d/routes.conf", row.dropIn)
			}
			if got := inspectNetworkd(root); got.Verdict != row.want || (got.Mend != "") != (row.want != enforcer.OK) {
				t.Errorf("got %+v, want %s", got, row.want)
			}
		})
	}
}
