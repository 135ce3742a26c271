package app_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// TestSSHPeer: the session is found above sudo, which hides it, and nothing is where there is none.
func TestSSHPeer(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, environ, stat string) {
		t.Helper()
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"environ": environ, "stat": stat} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("30", "PATH=/bin\x00SUDO_USER=eve\x00", "30 (su do) x) S 20 30 30")
	process("20", "PATH=/bin\x00SSH_CONNECTION=2001:db8::7%eth0 50022 2001:db8::1 22\x00", "20 (bash) S 10 20 20")
	process("10", "", "10 (sshd) S 1 10 10")
	process("40", "", "40 (loop) S 40 40 40")
	process("50", "SSH_CONNECTION=junk\x00", "50 (x) S 1 50 50")
	for _, test := range []struct {
		name, own string
		parent    int
		want      string
	}{
		{"in its own environment", "::ffff:203.0.113.7 50022 192.0.2.1 22", 10, "203.0.113.7"},
		{"above sudo", "", 30, "2001:db8::7"},
		{"at the console", "", 10, ""},
		{"a parent that is gone", "", 99, ""},
		{"a circle", "", 40, ""},
		{"no address", "", 50, ""},
	} {
		p := app.New(app.Env{Proc: proc, ParentPID: test.parent, SSHConnection: test.own}, "x")
		got, ok := p.SSHPeer()
		if ok != (test.want != "") || ok && got != netip.MustParseAddr(test.want) {
			t.Errorf("%s: %v, %v, want %q", test.name, got, ok, test.want)
		}
	}
}
