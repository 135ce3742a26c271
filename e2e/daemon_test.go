package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// roles are what the test binary does when it is started by another name.
var roles = map[string]func(){
	"ossec-execd": execdMain, "ossec-analysisd": idle, "ossec-agentd": idle, "ossec-logcollector": idle,
	"cron": idle,
}

// idle waits until its standard input ends.
func idle() {
	_, _ = io.Copy(io.Discard, os.Stdin) // it is only waited for
}

// execdMain runs what it is told on standard input, a JSON list of words a line, as a
// daemon would: as its own child, in /, with an almost empty environment. It answers with
// the exit status.
func execdMain() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var argv []string
		if err := json.Unmarshal(lines.Bytes(), &argv); err != nil {
			panic(err)
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = "/"
		cmd.Env = []string{"TZ=UTC"}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		state, err := cmd.Process.Wait()
		if err != nil {
			panic(err)
		}
		fmt.Println(state.ExitCode())
	}
}

// runningDaemon is the stand-in of one script.
type runningDaemon struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

// daemon start|call ARGS...|kill plays ossec-execd; daemon start NAME starts another daemon,
// which only is there.
func daemon(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value(daemonKey{}).(*runningDaemon)
	switch args[0] {
	case "start":
		name := "ossec-execd"
		if len(args) > 1 {
			name, d = args[1], &runningDaemon{}
		}
		ts.Check(startDaemon(ts, d, name))
	case "call":
		argv := append([]string{filepath.Join(ts.Getenv("BIN"), args[1])}, args[2:]...)
		ts.Check(json.NewEncoder(d.orders).Encode(argv))
		status, err := d.answers.ReadString('\n')
		ts.Check(err)
		if (status == "0\n") == neg {
			ts.Fatalf("exit status %s", status)
		}
	case "kill":
		ts.Check(d.cmd.Process.Kill())
		if err := d.cmd.Wait(); err == nil {
			ts.Fatalf("the daemon ended by itself")
		}
	}
}

type daemonKey struct{}

func startDaemon(ts *testscript.TestScript, d *runningDaemon, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	path := filepath.Join(ts.Getenv("HOME_DIR"), "bin", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := link(self, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	d.cmd = exec.Command(path)
	d.cmd.Env = []string{}
	d.cmd.Stderr = os.Stderr
	if d.orders, err = d.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	d.answers = bufio.NewReader(out)
	ts.Defer(func() {
		_ = d.cmd.Process.Kill() // a failed script may have left it
		_ = d.cmd.Wait()
	})
	return d.cmd.Start()
}
