package kernel

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStateOfWazuh: an account that may write in var, as Wazuh's daemons may, makes no block forgotten by
// taking the state away there, and none remembered by bringing one back.
func TestStateOfWazuh(t *testing.T) {
	const account = 54321
	if !Isolated(t) {
		return
	}
	needRoot(t, "the daemons' account is another user")
	program := filepath.Join(buildPrograms(t), "route-null.sh")
	configure(t, filepath.Dir(program), "")
	h := homeOf(program)
	passable(t, h)
	above := filepath.Join(h, "var")
	must(t, errors.Join(os.MkdirAll(above, 0o770), os.Chmod(above, 0o770)))
	must(t, os.Chown(above, 0, account))
	asAccount := func(script string) {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-c", script, "sh", above)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: account, Gid: account}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	upkeep := func(want int) {
		t.Helper()
		shell(t, h+"/bin/ossec-ar maintain >/dev/null 2>&1 || true")
		if got := inForce(t, program); got != want {
			t.Errorf("%d are in force, want %d", got, want)
		}
	}
	respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
	asAccount(`cd "$1" && if [ -e active-response ]; then mv active-response old; fi`)
	upkeep(1)
	respond(t, program, "delete", "-", "203.0.113.7", "1.1", "5712")
	asAccount(`cd "$1" && if [ -e old ]; then mv active-response new && mv old active-response; fi`)
	upkeep(0)

	// A mode that is corrected later does not make what is blocked forgotten.
	respond(t, program, "add", "-", "203.0.113.8", "1.2", "5712")
	must(t, errors.Join(os.Chmod(above, 0o750), os.MkdirAll(filepath.Join(above, "active-response"), 0o700)))
	upkeep(1)

	// A folder above, which others may write in, is named.
	const system = "/var/lib/ossec-ar"
	must(t, errors.Join(os.Chmod(above, 0o770), os.Chmod(system, 0o777)))
	var here Host
	if out, err := here.Try(t, tool(program, "check")); err == nil ||
		!strings.Contains(out, system+" could be changed by others than root") {
		t.Errorf("check: %v, does not name %s:\n%s", err, system, out)
	}
}
