package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// host is a place where blocks can stand without others noticing: a network namespace, a
// mount namespace, a home with the programs in it, and a runner inside. What stands there
// goes when the runner ends.
type host struct {
	home   string
	runner *exec.Cmd
	stdin  io.Closer
	orders *json.Encoder
	answer *json.Decoder
}

// newHost makes a host with the programs of bin. The home is below folder.
func newHost(folder, bin string) (h *host, err error) {
	home, err := os.MkdirTemp(folder, "host")
	if err != nil {
		return nil, err
	}
	h = &host{home: home}
	for _, folder := range []string{h.path(""), h.file("bin"), h.file("etc"), h.file("logs")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	programs, err := filepath.Glob(filepath.Join(bin, "*"))
	if err != nil || len(programs) == 0 {
		return nil, errors.Join(err, fmt.Errorf("no programs in %s: run make build first", bin))
	}
	for _, p := range programs {
		link := h.path(filepath.Base(p))
		if filepath.Base(p) == "ossec-ar" {
			link = h.tool()
		}
		if err := os.Symlink(p, link); err != nil {
			return nil, err
		}
	}
	h.runner = exec.Command("/proc/self/exe")
	h.runner.Env = []string{roleVariable + "=runner"}
	h.runner.Stderr = os.Stderr
	// Unshareflags and not Cloneflags, for then Go makes the mounts private.
	h.runner.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	stdin, err := h.runner.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := h.runner.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.stdin, h.orders, h.answer = stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)
	if err := h.runner.Start(); err != nil {
		return nil, fmt.Errorf("in namespaces of its own: %w", err)
	}
	return h, h.do("ip link set lo up")
}

// close ends the runner, and with it the namespaces, and removes the home, where a deliverer of mail
// may be at work for a moment yet.
func (h *host) close() error {
	err := errors.Join(h.stdin.Close(), h.runner.Wait())
	for range 50 {
		if os.RemoveAll(h.home) == nil {
			return err
		}
		time.Sleep(calmTick)
	}
	return errors.Join(err, os.RemoveAll(h.home))
}

// closeAll closes hosts, and joins what goes wrong to an error that there is already.
func closeAll(err *error, hosts ...*host) {
	for _, h := range hosts {
		if h != nil {
			*err = errors.Join(*err, h.close())
		}
	}
}

func (h *host) path(program string) string {
	return filepath.Join(h.home, "active-response/bin", program)
}

func (h *host) tool() string { return h.file("bin/ossec-ar") }

// install copies the peer's scripts to where the programs are, for they make files beside
// them, and returns the place of one.
func (h *host) install(script string) (string, error) {
	folder := h.file("peer/active-response/bin")
	if err := errors.Join(os.CopyFS(folder, os.DirFS(filepath.Dir(script))),
		os.MkdirAll(h.file("peer/logs"), 0o755)); err != nil {
		return "", err
	}
	return filepath.Join(folder, filepath.Base(script)), nil
}

func (h *host) file(name string) string { return filepath.Join(h.home, name) }

// line makes argv of a command line in which HOME and ADDR may stand.
func (h *host) line(command, addr string) []string {
	return strings.Fields(strings.NewReplacer("HOME", h.home, "ADDR", addr).Replace(command))
}

// run runs a command and says what it took; that it fails is an error.
func (h *host) run(args []string) (sample, error) {
	a, err := h.follow(order{Commands: [][]string{args}})
	if err != nil {
		return sample{}, err
	}
	if a.Samples[0].Failed {
		said, _ := os.ReadFile(h.file("errors"))
		return sample{}, fmt.Errorf("%s failed: %s", strings.Join(args, " "), lastOf(string(said), 500))
	}
	return a.Samples[0], nil
}

// do runs command lines; those that begin with a minus may fail.
func (h *host) do(commands ...string) error {
	for _, command := range commands {
		args := h.line(strings.TrimPrefix(command, "-"), "")
		if _, err := h.run(args); err != nil && !strings.HasPrefix(command, "-") {
			return err
		}
	}
	return nil
}

// output returns what a command prints.
func (h *host) output(args []string) (string, error) {
	printed := h.file("output")
	if _, err := h.follow(order{Commands: [][]string{args}, Output: printed}); err != nil {
		return "", err
	}
	text, err := os.ReadFile(printed)
	return string(text), err
}

// follow has the runner do something. Programs are looked for as a daemon would not need
// to, outside the time that is measured.
func (h *host) follow(o order) (account, error) {
	for i, args := range o.Commands {
		found, err := exec.LookPath(args[0])
		if err != nil {
			return account{}, err
		}
		o.Commands[i] = append([]string{found}, args[1:]...)
	}
	o.Errors = h.file("errors")
	var a account
	if err := h.orders.Encode(o); err != nil {
		return a, err
	}
	if err := h.answer.Decode(&a); err != nil {
		return a, fmt.Errorf("the runner: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

var ours = regexp.MustCompile(`\b198\.\d+\.\d+\.\d+\b`)

// looks is how often one looks for blocks that ought to be there: while the kernel makes the
// table of a set of nf_tables larger, just after many came in, a listing leaves some out
// (seen with Linux 6.18: 95,394 of 100,000, and all of them the next time).
const looks = 5

// standing looks for want blocks: the bench's addresses in what commands print. A command
// that fails prints none: there is no set or table then.
func (h *host) standing(commands []string, want int) (map[string]bool, error) {
	found := map[string]bool{}
	for range looks {
		for _, command := range commands {
			text, err := h.output(h.line(command, ""))
			if err != nil {
				return nil, err
			}
			for _, addr := range ours.FindAllString(text, -1) {
				found[addr] = true
			}
		}
		if len(found) >= want {
			break
		}
	}
	return found, nil
}

// list writes addresses into a file of the home, each in a line as format says, between
// head and tail.
func (h *host) list(name, head, format, tail string, addrs []string) (string, error) {
	var b strings.Builder
	b.WriteString(head)
	for _, a := range addrs {
		fmt.Fprintf(&b, format, a)
	}
	b.WriteString(tail)
	return h.file(name), os.WriteFile(h.file(name), []byte(b.String()), 0o644)
}

func lastOf(s string, n int) string { return strings.TrimSpace(s[max(0, len(s)-n):]) }
