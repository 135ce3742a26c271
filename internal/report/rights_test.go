package report

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who is not root reports what the group may read, and no zeros where that is nothing.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	h := newHost(t)
	h.write("logs/active-responses.log", line(h.now, "203.0.113.1"), h.now)
	h.write("var/active-response/x", "", h.now)
	const nobody = 65534
	if err := errors.Join(os.Chmod(filepath.Dir(filepath.Dir(h.home)), 0o755), os.Chmod(h.home+"/var/active-response", 0o700),
		os.Chown(h.home+"/logs", 0, nobody), os.Chmod(h.home+"/logs", 0o750)); err != nil {
		t.Fatal(err)
	}
	report := func() (status int, stdout, stderr string) {
		cmd := exec.Command("/proc/self/exe") // whatever folder it lies in
		cmd.Args = []string{h.args0, "--date", "today"}
		cmd.Env = append(os.Environ(), runAt+"="+h.now.Format(time.RFC3339))
		var out, err bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &err
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String(), err.String()
	}
	status, out, stderr := report()
	if status != 0 || stderr != "" || blocksIn(t, out) != 1 || !strings.HasSuffix(out, "\nNote: what is in force now is for root to read\n\n") {
		t.Errorf("status %d, %q\n%s", status, stderr, out)
	}
	if err := os.Chmod(h.home+"/logs", 0o700); err != nil {
		t.Fatal(err)
	}
	status, out, stderr = report()
	if status != 1 || out != "" || strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, "permission denied\n") || !strings.HasSuffix(stderr, "hint: run it as root\n") {
		t.Errorf("status %d, %q\n%s", status, stderr, out)
	}
}

// A block without a rule has "(none)" in every form.
func TestNoRule(t *testing.T) {
	h := newHost(t)
	h.write("logs/active-responses.log", strings.Replace(line(h.now, "203.0.113.1"), " 5712 ", " - ", 1), h.now)
	for _, form := range []string{"--top=10", "--json", "--csv", "--html", "--metrics"} {
		if out := h.must("--date", "today", form); !strings.Contains(out, "(none)") {
			t.Errorf("%s:\n%s", form, out)
		}
	}
	if out := h.must("--date", "today", "--rule", "(none)"); blocksIn(t, out) != 1 {
		t.Errorf("%s", out)
	}
}
