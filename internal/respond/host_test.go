package respond_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/respond"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var (
	addr7 = target.MustParse("203.0.113.7")
	addr8 = target.MustParse("203.0.113.8")
)

// host is a home with one response on a fake enforcer.
type host struct {
	t    *testing.T
	home string
	fake *enforcertest.Fake
	kind enforcer.Kind
	now  time.Time

	parent         int    // process that calls; 0 is nobody's
	ssh            string // $SSH_CONNECTION
	status         int
	stdout, stderr string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, home: filepath.Join(t.TempDir(), "ossec"), fake: enforcertest.NewFake(),
		now: time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC)}
	h.kind = h.fake.Kind("firewall-drop")
	// Whatever the machine that runs the tests has for addresses is no part of them.
	h.write("etc/active-response.toml", "[whitelist]\nown_addresses = false\ngateways = false\ndns_servers = false\n")
	return h
}

func (h *host) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// call runs the response with words.
func (h *host) call(name string, words ...string) { h.run(name, "", true, words...) }

// json runs the response with standard input.
func (h *host) json(name, stdin string) { h.run(name, stdin, false) }

func (h *host) run(name, stdin string, terminal bool, words ...string) {
	h.t.Helper()
	var stdout, stderr bytes.Buffer
	h.status = respond.Main(app.Env{
		Args:  append([]string{filepath.Join(h.home, "active-response/bin", name)}, words...),
		Stdin: strings.NewReader(stdin), StdinTerminal: terminal, Stdout: &stdout, Stderr: &stderr,
		Dir: "/", Now: func() time.Time { return h.now }, ParentPID: h.parent, Proc: "/proc", SSHConnection: h.ssh,
	}, h.kind)
	h.stdout, h.stderr = stdout.String(), stderr.String()
}

// want checks the exit status of the last call, what is blocked, and the lines that were logged
// since the last want, without date and folder.
func (h *host) want(step string, status int, blocked []target.Target, lines ...string) {
	h.t.Helper()
	if h.status != status {
		h.t.Errorf("%s: exit status %d, want %d; standard error:\n%s", step, h.status, status, h.stderr)
	}
	if d := cmp.Diff(fmt.Sprint(blocked), fmt.Sprint(h.fake.Blocked())); d != "" {
		h.t.Errorf("%s: blocked (-want +got):\n%s", step, d)
	}
	if d := cmp.Diff(lines, h.logged()); d != "" {
		h.t.Errorf("%s: logged (-want +got):\n%s", step, d)
	}
}

func (h *host) logged() []string {
	h.t.Helper()
	path := filepath.Join(h.home, "logs/active-responses.log")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		_, rest, found := strings.Cut(line, "active-response/bin/")
		if !found {
			h.t.Errorf("log line without a program: %s", line)
		}
		lines = append(lines, strings.TrimSuffix(rest, "\n"))
	}
	if err := os.Remove(path); err != nil {
		h.t.Fatal(err)
	}
	return lines
}

func (h *host) leases() []lease.Lease {
	h.t.Helper()
	all, err := lease.New(filepath.Join(h.home, "var/active-response"), "firewall-drop").All()
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func addrs(a ...target.Target) []target.Target { return a }

var none = []target.Target{}
