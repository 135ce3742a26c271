package report

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts the program itself. It is killed after a minute, which no test needs.
func (h *host) start(args ...string) (cmd *exec.Cmd, stdout, stderr *bufio.Reader) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd = exec.Command(self)
	cmd.Args = append([]string{h.args0}, args...)
	cmd.Env = append(os.Environ(), runAt+"="+h.now.Format(time.RFC3339))
	pipe := func(open func() (io.ReadCloser, error)) *bufio.Reader {
		r, err := open()
		if err != nil {
			h.t.Fatal(err)
		}
		return bufio.NewReader(r)
	}
	stdout, stderr = pipe(cmd.StdoutPipe), pipe(cmd.StderrPipe)
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	h.t.Cleanup(func() { late.Stop() })
	return cmd, stdout, stderr
}

// A report that is written to a pipe waits for its reader, until a signal ends it.
func TestReportEndsAtSignal(t *testing.T) {
	h := newHost(t)
	h.write("logs/active-responses.log/x", "", h.now) // it complains of a folder before it writes
	var many strings.Builder                          // more than a pipe holds
	for n := range 3000 {
		many.WriteString(line(h.now, fmt.Sprintf("10.0.%d.%d", n>>8, n&255)))
	}
	h.write("logs/active-responses.log.1", many.String(), h.now)
	cmd, _, stderr := h.start("--date", "today", "--json", "--top", "0")
	if line, err := stderr.ReadString('\n'); err != nil || !strings.Contains(line, "not a plain file") {
		t.Errorf("%v, %q", err, line)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // its state says how
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", cmd.ProcessState)
	}
}
