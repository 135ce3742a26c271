package control_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/control"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

func crowd(h *host) {
	h.hold("firewall-drop", "203.0.113.7", nil)
	h.hold("firewall-drop", "203.0.113.7", func(l *lease.Lease) {
		l.Program, l.RuleID, l.Until = "custom-firewall-drop.sh", "31103", noon.Add(30*time.Minute)
	})
	h.hold("host-deny", "203.0.113.7", nil)
	h.hold("firewall-drop", "203.0.113.8", func(l *lease.Lease) { l.State, l.Reason = lease.Waiting, "iptables: resource temporarily unavailable" })
	h.hold("host-deny", "2001:db8::7", func(l *lease.Lease) {
		l.Program, l.Since, l.Reason = "ossec-ar", noon.AddDate(0, 0, -3), "scans\x1b[2J us"
	})
	h.drop.Put(addr("198.51.100.9"))
}

func TestListTerminal(t *testing.T) {
	h := newHost(t)
	crowd(h)
	h.terminal = true
	h.does("list", app.ExitOK, `ADDRESS       STATE              RESPONSE       SINCE         HELD BY
198.51.100.9  not asked for      firewall-drop  -             -
203.0.113.7   blocked            firewall-drop  11:00:00      custom-firewall-..
203.0.113.7   blocked            firewall-drop  11:00:00      firewall-drop.sh
203.0.113.7   blocked            host-deny      11:00:00      host-deny.sh
203.0.113.8   waiting: iptabl..  firewall-drop  11:00:00      firewall-drop.sh
2001:db8::7   blocked            host-deny      Nov 20 12:00  ossec-ar
`, "")
	for line := range strings.Lines(h.out.String()) {
		if n := len(line) - 1; n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestListJSON(t *testing.T) {
	h := newHost(t)
	crowd(h)
	if got := h.run("list --json"); got != app.ExitOK {
		t.Errorf("exit status %d", got)
	}
	const want = `{"version":1,"addresses":[
{"address":"198.51.100.9","response":"firewall-drop","state":"not asked for","leases":[]},
{"address":"203.0.113.7","response":"firewall-drop","state":"blocked","leases":[{"program":"custom-firewall-drop.sh","state":"held","rule":"31103","alert":"1795422839.8","since":"2026-11-23T11:00:00Z","until":"2026-11-23T12:30:00Z"},{"program":"firewall-drop.sh","state":"held","rule":"5712","alert":"1795422839.8","since":"2026-11-23T11:00:00Z"}]},
{"address":"203.0.113.7","response":"host-deny","state":"blocked","leases":[{"program":"host-deny.sh","state":"held","rule":"5712","alert":"1795422839.8","since":"2026-11-23T11:00:00Z"}]},
{"address":"203.0.113.8","response":"firewall-drop","state":"waiting","why":"iptables: resource temporarily unavailable","leases":[{"program":"firewall-drop.sh","state":"waiting","rule":"5712","alert":"1795422839.8","since":"2026-11-23T11:00:00Z","reason":"iptables: resource temporarily unavailable"}]},
{"address":"2001:db8::7","response":"host-deny","state":"blocked","leases":[{"program":"ossec-ar","state":"held","rule":"5712","alert":"1795422839.8","since":"2026-11-20T12:00:00Z","reason":"scans\u001b[2J us"}]}
]}
`
	if h.out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", h.out.String(), want)
	}
	if !json.Valid(h.out.Bytes()) {
		t.Error("it is no JSON")
	}
	h.run("list --json --program nobody")
	if !json.Valid(h.out.Bytes()) {
		t.Errorf("an empty list is no JSON: %s", h.out.String())
	}
}

// A list of nothing says no more than was looked for, and nothing of what could not be read.
func TestListNothing(t *testing.T) {
	h := newHost(t)
	h.does("list", app.ExitOK, "nothing is blocked\n", "")
	crowd(h)
	h.does("list 203.0.113.99", app.ExitOK, "203.0.113.99 is not blocked\n", "")
	h.does("list --program nobody", app.ExitOK, "nothing is held by nobody\n", "")
	h.does("list 203.0.113.7 --program ossec-ar", app.ExitOK, "203.0.113.7 is not held by ossec-ar\n", "")
	h.drop.Fail("List", errors.New("no answer"))
	h.does("list 203.0.113.99", app.ExitFailed, "", "ossec-ar: firewall-drop: no answer\n")
}

func TestShow(t *testing.T) {
	h := newHost(t)
	crowd(h)
	h.write("logs/alerts/alerts.log", "** Alert 1795422839.8: mail  - syslog,sshd,\n2026 Nov 23 08:33:59 web->/var/log/auth.log\nRule: 5712 (level 10) -> 'SSHD brute force'\nSrc IP: 203.0.113.7\nUser: ro\x1bot\nNov 23 08:33:58 web sshd[1]: Failed\n\n")
	h.write("logs/active-responses.log", "Mon Nov 23 08:33:59 UTC 2026 /var/ossec/active-response/bin/firewall-drop.sh add - 203.0.113.7 1795422839.8 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)\n")
	h.run("show 203.0.113.7")
	for _, want := range []string{
		"203.0.113.7\n  firewall-drop: blocked\n    held by custom-firewall-drop.sh since 11:00:00, until 12:30:00, rule 31103, alert 1795422839.8\n",
		"  host-deny: blocked\n    held by host-deny.sh since 11:00:00, rule 5712, alert 1795422839.8\n  not whitelisted\n",
		"  rule 5712 (level 10): SSHD brute force\n  from web /var/log/auth.log\n  user ro\\x1bot\n  | Nov 23 08:33:58 web sshd[1]: Failed\n",
		"log\n  08:33:59  firewall-drop.sh add  Blocked IP: 203.0.113.7 (Rule: 5712)\n",
	} {
		if !strings.Contains(h.out.String(), want) {
			t.Errorf("got:\n%s\nwant in it:\n%s", h.out.String(), want)
		}
	}
	h.run("show 203.0.113.99")
	if want := "203.0.113.99\n  not blocked\n  not whitelisted\n"; !strings.HasPrefix(h.out.String(), want) {
		t.Errorf("got:\n%s\nwant at its head:\n%s", h.out.String(), want)
	}
}

// unscheduled is what "check" and "status" say where nothing runs maintain: a warning, and once something was
// blocked a fault.
const unscheduled = "no line of cron and no timer of systemd runs ossec-ar maintain: " +
	"what somebody flushes stays open, and what is over stays blocked"

func TestStatus(t *testing.T) {
	h := newHost(t)
	h.does("status", app.ExitOK, "ossec-ar devel, home "+h.home+`
daemons:       none runs

firewall-drop  nothing blocked
host-deny      nothing blocked

mail:          nothing waits
maintain:      never ran: see ossec-ar check
last failure:  none
health:        `+unscheduled+`
`, "")
	crowd(h)
	h.write("proc/1/stat", "1 (ossec-execd) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 6000 0\n")
	if err := os.Symlink(filepath.Join(h.home, "bin/ossec-execd"), filepath.Join(h.home, "proc/1/exe")); err != nil {
		t.Fatal(err)
	}
	h.write("logs/active-responses.log", "Mon Nov 23 08:33:59 UTC 2026 /var/ossec/active-response/bin/firewall-drop.sh error - 203.0.113.7 1795422839.8 5712 - Failed: no room\n")
	h.does("status", app.ExitFailed, "ossec-ar devel, home "+h.home+`
daemons:       ossec-execd

firewall-drop  1 blocked, held by firewall-drop.sh 2, custom-firewall-drop.sh 1
               1 could not be blocked: the next maintain tries again
               1 blocked that nothing asks for: ossec-ar repair
host-deny      2 blocked, held by host-deny.sh 1, ossec-ar 1

mail:          nothing waits
maintain:      never ran: see ossec-ar check
last failure:  08:33:59  firewall-drop.sh error  Failed: no room (203.0.113.7)
health:        `+unscheduled+`
`, "")
}

// TestStatusOfFailure: why a response cannot be looked at, in as many parts as it has.
func TestStatusOfFailure(t *testing.T) {
	h := newHost(t)
	h.drop.Fail("List", errors.Join(errors.New("no iptables"), errors.New("no ip6tables")))
	h.run("status")
	if !strings.Contains(h.out.String(), "no iptables; no ip6tables\n") {
		t.Error(h.out.String())
	}
}

// TestListMany: a hundred thousand addresses are listed in little memory and time.
func TestListMany(t *testing.T) {
	if testing.Short() {
		t.Skip("it is long")
	}
	h := newHost(t)
	const many = 100_000
	addrs := make([]target.Target, many)
	a := addr("198.18.0.0")
	err := h.store("firewall-drop").Update(func(tx *lease.Tx) error {
		for i := range addrs {
			addrs[i] = a
			l := lease.Lease{Target: a, Program: "firewall-drop.sh", RuleID: "5712", AlertID: fmt.Sprintf("1795422839.%d", i), Since: noon, Renewed: noon}
			if err := tx.Put(l); err != nil {
				return err
			}
			a = target.Of(a.Addr().Next())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.drop.Put(addrs...)
	runtime.GC()
	began := time.Now()
	if got := h.run("list"); got != app.ExitOK {
		t.Errorf("exit status %d, %s", got, h.err.String())
	}
	t.Logf("%d lines in %s", strings.Count(h.out.String(), "\n"), time.Since(began))
	if got := strings.Count(h.out.String(), "\n"); got != many+1 {
		t.Errorf("%d lines, want %d", got, many+1)
	}
}

func TestCompletion(t *testing.T) {
	h := newHost(t)
	crowd(h)
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"un"}, "unban unimport"},
		{[]string{"unban", "203.0.113.7", "2"}, "203.0.113.7 203.0.113.8 2001:db8::7"},
		{[]string{"unban", "--response", "h"}, "host-deny"},
		{[]string{"list", "--response", "host-deny", "--p"}, "--program"},
		{[]string{"whitelist", "rem"}, "remove"},
		{[]string{"completion", ""}, "bash zsh fish"},
		{[]string{"man", "o"}, "ossec-ar"},
		{[]string{"nonsense", ""}, ""},
	} {
		h.runArgs(append([]string{"__complete"}, test.words...)...)
		if got := strings.Join(strings.Fields(h.out.String()), " "); got != test.want {
			t.Errorf("%q: %s, want %s", test.words, got, test.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := h.run("completion " + shell); got != app.ExitOK || !strings.Contains(h.out.String(), "__complete") {
			t.Errorf("%s: exit status %d, %q", shell, got, h.out.String())
		}
	}
}

// TestMan: each page is there, and that of ossec-ar has all commands and options.
func TestMan(t *testing.T) {
	h := newHost(t)
	for _, page := range []string{"", "ossec-ar", "firewall-drop", "response-stats", "active-response.toml"} {
		got := h.run("man " + page)
		if got != app.ExitOK || !strings.HasPrefix(h.out.String(), ".") || !strings.Contains(h.out.String(), ".SH ") {
			t.Errorf("%q: exit status %d, %q", page, got, h.out.String())
		}
	}
	h.run("man")
	text := strings.ReplaceAll(h.out.String(), `\-`, "-")
	option := regexp.MustCompile(`--[a-z-]+`)
	for _, words := range h.commands() {
		if words == "help" {
			continue // without more it is that of the program
		}
		if !strings.Contains(text, `\fB`+words) {
			t.Errorf("%s is not in the manual", words)
		}
		h.run(words + " --help")
		for _, name := range option.FindAllString(h.out.String(), -1) {
			if name != "--help" && !strings.Contains(text, name) {
				t.Errorf("%s of %s is not in the manual", name, words)
			}
		}
	}
}

// commands returns all that there are, as "whitelist add".
func (h *host) commands() (all []string) {
	h.Helper()
	h.runArgs("__complete", "")
	for name := range strings.FieldsSeq(h.out.String()) {
		h.runArgs("__complete", name, "")
		below := h.out.String()
		if name == "whitelist" || name == "mail" {
			for sub := range strings.FieldsSeq(below) {
				all = append(all, name+" "+sub)
			}
			continue
		}
		if name != "report" { // its options are another program's
			all = append(all, name)
		}
	}
	if len(all) < 20 {
		h.Fatalf("only %q", all)
	}
	return all
}

// TestColumns: every help text and every screen fits a terminal of 80 columns.
func TestColumns(t *testing.T) {
	h := newHost(t)
	short, err := os.MkdirTemp("/tmp", "o")
	if err == nil {
		err = os.Rename(h.home, filepath.Join(short, "ossec"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	h.home = filepath.Join(short, "ossec")
	crowd(h)
	h.hold("firewall-drop", "2001:db8:1111:2222:3333:4444:5555:6666", func(l *lease.Lease) {
		l.Program, l.Until = "custom-firewall-drop-of-ours.sh", noon.AddDate(0, 1, 0)
		l.Reason = "a reason that somebody wrote at length, so that it does not fit into one line"
	})
	h.write("logs/active-responses.log", "Mon Nov 23 08:33:59 UTC 2026 "+
		"/var/ossec/active-response/bin/firewall-drop.sh error - 203.0.113.7 1795422839.8 5712 - "+
		"Failed: adding 203.0.113.7: iptables: resource temporarily unavailable, and more of it\n")
	h.terminal = true
	screens := []string{"--help", "whitelist --help", "mail --help", "status", "list", "list 2001:db8::7", "show 203.0.113.7",
		"show 2001:db8:1111:2222:3333:4444:5555:6666", "check --root " + h.home, "mail queue", "repair --dry-run",
		"whitelist list", "whitelist test 127.0.0.1", "whitelist add 203.0.113.7", "unban --dry-run 203.0.113.7",
		"flush --dry-run", "block --dry-run 203.0.113.9", "version"}
	for _, words := range h.commands() {
		screens = append(screens, words+" --help")
	}
	for _, words := range screens {
		h.run(words)
		if h.out.Len() == 0 {
			t.Errorf("%s: prints nothing, %s", words, h.err.String())
		}
		for line := range strings.Lines(h.out.String()) {
			// What mends is a command to copy.
			if n := utf8.RuneCountInString(line) - 1; n > 80 && !strings.Contains(line, "mend: ") {
				t.Errorf("%s: %d columns: %s", words, n, line)
			}
		}
	}
}

// TestHome: where the tool finds its home.
func TestHome(t *testing.T) {
	h := newHost(t)
	h.hold("firewall-drop", "203.0.113.7", nil)
	tool := filepath.Join(h.home, "bin/ossec-ar")
	for _, test := range []struct {
		name string
		env  app.Env
		args []string
	}{
		{"invoked in its place", app.Env{Args: []string{tool}}, nil},
		{"relative", app.Env{Args: []string{"bin/ossec-ar"}, Dir: h.home}, nil},
		{"by way of a link in PATH", app.Env{Args: []string{"ossec-ar"}, Executable: tool}, nil},
		{"by way of the link", app.Env{Args: []string{"/usr/sbin/ossec-ar"}, Executable: tool}, nil},
		{"OSSEC_HOME", app.Env{Args: []string{"ossec-ar"}, Executable: "/usr/bin/ossec-ar", OssecHome: h.home}, nil},
		{"--home", app.Env{Args: []string{"/usr/bin/ossec-ar"}, OssecHome: "/nowhere"}, []string{"--home", h.home}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			env := test.env
			env.Args = append(append(env.Args, test.args...), "export")
			env.Stdout, env.Stderr, env.Now, env.Proc = &out, io.Discard, func() time.Time { return noon }, "/proc"
			if got := control.Main(env, h.kinds...); got != app.ExitOK || out.String() != "203.0.113.7\n" {
				t.Errorf("exit status %d, %q", got, out.String())
			}
		})
	}
}
