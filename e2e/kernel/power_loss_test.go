package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// forever adds entries and takes some out again, several at once, until it is killed.
const forever = `while :; do for i in $(seq 250); do
	"$1" add - 203.0.113.$i 1.1 5712
	if [ $((i % 12)) = 0 ]; then
		for j in 1 2 3 4 5; do "$1" delete - 203.0.113.$(((i + 50 * j) * 7 % 250 + 1)) 1.1 5712 & done
		wait
	fi
done; done`

// TestPowerLossHostDeny: what a disk holds at any moment, without what the kernel has not written
// yet, is a hosts.deny of whole lines, each with a lease. (NUL bytes at its end would be harmless,
// but are not to be: see fitsBehind in internal/linefile.)
func TestPowerLossHostDeny(t *testing.T) {
	const losses = 20
	if !Isolated(t) {
		return
	}
	needRoot(t, "a disk of its own is a loop device")
	disk := t.TempDir()
	must(t, syscall.Mount("disk", disk, "tmpfs", 0, ""))
	defer func() { must(t, syscall.Unmount(disk, syscall.MNT_DETACH)) }()
	image, live, after := filepath.Join(disk, "image"), filepath.Join(disk, "live"),
		filepath.Join(disk, "after")
	setUp := fmt.Sprintf("truncate -s 16M %[1]s && mkfs.ext4 -q -F %[1]s && mkdir %[2]s %[3]s && "+
		"mount -o loop,commit=1 %[1]s %[2]s", image, live, after)
	if out, err := exec.Command("/bin/sh", "-c", setUp).CombinedOutput(); err != nil {
		t.Skipf("no disk of its own: %v, %s", err, out)
	}
	var here Host
	defer func() { here.Run(t, "umount", "-l", live) }()
	bin := buildPrograms(t)
	program := filepath.Join(live, "ossec/active-response/bin/host-deny")
	must(t, errors.Join(os.MkdirAll(filepath.Dir(program), 0o755),
		os.Mkdir(filepath.Join(live, "ossec/logs"), 0o755),
		os.Mkdir(filepath.Join(live, "ossec/bin"), 0o755),
		os.Symlink(filepath.Join(bin, "host-deny"), program),
		os.Symlink(filepath.Join(home(bin), "bin/ossec-ar"), filepath.Join(live, "ossec/bin/ossec-ar"))))
	hosts := filepath.Join(live, "hosts.deny")
	configure(t, filepath.Dir(program), fmt.Sprintf("[host_deny]\nfile = %q\n", hosts))
	plain := "ALL: PARANOID\n" + strings.Repeat("# the administrator's\n", 200)
	must(t, os.WriteFile(hosts, []byte(plain), 0o644))
	syscall.Sync()

	cmd := exec.Command("/bin/sh", "-c", forever, "sh", program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	group := -cmd.Process.Pid
	defer func() {
		must(t, syscall.Kill(group, syscall.SIGKILL))
		_ = cmd.Wait() // "signal: killed"
	}()
	lines := 0
	for range losses {
		// At any moment: nothing is waited for, and an event would come at the same step of a call each time.
		time.Sleep(rand.N(250 * time.Millisecond))
		must(t, syscall.Kill(group, syscall.SIGSTOP))
		here.Run(t, "cp", image, image+".lost")
		must(t, syscall.Kill(group, syscall.SIGCONT))
		here.Run(t, "mount", "-o", "loop", image+".lost", after)
		lines += wantWhole(t, after, plain)
		here.Run(t, "umount", after)
	}
	if t.Logf("%d lines after %d losses", lines, losses); lines == 0 {
		t.Error("no line was ever there")
	}
}

// wantWhole checks hosts.deny on a disk, and returns how many entries it has.
func wantWhole(t *testing.T, disk, plain string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(disk, "hosts.deny"))
	entries, whole := bytes.CutPrefix(content, []byte(plain))
	if err != nil || !whole || len(entries) > 0 && !bytes.HasSuffix(entries, []byte("\n")) {
		t.Fatalf("hosts.deny: %v, %q", err, content)
	}
	found := states(t, filepath.Join(disk, "ossec/active-response/bin/host-deny"))
	n := 0
	for line := range strings.Lines(string(entries)) {
		addr, _ := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "ALL:")
		if state, listed := found[addr]; !listed || state == "not asked for" {
			t.Errorf("line %q is no entry that somebody leases (%q)", line, state)
		}
		n++
	}
	return n
}
