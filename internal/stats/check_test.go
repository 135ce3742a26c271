package stats

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

func TestFindings(t *testing.T) {
	home := t.TempDir()
	logs := filepath.Join(home, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	expect := func(name string, want enforcer.Verdict) {
		t.Helper()
		if name != "" {
			if err := os.WriteFile(filepath.Join(logs, name), []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found := Findings(ossec.Home(home))
		if len(found) != 1 || found[0].Verdict != want {
			t.Errorf("with %q: %+v, want %s", name, found, want)
		}
		if name != "" && name != "active-responses.log" {
			_ = os.Remove(filepath.Join(logs, name))
		}
	}
	expect("", enforcer.Skip)
	expect("active-responses.log", enforcer.OK)
	expect("active-responses.log.1.gz", enforcer.Fault) // not packed
	expect("active-responses.log.2.xz", enforcer.Warn)
}
