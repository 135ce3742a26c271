package respond_test

import (
	"bytes"
	"context"
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
	var all []lease.Lease
	err := lease.New(filepath.Join(h.home, "var/active-response"), "firewall-drop").View(func(tx *lease.Tx) error {
		return tx.All(func(l lease.Lease) error { all = append(all, l); return nil })
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func addrs(a ...target.Target) []target.Target { return a }

var none = []target.Target{}

func TestAddDelete(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1304756247.60385", "5712", "(web) any->/var/log/auth.log", "-")
	h.want("add", 0, addrs(addr7), "firewall-drop.sh add - 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)")
	if h.stdout != "" || h.stderr != "" {
		t.Errorf("a daemon's call prints %q and %q", h.stdout, h.stderr)
	}
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1304756247.60385", "5712")
	h.want("delete", 0, none, "firewall-drop.sh delete - 203.0.113.7 1304756247.60385 5712 - Unblocked IP: 203.0.113.7")
	if left := h.leases(); len(left) != 0 {
		t.Errorf("leases left: %v", left)
	}
}

func TestTwoHolders(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.call("custom-firewall-drop.sh", "add", "-", "203.0.113.7", "1.2", "31103")
	h.logged()
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1.1", "5712")
	h.want("the first lets go", 0, addrs(addr7),
		"firewall-drop.sh skip - 203.0.113.7 1.1 5712 - Skipped IP: 203.0.113.7: still held by custom-firewall-drop.sh (Rule: 31103)")
	h.call("custom-firewall-drop.sh", "delete", "-", "203.0.113.7", "1.2", "31103")
	h.want("the second lets go", 0, none, "custom-firewall-drop.sh delete - 203.0.113.7 1.2 31103 - Unblocked IP: 203.0.113.7")
}

func TestWhitelisted(t *testing.T) {
	h := newHost(t)
	h.write("etc/ossec.conf", "<ossec_config><global><white_list>203.0.113.0/29</white_list></global></ossec_config>\n")
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.want("add", 0, none, "firewall-drop.sh skip - 203.0.113.7 1.1 5712 - Skipped IP: 203.0.113.7: whitelisted by 203.0.113.0/29 ("+h.home+"/etc/ossec.conf:1)")
	h.call("firewall-drop.sh", "add", "-", "127.0.0.1", "1.1", "5712")
	h.want("loopback", 0, none, "firewall-drop.sh skip - 127.0.0.1 1.1 5712 - Skipped IP: 127.0.0.1: whitelisted by loopback 127.0.0.0/8 (built in)")
}

// TestFailedAddWaits: a block that cannot be made is an error, and its lease stays and waits.
func TestFailedAddWaits(t *testing.T) {
	h := newHost(t)
	h.fake.Fail("Block", errors.New("no memory"))
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.want("add", 1, none, "firewall-drop.sh error - 203.0.113.7 1.1 5712 - Failed: no memory")
	if h.stderr != "firewall-drop.sh: no memory\n" {
		t.Errorf("standard error: %q", h.stderr)
	}
	l := h.leases()
	if len(l) != 1 || l[0].State != lease.Waiting || l[0].Reason != "no memory" {
		t.Errorf("leases: %+v, want one that waits", l)
	}
	h.fake.Fail("Block", nil)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.2", "5712")
	h.want("the next add", 0, addrs(addr7), "firewall-drop.sh add - 203.0.113.7 1.2 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)")
	if l := h.leases(); len(l) != 1 || l[0].State != lease.Held {
		t.Errorf("leases: %+v, want one that is held", l)
	}
}

func TestDeleteEndsWaiting(t *testing.T) {
	h := newHost(t)
	h.fake.Fail("Block", errors.New("no memory"))
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1.1", "5712")
	if l := h.leases(); h.status != 0 || len(l) != 0 {
		t.Errorf("exit status %d, leases %+v", h.status, l)
	}
}

// TestFailedDelete: what could not be lifted is not forgotten, and the next delete lifts it.
func TestFailedDelete(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.logged()
	h.fake.Fail("Unblock", errors.New("locked"))
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1.1", "5712")
	h.want("delete", 1, addrs(addr7), "firewall-drop.sh error - 203.0.113.7 1.1 5712 - Failed: locked")
	if l := h.leases(); len(l) != 1 || l[0].State != lease.Lifting {
		t.Errorf("leases: %+v, want one that is being lifted", l)
	}
	h.fake.Fail("Unblock", nil)
	h.call("custom-firewall-drop.sh", "delete", "-", "203.0.113.7", "1.2", "31103")
	h.want("another's delete", 0, none, "custom-firewall-drop.sh delete - 203.0.113.7 1.2 31103 - Unblocked IP: 203.0.113.7")
	if l := h.leases(); len(l) != 0 {
		t.Errorf("leases left: %+v", l)
	}
}

// TestPlaceMadeAgain: the call that has to make the place puts back what others hold.
func TestPlaceMadeAgain(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.fake.LosePlace()
	h.logged()
	h.call("firewall-drop.sh", "add", "-", "203.0.113.8", "1.2", "5712")
	h.want("add", 0, addrs(addr7, addr8), "firewall-drop.sh add - 203.0.113.8 1.2 5712 - Blocked IP: 203.0.113.8 (Rule: 5712)")
}

// TestStateFails: without leases the block is made and lifted all the same, and a warning logged
// once a day.
func TestStateFails(t *testing.T) {
	h := newHost(t)
	h.write("var/active-response", "no folder")
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	lines := h.logged()
	if h.status != 0 || len(lines) != 2 || !strings.HasSuffix(lines[0], "Blocked IP: 203.0.113.7 (Rule: 5712)") ||
		!strings.Contains(lines[1], " warn - 203.0.113.7 1.1 5712 - Warning: ") {
		t.Errorf("exit status %d, logged %q", h.status, lines)
	}
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1.1", "5712")
	if h.status != 0 || len(h.fake.Blocked()) != 0 {
		t.Errorf("delete: exit status %d, blocked %v", h.status, h.fake.Blocked())
	}
}

func TestBrokenSettings(t *testing.T) {
	h := newHost(t)
	h.write("etc/active-response.toml", "[whitelist]\nown_addresses = false\ngateways = false\ndns_servers = false\n[firewal]\n")
	for range 2 {
		h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	}
	var warnings int
	for _, line := range h.logged() {
		if strings.Contains(line, " warn - 203.0.113.7 1.1 5712 - Warning: ") && strings.Contains(line, "firewal") {
			warnings++
		} else if !strings.Contains(line, " Blocked IP: 203.0.113.7") {
			t.Errorf("logged %q", line)
		}
	}
	if warnings != 1 || len(h.fake.Blocked()) != 1 {
		t.Errorf("%d warnings, want one; blocked %v", warnings, h.fake.Blocked())
	}
}

// TestMalformed: requests that cannot be carried out are logged and change nothing.
func TestMalformed(t *testing.T) {
	for _, test := range []struct {
		name  string
		words []string
		line  string
	}{
		{"a host name", []string{"add", "-", "evil.example", "1.1", "5712"},
			`firewall-drop error - - 1.1 5712 - Failed: address "evil.example": not an IPv4 or IPv6 address (names are never resolved)`},
		{"no address", []string{"add", "-", "-", "1.1", "5712"},
			`firewall-drop error - - 1.1 5712 - Failed: no address in the request: the <command> in ossec.conf needs <expect>srcip</expect>, or the alert has none`},
		{"a network", []string{"add", "root", "203.0.113.0/24", "1.1", "5712"},
			`firewall-drop error - - 1.1 5712 - Failed: address "203.0.113.0/24": a network is never blocked, only one address`},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			h.call("firewall-drop", test.words...)
			h.want(test.name, 1, none, test.line)
		})
	}
}

// TestMistakes: what a person mistypes is said to him, in one line, and logged nowhere.
func TestMistakes(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"add", "add takes an address"},
		{"add 203.0.113.0/24", `address "203.0.113.0/24": a network`},
		{"add --dry-run 203.0.113.7", "options stand before the command"},
		{"delete -n 203.0.113.7", "options stand before the command"},
		{"add 203.0.113.7 203.0.113.8", "add takes one address"},
		{"delete 2001:db8::1 203.0.113.8", "delete takes one address"},
	} {
		h := newHost(t)
		h.call("firewall-drop", strings.Fields(test.words)...)
		if h.status != 1 || !strings.Contains(h.stderr, test.want) || strings.Count(h.stderr, "\n") != 1 {
			t.Errorf("%s: exit status %d, standard error %q, want one line with %q", test.words, h.status, h.stderr, test.want)
		}
		h.want(test.words, 1, none)
	}
	for _, words := range []string{"add - 203.0.113.7", "add root 203.0.113.7", "add --dry-run 203.0.113.7 1.1 5712", "add 203.0.113.1 203.0.113.7 1.1 5712"} {
		h := newHost(t)
		h.call("firewall-drop", strings.Fields(words)...)
		if h.status != 0 || len(h.fake.Blocked()) != 1 {
			t.Errorf("%s: exit status %d, blocked %v", words, h.status, h.fake.Blocked())
		}
	}
}

