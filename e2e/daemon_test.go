package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// role is what the test binary does when it is started by a daemon's name. All daemons have -t, the
// test of a configuration, of which analysisd's is the strict one.
func role(name string) func() {
	_, kind, _ := strings.Cut(name, "-")
	switch test := slices.Contains(os.Args, "-t"); {
	case name == "cron":
		return idle
	case !strings.HasPrefix(name, "ossec-") && !strings.HasPrefix(name, "wazuh-"):
		return nil
	case test && kind == "analysisd":
		return testConf
	case test:
		return func() {}
	case kind == "execd":
		return execdMain
	}
	return idle
}

// idle waits until its standard input ends.
func idle() {
	_, _ = io.Copy(io.Discard, os.Stdin) // it is only waited for
}

// daemons are those of one script.
type daemons struct {
	home      string
	running   []*process
	analysisd *analysisd
	alerts    int
}

type process struct {
	name    string
	cmd     *exec.Cmd
	answers *bufio.Reader
	in      io.Closer
}

type daemonKey struct{}

// daemon plays OSSEC or Wazuh.
//
//	start NAME...                   daemons of the home, one after the other
//	stop|kill NAME...               the same, and all when there are no names
//	restart                         stops all, and starts those that ran
//	alert RULE ADDRESS [KEY=VALUE]  an event, which analysisd may answer with responses
//	order RESPONSE ADDRESS [...]    what an agent gets from its manager, or a person asks for
//	call PROGRAM ARGS...            execd runs just that
//	pass DURATION                   time, for execd
//
// Keys are user, level, location, id; n, for so many events, each with its number in place of
// {} in the address; timeout, which makes an order one of Wazuh 5. With !, an alert or
// order leads to no response, and a call fails.
func daemon(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value(daemonKey{}).(*daemons)
	switch args[0] {
	case "start":
		for _, name := range args[1:] {
			ts.Check(d.start(ts, name))
		}
	case "stop":
		ts.Check(d.end(syscall.SIGTERM, args[1:]))
	case "kill":
		ts.Check(d.end(syscall.SIGKILL, args[1:]))
	case "restart":
		ran := d.running
		ts.Check(d.end(syscall.SIGTERM, nil))
		for _, p := range ran {
			ts.Check(d.start(ts, p.name))
		}
	case "alert", "order":
		responses, err := d.events(args)
		if (err == nil && responses > 0) == neg {
			ts.Fatalf("%d responses, %v", responses, err)
		}
	case "call":
		status, err := d.tell(order{Call: append([]string{filepath.Join(d.home, bin, args[1])}, args[2:]...)})
		ts.Check(err)
		if (status == "0") == neg {
			ts.Fatalf("exit status %s", status)
		}
	case "pass":
		duration, err := time.ParseDuration(args[1])
		ts.Check(err)
		_, err = d.tell(order{Pass: duration})
		ts.Check(err)
	default:
		ts.Fatalf("daemon %s?", args[0])
	}
}

// start puts a daemon into the home and starts it there.
func (d *daemons) start(ts *testscript.TestScript, name string) error {
	const self = "/proc/self/exe" // its name may be one of outside, in a chroot
	path := filepath.Join(d.home, "bin", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := link(self, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	p := &process{name: name, cmd: exec.Command(path)}
	p.cmd.Env = []string{"TZ=UTC"}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.answers = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ts.Defer(func() { // a failed script may have left it
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	d.running = append(d.running, p)
	switch {
	case strings.HasSuffix(name, "-execd"):
		_, err = p.answers.ReadString('\n')
	case strings.HasSuffix(name, "-analysisd"):
		d.analysisd, err = startAnalysisd(d.home, strings.HasPrefix(name, "wazuh"))
	}
	return err
}

// end ends daemons, all without names, and waits for them.
func (d *daemons) end(signal syscall.Signal, names []string) error {
	var left []*process
	for _, p := range d.running {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			left = append(left, p)
			continue
		}
		if err := p.cmd.Process.Signal(signal); err != nil {
			return err
		}
		_ = p.cmd.Wait() // by that signal
	}
	if len(left) == len(d.running) {
		return fmt.Errorf("no %v runs", names)
	}
	d.running = left
	return nil
}

// events sends alerts or orders, waits for what they lead to, and returns how many responses
// that is.
func (d *daemons) events(args []string) (int, error) {
	a := alert{Rule: args[1], Address: args[2], User: "-", Location: "/var/log/auth.log"}
	o := order{Response: args[1]}
	n := 1
	for _, arg := range args[3:] {
		key, value, _ := strings.Cut(arg, "=")
		var err error
		switch key {
		case "user":
			a.User = value
		case "location":
			a.Location = value
		case "rule":
			a.Rule = value
		case "id":
			a.ID = value
		case "level":
			_, err = fmt.Sscan(value, &a.Level)
		case "n":
			_, err = fmt.Sscan(value, &n)
		case "timeout":
			o.Five = true
			o.Timeout, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("key %q", key)
		}
		if err != nil {
			return 0, err
		}
	}
	responses := 0
	for i := range n {
		event := a
		event.Address = strings.ReplaceAll(a.Address, "{}", fmt.Sprintf("%d.%d", i/250, i%250+1))
		if d.alerts++; event.ID == "" {
			event.ID = fmt.Sprintf("1795422839.%d", d.alerts)
		}
		sent, err := d.send(args[0], o, event)
		if responses += sent; err != nil {
			return responses, err
		}
	}
	_, err := d.tell(order{Wait: true})
	return responses, err
}

// send sends one alert to analysisd, or an order to execd.
func (d *daemons) send(kind string, o order, event alert) (int, error) {
	if kind == "alert" {
		return d.analysisd.alert(event)
	}
	o.Alert = event
	return 1, d.write(o)
}

func (d *daemons) write(o order) error {
	execd, err := dialExecd(d.home)
	if err != nil {
		return err
	}
	_, err = execd.Write(encode(o))
	return errors.Join(err, execd.Close())
}

// tell gives execd an order that it answers.
func (d *daemons) tell(o order) (string, error) {
	for _, p := range d.running {
		if strings.HasSuffix(p.name, "-execd") {
			if err := d.write(o); err != nil {
				return "", err
			}
			answer, err := p.answers.ReadString('\n')
			return strings.TrimSpace(answer), err
		}
	}
	return "", errors.New("no execd runs")
}
