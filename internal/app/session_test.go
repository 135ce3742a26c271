package app_test

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// TestSSHSessions: one's own session is found above sudo, which hides it, and those of others while
// their connections are open.
func TestSSHSessions(t *testing.T) {
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
		want := map[netip.Addr]string{}
		if test.want != "" {
			want[netip.MustParseAddr(test.want)] = "your SSH session"
		}
		if got := p.SSHSessions(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", test.name, got, want)
		}
	}

	process("60", "SSH_CONNECTION=203.0.113.8 50022 192.0.2.1 22\x00", "60 (bash) S 1 60 60")
	process("61", "SSH_CONNECTION=203.0.113.9 50022 192.0.2.1 22\x00", "61 (bash) S 1 61 61")   // is over
	process("62", "SSH_CONNECTION=2001:db8::8 50022 2001:db8::1 22\x00", "62 (bash) S 1 62 62") // waits to end
	process("63", "SSH_CONNECTION=198.51.100.1 50022 192.0.2.1 22\x00", "63 (bash) S 1 63 63")
	if err := os.Mkdir(filepath.Join(proc, "net"), 0o700); err != nil {
		t.Fatal(err)
	}
	// As Linux prints them on a host of this order of bytes.
	tables := map[string]string{
		"tcp": "  sl  local_address rem_address   st\n   0: 010200C0:0016 087100CB:C366 01 00000000:00000000\n",
		"tcp6": "   1: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000016433C6:C366 01 0\n" +
			"   2: B80D0120000000000000000001000000:0016 B80D0120000000000000000008000000:C366 06 0\n",
	}
	for name, text := range tables {
		if err := os.WriteFile(filepath.Join(proc, "net", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := app.New(app.Env{Proc: proc, ParentPID: 30}, "x")
	want := map[netip.Addr]string{
		netip.MustParseAddr("2001:db8::7"):  "your SSH session",
		netip.MustParseAddr("203.0.113.8"):  "an SSH session that is open",
		netip.MustParseAddr("198.51.100.1"): "an SSH session that is open",
	}
	if got := p.SSHSessions(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