func TestByHand(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop", "delete", "203.0.113.7")
	h.want("deleting what was not blocked", 0, none)
	if h.stdout != "203.0.113.7 was not blocked\n" {
		t.Errorf("said %q", h.stdout)
	}
	h.call("firewall-drop", "--dry-run", "add", "203.0.113.7")
	h.want("dry run", 0, none)
	if !strings.HasPrefix(h.stdout, "would block 203.0.113.7: ") {
		t.Errorf("said %q", h.stdout)
	}
	h.call("firewall-drop", "add", "203.0.113.7")
	h.want("add", 0, addrs(addr7), "firewall-drop add - 203.0.113.7 - - - Blocked IP: 203.0.113.7 (Rule: -) (by hand)")
	if h.stdout != "Blocked IP: 203.0.113.7\n" {
		t.Errorf("said %q", h.stdout)
	}
	h.call("firewall-drop", "--dry-run", "delete", "203.0.113.7")
	if h.stdout != "would unblock 203.0.113.7\n" {
		t.Errorf("said %q", h.stdout)
	}
	h.call("firewall-drop", "delete", "203.0.113.7")
	h.want("delete", 0, none, "firewall-drop delete - 203.0.113.7 - - - Unblocked IP: 203.0.113.7 (by hand)")
}

func TestHelpAndVersion(t *testing.T) {
	for _, words := range []string{"", "help", "--help", "-h"} {
		h := newHost(t)
		h.call("firewall-drop.sh", strings.Fields(words)...)
		if h.status != 0 || !strings.Contains(h.stdout, "\n    firewall-drop.sh add|delete USER IP") || !strings.Contains(h.stdout, `see "ossec-ar help"`) {
			t.Errorf("%q: exit status %d, said %q", words, h.status, h.stdout)
		}
	}
	for _, word := range []string{"version", "--version"} {
		h := newHost(t)
		h.call("firewall-drop", word)
		if h.status != 0 || h.stdout != "firewall-drop version "+app.Version+"\n" {
			t.Errorf("%s: exit status %d, said %q", word, h.status, h.stdout)
		}
	}
}

