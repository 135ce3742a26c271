package lease_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// fakeProc makes a folder like /proc, with one process 7.
func fakeProc(t *testing.T, boot, stat string) string {
	t.Helper()
	proc := t.TempDir()
	for path, content := range map[string]string{
		"sys/kernel/random/boot_id": boot, "7/stat": stat, "7/status": "Name:\tx\nUid:\t0\t0\t0\t0\n",
	} {
		path = filepath.Join(proc, path)
		if content == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/var/ossec/bin/ossec-execd", filepath.Join(proc, "7/exe")); err != nil {
		t.Fatal(err)
	}
	return proc
}

// statLine is /proc/PID/stat of a process, after proc_pid_stat(5).
func statLine(name, state string, start int) string {
	return fmt.Sprintf("7 (%s) %s 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %d 2600960 200 18446744073709551615 1 1 0 0 0\n", name, state, start)
}

func TestFindDaemon(t *testing.T) {
	found := &lease.Daemon{Name: "ossec-execd", PID: 7, Start: 4711, Boot: "b00t"}
	for _, test := range []struct {
		name, boot, stat string
		want             *lease.Daemon
	}{
		{"OSSEC's", "b00t\n", statLine("ossec-execd", "S", 4711), found},
		{"Wazuh's", "b00t\n", statLine("wazuh-execd", "S", 12), &lease.Daemon{Name: "wazuh-execd", PID: 7, Start: 12, Boot: "b00t"}},
		{"no boot id", "", statLine("ossec-execd", "S", 4711), &lease.Daemon{Name: "ossec-execd", PID: 7, Start: 4711}},
		{"a shell", "b00t\n", statLine("sh", "S", 4711), nil},
		{"a name that pretends", "b00t\n", statLine("x) S 1 (ossec-execd", "S", 4711), nil},
		{"a name with brackets and blanks", "b00t\n", statLine("a) b (c", "S", 4711), nil},
		{"no such process", "b00t\n", "", nil},
		{"cut off", "b00t\n", "7 (ossec-execd) S 1 7", nil},
		{"no name", "b00t\n", "7 ossec-execd S", nil},
		{"brackets the wrong way", "b00t\n", "7 )ossec-execd( S", nil},
		{"no start", "b00t\n", "7 (ossec-execd) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 x 1", nil},
		{"junk", "b00t\n", "\x00\xff", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			compare(t, "found", test.want, lease.FindDaemon("/var/ossec", fakeProc(t, test.boot, test.stat), 7))
		})
	}
}

func TestAlive(t *testing.T) {
	d := &lease.Daemon{Name: "ossec-execd", PID: 7, Start: 4711, Boot: "b00t"}
	for _, test := range []struct {
		name, boot, stat string
		want             bool
	}{
		{"runs", "b00t\n", statLine("ossec-execd", "S", 4711), true},
		{"is busy", "b00t\n", statLine("ossec-execd", "R", 4711), true},
		{"is stopped", "b00t\n", statLine("ossec-execd", "T", 4711), true},
		{"has ended and nobody waited for it", "b00t\n", statLine("ossec-execd", "Z", 4711), false},
		{"is being removed", "b00t\n", statLine("ossec-execd", "X", 4711), false},
		{"is gone", "b00t\n", "", false},
		{"another boot", "b00t2\n", statLine("ossec-execd", "S", 4711), false},
		{"a boot that is not told", "", statLine("ossec-execd", "S", 4711), false},
		{"a later process", "b00t\n", statLine("ossec-execd", "S", 4712), false},
		{"another program", "b00t\n", statLine("sh", "S", 4711), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := d.Alive(fakeProc(t, test.boot, test.stat)); got != test.want {
				t.Errorf("alive: %v, want %v", got, test.want)
			}
		})
	}
}
