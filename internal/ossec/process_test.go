package ossec_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// TestElsewhere: a process is a daemon of the home that its executable lies in.
func TestElsewhere(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "ossec")
	daemon := filepath.Join(home, "bin/ossec-execd")
	if err := os.MkdirAll(filepath.Dir(daemon), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(daemon, program, 0o755); err != nil {
		t.Fatal(err)
	}
	alias := home + "-alias"
	if err := os.Symlink(home, alias); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), daemon, "900")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it waits for nothing else
		_ = cmd.Wait()
	}()
	for _, tt := range []struct {
		home string
		want bool
	}{{home, false}, {alias, false}, {home + "2", true}, {filepath.Dir(home) + "/other", true}} {
		if got := ossec.Home(tt.home).Elsewhere("/proc", cmd.Process.Pid); got != tt.want {
			t.Errorf("of %s: %v, want %v", tt.home, got, tt.want)
		}
	}
	if ossec.Home(home).Elsewhere(t.TempDir(), 1) {
		t.Error("a process that is not known is elsewhere")
	}
}