// TestToolMissing: words that are ossec-ar's are said to be so where it is not installed.
func TestToolMissing(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop", "list")
	if h.status != 1 || !strings.Contains(h.stderr, "ossec-ar") || strings.Count(h.stderr, "\n") != 1 {
		t.Errorf("exit status %d, standard error %q", h.status, h.stderr)
	}
}

const wazuhAdd = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[],` +
	`"alert":{"rule":{"level":10,"id":"5763"},"id":"1669818000.12345","data":{"srcip":"203.0.113.7"}},"program":"active-response/bin/firewall-drop"}}` + "\n"

func TestWazuh(t *testing.T) {
	h := newHost(t)
	h.json("firewall-drop", wazuhAdd+`{"version":1,"command":"continue","parameters":{}}`+"\n")
	h.want("continue", 0, addrs(addr7), "firewall-drop: "+strings.TrimSpace(wazuhAdd))
	question := `{"version":1,"origin":{"name":"firewall-drop","module":"active-response"},"command":"check_keys","parameters":{"keys":["203.0.113.7"]}}` + "\n"
	if h.stdout != question {
		t.Errorf("standard output %q, want %q", h.stdout, question)
	}
	h.json("firewall-drop", wazuhAdd+`{"version":1,"command":"abort","parameters":{}}`+"\n")
	h.want("abort", 0, addrs(addr7), "firewall-drop: Skipped IP: 203.0.113.7: the daemon already holds it")
	h.json("firewall-drop", strings.Replace(wazuhAdd, `"add"`, `"delete"`, 1))
	if h.status != 0 || h.stdout != "" || len(h.fake.Blocked()) != 0 {
		t.Errorf("delete: exit status %d, said %q, blocked %v", h.status, h.stdout, h.fake.Blocked())
	}
}

// TestAbortIsNoProof: the daemon holds the key, and nothing is in force, leased or not: it is
// blocked, and logged.
func TestAbortIsNoProof(t *testing.T) {
	h := newHost(t)
	abort := wazuhAdd + `{"version":1,"command":"abort","parameters":{}}` + "\n"
	blocked := "firewall-drop: " + strings.TrimSpace(wazuhAdd)
	h.json("firewall-drop", abort)
	h.want("nothing leased", 0, addrs(addr7), blocked)
	for _, lose := range []func(){func() { h.fake.Lose() }, h.fake.LosePlace, h.fake.Bypass} {
		lose()
		h.now = h.now.Add(time.Minute)
		h.json("firewall-drop", abort)
		h.want("leased and gone", 0, addrs(addr7), blocked)
	}
	h.json("firewall-drop", abort)
	h.want("leased and in force", 0, addrs(addr7), "firewall-drop: Skipped IP: 203.0.113.7: the daemon already holds it")
	if l := h.leases(); len(l) != 1 || !l[0].Renewed.Equal(h.now) {
		t.Errorf("leases: %+v, want one, renewed at %s", l, h.now)
	}
}

// TestOwnSession: a person does not block where his session comes from; a daemon does.
func TestOwnSession(t *testing.T) {
	h := newHost(t)
	h.ssh = "203.0.113.7 50022 192.0.2.1 22"
	h.call("firewall-drop", "add", "203.0.113.7")
	h.want("by hand", 0, none, "firewall-drop skip - 203.0.113.7 - - - Skipped IP: 203.0.113.7: whitelisted by your SSH session from 203.0.113.7 (built in)")
	h.call("firewall-drop", "add", "-", "203.0.113.7", "1.1", "5712")
	h.want("by a daemon", 0, addrs(addr7), "firewall-drop add - 203.0.113.7 1.1 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)")
}

// TestTimeout: how long Wazuh 5 wants the block is how long it is leased.
func TestTimeout(t *testing.T) {
	h := newHost(t)
	enable := `{"wazuh":{"active_response":{"name":"block-ip","type":"stateful","stateful_timeout":600}},"source":{"ip":"203.0.113.7"},"command":"enable"}` + "\n"
	h.json("firewall-drop", enable+`{"command":"continue"}`+"\n")
	if l := h.leases(); h.status != 0 || len(l) != 1 || !l[0].Until.Equal(h.now.Add(10*time.Minute)) {
		t.Errorf("exit status %d, leases %+v, want one until %s", h.status, l, h.now.Add(10*time.Minute))
	}
}

// TestFieldTakenOut: a delete whose address stood in a field that is no longer asked frees what its alert
// had blocked, and nothing else.
func TestFieldTakenOut(t *testing.T) {
	h := newHost(t)
	request := func(command, id, data string) string {
		return `{"version":1,"command":"` + command + `","parameters":{"alert":{"rule":{"id":"5763"},"id":"` + id + `","data":{` + data + `}}}}` + "\n"
	}
	const goOn = `{"command":"continue"}` + "\n"
	h.json("firewall-drop", request("add", "1.1", `"srcip":"203.0.113.7"`)+goOn)
	h.json("firewall-drop", request("add", "1.2", `"srcip":"203.0.113.8"`)+goOn)
	h.json("firewall-drop", request("delete", "1.3", `"odd":"203.0.113.7"`))
	if h.status != 1 || len(h.fake.Blocked()) != 2 {
		t.Errorf("of an alert that took none: exit status %d, blocked %v", h.status, h.fake.Blocked())
	}
	h.json("firewall-drop", request("delete", "1.1", `"odd":"203.0.113.7"`))
	if h.status != 0 || fmt.Sprint(h.fake.Blocked()) != fmt.Sprint(addrs(addr8)) {
		t.Errorf("exit status %d, blocked %v: %s", h.status, h.fake.Blocked(), h.stderr)
	}
}

func TestDaemonSilent(t *testing.T) {
	h := newHost(t)
	h.json("firewall-drop", wazuhAdd)
	h.want("no answer", 0, addrs(addr7), "firewall-drop: "+strings.TrimSpace(wazuhAdd))
	if !strings.Contains(h.stderr, "no answer to check_keys") {
		t.Errorf("standard error %q", h.stderr)
	}
	h.json("firewall-drop", "no JSON\n")
	if h.status != 1 {
		t.Errorf("malformed: exit status %d", h.status)
	}
}

// TestFullSet: where nothing fits, the address that a dead daemon has held longest makes room.
func TestFullSet(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.8", "1.1", "5712")
	h.fake.Room = 1
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.2", "5712")
	if h.status != 1 || !strings.Contains(h.stderr, enforcer.ErrFull.Error()) {
		t.Errorf("nobody's daemon is gone: exit status %d, %q", h.status, h.stderr)
	}
	store := lease.New(filepath.Join(h.home, "var/active-response"), "firewall-drop")
	err := store.Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: addr8, Program: "firewall-drop.sh", Since: h.now, Renewed: h.now,
			Daemon: &lease.Daemon{Name: "ossec-execd", PID: 1 << 30, Start: 1, Boot: "gone"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.3", "5712")
	if h.status != 0 || fmt.Sprint(h.fake.Blocked()) != fmt.Sprint(addrs(addr7)) {
		t.Errorf("exit status %d, blocked %v; %s", h.status, h.fake.Blocked(), h.stderr)
	}
}

// TestHangs: the deadline of the whole call reaches the enforcer.
func TestHangs(t *testing.T) {
	h := newHost(t)
	h.fake.Before = func(ctx context.Context, _ string, _ ...target.Target) error {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("an enforcer without a deadline")
		}
		return nil
	}
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
}
