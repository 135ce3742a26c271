package control_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/control"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// noon is when the tests take place.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func addr(text string) target.Target { return target.MustParse(text) }

// host is a home with two responses in memory.
type host struct {
	*testing.T
	home       string
	drop, deny *enforcertest.Fake
	kinds      []enforcer.Kind
	out, err   bytes.Buffer
	now        time.Time
	terminal   bool
	input      string
	resolver   app.Resolver
	ssh        string // $SSH_CONNECTION
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{T: t, home: filepath.Join(t.TempDir(), "ossec"), drop: enforcertest.NewFake(), deny: enforcertest.NewFake(), now: noon, resolver: nobody{}}
	for _, dir := range []string{"active-response/bin", "bin", "etc", "logs", "proc", "var"} {
		if err := os.MkdirAll(filepath.Join(h.home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.kinds = []enforcer.Kind{h.drop.Kind("firewall-drop"), h.deny.Kind("host-deny")}
	h.kinds[1].InFile = true
	return h
}

// run runs ossec-ar with words that are parted by blanks.
func (h *host) run(words string) int {
	h.Helper()
	return h.runArgs(strings.Fields(words)...)
}

func (h *host) runArgs(args ...string) int {
	h.Helper()
	h.out.Reset()
	h.err.Reset()
	tool := filepath.Join(h.home, "bin/ossec-ar")
	return control.Main(app.Env{
		Args: append([]string{tool}, args...), Stdin: strings.NewReader(h.input), Stdout: &h.out, Stderr: &h.err,
		StdoutTerminal: h.terminal, NoColor: true, Dir: "/", Now: func() time.Time { return h.now },
		Proc: filepath.Join(h.home, "proc"), Resolver: h.resolver, SSHConnection: h.ssh,
	}, h.kinds...)
}

// does runs ossec-ar and compares the exit status and what it prints.
func (h *host) does(words string, status int, out, err string) {
	h.Helper()
	if got := h.run(words); got != status {
		h.Errorf("%s: exit status %d, want %d", words, got, status)
	}
	for what, pair := range map[string][2]string{"output": {h.out.String(), out}, "errors": {h.err.String(), err}} {
		if pair[0] != pair[1] {
			h.Errorf("%s: %s:\n%s\nwant:\n%s", words, what, pair[0], pair[1])
		}
	}
}

// logged returns what stands in the log, a "STATUS ADDRESS MESSAGE" each, and empties it.
func (h *host) logged() []string {
	h.Helper()
	path := filepath.Join(h.home, "logs/active-responses.log")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		h.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(line, "/active-response/bin/")
		out = append(out, strings.TrimSpace(rest))
	}
	return out
}

func (h *host) wantLog(lines ...string) {
	h.Helper()
	got := strings.Join(h.logged(), "\n")
	if want := strings.Join(lines, "\n"); got != want {
		h.Errorf("log:\n%s\nwant:\n%s", got, want)
	}
}

func (h *host) write(name, text string) {
	h.Helper()
	path := filepath.Join(h.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
}

func (h *host) store(response string) *lease.Store {
	return lease.New(filepath.Join(h.home, "var/active-response"), response)
}

// hold leases an address and blocks it, as a daemon's call does.
func (h *host) hold(response, text string, change func(*lease.Lease)) {
	h.Helper()
	l := lease.Lease{Target: addr(text), Program: response + ".sh", RuleID: "5712", AlertID: "1795422839.8", Since: noon.Add(-time.Hour), Renewed: noon.Add(-time.Hour)}
	if change != nil {
		change(&l)
	}
	if err := h.store(response).Update(func(tx *lease.Tx) error { return tx.Put(l) }); err != nil {
		h.Fatal(err)
	}
	if l.State == lease.Held {
		fake := h.drop
		if response == "host-deny" {
			fake = h.deny
		}
		fake.Put(l.Target)
	}
}

func (h *host) wantBlocked(fake *enforcertest.Fake, want ...string) {
	h.Helper()
	var got []string
	for _, a := range fake.Blocked() {
		got = append(got, a.String())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		h.Errorf("blocked: %v, want %v", got, want)
	}
}

// nobody is a resolver that knows no name.
type nobody struct{}

func (nobody) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("no such host")
}

func TestMistakes(t *testing.T) {
	h := newHost(t)
	for _, test := range []struct{ words, want string }{
		{"lst", "ossec-ar: unknown command \"lst\"\nossec-ar: hint: did you mean list? ossec-ar --help shows them all\n"},
		{"restore", "ossec-ar: unknown command \"restore\"\nossec-ar: hint: did you mean repair? ossec-ar --help shows them all\n"},
		{"xyzzyplugh", "ossec-ar: unknown command \"xyzzyplugh\"\nossec-ar: hint: ossec-ar --help shows them all\n"},
		{"--response host-deny lits", "ossec-ar: unknown command \"lits\"\nossec-ar: hint: did you mean list? ossec-ar --help shows them all\n"},
		{"list --jsno", "ossec-ar: unknown option \"--jsno\"\nossec-ar: hint: did you mean --json? ossec-ar list --help shows them all\n"},
		{"list --response host-dney", "ossec-ar: unknown response \"host-dney\"\nossec-ar: hint: did you mean host-deny? there are firewall-drop, host-deny\n"},
		{"list --response", "ossec-ar: the option --response lacks its value\nossec-ar: hint: ossec-ar list --help\n"},
		{"block", "ossec-ar: block takes ADDRESS...\nossec-ar: hint: ossec-ar block --help\n"},
		{"flush 203.0.113.7", "ossec-ar: flush takes nothing but options, found \"203.0.113.7\"\nossec-ar: hint: ossec-ar flush --help\n"},
		{"show 203.0.113.7 203.0.113.8", "ossec-ar: show takes only ADDRESS, found \"203.0.113.8\" too\nossec-ar: hint: ossec-ar show --help\n"},
		{"unban 203.0.113.0/24", "ossec-ar: 203.0.113.0/24 is a network: only single addresses are blocked\nossec-ar: hint: nothing was done\n"},
		{"block 203.0.113.7 evil.example", "ossec-ar: address \"evil.example\": not an IPv4 or IPv6 address (names are never resolved)\nossec-ar: hint: nothing was done\n"},
		{"block 203.0.113.7 --for soon", "ossec-ar: --for takes how long, found \"soon\"\nossec-ar: hint: write it as 30m, 2h or 7d\n"},
		{"whitelist", "ossec-ar: whitelist takes one of list, test, add, refresh, remove\nossec-ar: hint: as in ossec-ar whitelist list\n"},
		{"whitelist ad x", "ossec-ar: unknown command \"ad\"\nossec-ar: hint: did you mean add? ossec-ar whitelist --help shows them all\n"},
		{"completion csh", "ossec-ar: unknown shell \"csh\"\nossec-ar: hint: did you mean zsh? there are bash, zsh and fish\n"},
		{"watch --interval 5x", "ossec-ar: --interval does not take the value \"5x\"\nossec-ar: hint: ossec-ar watch --help\n"},
		{"configure remove", "ossec-ar: configure takes nothing but options, found \"remove\"\nossec-ar: hint: ossec-ar configure --help\n"},
		{"--home var/ossec list", "ossec-ar: --home takes a full path, found \"var/ossec\"\n"},
	} {
		t.Run(test.words, func(t *testing.T) {
			h.T = t
			h.does(test.words, app.ExitFailed, "", test.want)
		})
	}
	h.T = t
	h.wantLog()
	h.wantBlocked(h.drop)
}

func TestHelp(t *testing.T) {
	h := newHost(t)
	for _, words := range []string{"--help", "help", "", "block --help", "block 203.0.113.7 --help", "help block", "--version", "version", "whitelist --help", "whitelist add --help"} {
		if got := h.run(words); got != app.ExitOK || h.out.Len() == 0 || h.err.Len() > 0 {
			t.Errorf("%q: exit status %d, output %q, errors %q", words, got, h.out.String(), h.err.String())
		}
	}
	h.run("block --help")
	if !strings.Contains(h.out.String(), "ossec-ar block 203.0.113.7 --response host-deny") {
		t.Errorf("no example in %s", h.out.String())
	}
}

func TestBlock(t *testing.T) {
	h := newHost(t)
	h.does("block 203.0.113.7 --for 2h --reason scans", app.ExitOK,
		"Blocked IP: 203.0.113.7 (firewall-drop, until 14:00:00)\n", "")
	h.does("block 203.0.113.8 --response host-deny", app.ExitOK, "Blocked IP: 203.0.113.8 (host-deny)\n", "")
	h.wantLog("firewall-drop add - 203.0.113.7 - - - Blocked IP: 203.0.113.7 (Rule: -) (by hand)",
		"host-deny add - 203.0.113.8 - - - Blocked IP: 203.0.113.8 (Rule: -) (by hand)")
	h.wantBlocked(h.drop, "203.0.113.7")
	h.wantBlocked(h.deny, "203.0.113.8")
	h.does("list 203.0.113.7", app.ExitOK,
		`ADDRESS      STATE    RESPONSE       SINCE     UNTIL     HELD BY   RULE  PACKETS
203.0.113.7  blocked  firewall-drop  12:00:00  14:00:00  ossec-ar  -     -
`, "")
	h.does("block 127.0.0.1 203.0.113.9", app.ExitFailed, "Blocked IP: 203.0.113.9 (firewall-drop)\n",
		"ossec-ar: 127.0.0.1 is not blocked: whitelisted by loopback 127.0.0.0/8 (built in)\n")
	h.drop.FailAddr(addr("203.0.113.10"), errors.New("the table is locked"))
	h.does("block 203.0.113.10", app.ExitFailed,
		"", "ossec-ar: firewall-drop: adding 203.0.113.10: the table is locked\n")
	h.does("list 203.0.113.10", app.ExitOK,
		`ADDRESS       STATE                                              RESPONSE       SINCE     UNTIL  HELD BY   RULE  PACKETS
203.0.113.10  waiting: adding 203.0.113.10: the table is locked  firewall-drop  12:00:00  -      ossec-ar  -     -
`, "")
	h.does("--dry-run block 203.0.113.20", app.ExitOK,
		"would block 203.0.113.20: would keep 203.0.113.20 in memory\n", "")
}

// TestAccounts: a name goes only to the response that is about accounts, an address to no such one.
func TestAccounts(t *testing.T) {
	h := newHost(t)
	locks := enforcertest.NewFake()
	kind := locks.Kind("disable-account")
	kind.Accounts = true
	h.kinds = append(h.kinds, kind)
	const (
		noAddress = "ossec-ar: address \"mallory\": not an IPv4 or IPv6 address (names are never resolved)\n"
		nothing   = "ossec-ar: hint: nothing was done\n"
	)
	h.does("block mallory", app.ExitFailed, "", noAddress+nothing)
	h.does("block 203.0.113.7 mallory", app.ExitFailed, "", noAddress+nothing)
	h.does("block 203.0.113.7 --response disable-account", app.ExitFailed, "",
		"ossec-ar: 203.0.113.7 is an address, and disable-account is about accounts\n"+nothing)
	h.input = "203.0.113.7\n"
	h.does("import - --response disable-account", app.ExitFailed, "",
		"ossec-ar: a list is of addresses, and disable-account is about accounts\n"+nothing)
	h.does("list", app.ExitOK, "nothing is blocked\n", "")

	h.does("block mallory john.doe --response disable-account", app.ExitOK,
		"Locked account: mallory (disable-account)\nLocked account: john.doe (disable-account)\n", "")
	h.does("block 203.0.113.7", app.ExitOK, "Blocked IP: 203.0.113.7 (firewall-drop)\n", "")
	h.does("export", app.ExitOK, "203.0.113.7\n", "")
	h.does("export --response disable-account", app.ExitOK, "john.doe\nmallory\n", "")
	h.does("unban mallory", app.ExitOK, "Unlocked account: mallory (disable-account)\n", "")
	h.does("flush --dry-run --response disable-account", app.ExitOK, "would unblock 1 account (disable-account)\n", "")
	h.does("unban john.doe --response disable-account", app.ExitOK,
		"Unlocked account: john.doe (disable-account)\n", "")
}

func TestUnban(t *testing.T) {
	h := newHost(t)
	h.hold("firewall-drop", "203.0.113.7", nil)
	h.hold("firewall-drop", "203.0.113.7", func(l *lease.Lease) { l.Program = "custom-firewall-drop.sh" })
	h.hold("host-deny", "203.0.113.7", nil)
	h.hold("host-deny", "203.0.113.8", nil)
	h.does("unban 203.0.113.7 203.0.113.99", app.ExitOK,
		"Unblocked IP: 203.0.113.7 (firewall-drop, host-deny)\n203.0.113.99 was not blocked\n", "")
	h.wantLog("firewall-drop delete - 203.0.113.7 - - - Unblocked IP: 203.0.113.7 (by hand)",
		"host-deny delete - 203.0.113.7 - - - Unblocked IP: 203.0.113.7 (by hand)")
	h.wantBlocked(h.drop)
	h.wantBlocked(h.deny, "203.0.113.8")
	h.does("unban 203.0.113.8 --response firewall-drop", app.ExitOK, "203.0.113.8 was not blocked\n", "")
	h.deny.FailAddr(addr("203.0.113.8"), errors.New("the file is locked"))
	h.does("unban 203.0.113.8", app.ExitFailed,
		"", "ossec-ar: 203.0.113.8 could not be freed: host-deny: removing 203.0.113.8: the file is locked\n")
	h.wantLog("host-deny error - 203.0.113.8 - - - Failed: removing 203.0.113.8: the file is locked")
	h.does("list", app.ExitOK, `ADDRESS      STATE    RESPONSE   SINCE     UNTIL  HELD BY       RULE  PACKETS
203.0.113.8  lifting  host-deny  11:00:00  -      host-deny.sh  5712  -
`, "")
}

func TestFlush(t *testing.T) {
	h := newHost(t)
	h.hold("firewall-drop", "203.0.113.7", nil)
	h.hold("host-deny", "203.0.113.8", nil)
	h.hold("host-deny", "203.0.113.9", func(l *lease.Lease) { l.Program = "other" })
	h.drop.Put(addr("203.0.113.70"))
	h.does("flush --program other", app.ExitOK, "Gave up 1 address that other held (host-deny)\n", "")
	h.does("flush --program nobody", app.ExitOK, "nobody holds nothing\n", "")
	h.does("flush --dry-run", app.ExitOK,
		"would unblock 2 addresses (firewall-drop)\nwould unblock 1 address (host-deny)\n", "")
	h.does("flush", app.ExitOK,
		"Unblocked all: 2 addresses (firewall-drop)\nUnblocked all: 1 address (host-deny)\n", "")
	h.wantBlocked(h.drop)
	h.wantBlocked(h.deny)
	h.wantLog("host-deny delete - 203.0.113.9 - - - Unblocked IP: 203.0.113.9 (all of other, by hand)",
		"firewall-drop delete - 203.0.113.7 - - - Unblocked IP: 203.0.113.7 (all, by hand)",
		"firewall-drop delete - 203.0.113.70 - - - Unblocked IP: 203.0.113.70 (all, by hand)",
		"host-deny delete - 203.0.113.8 - - - Unblocked IP: 203.0.113.8 (all, by hand)")
	h.does("list", app.ExitOK, "nothing is blocked\n", "")
}

func TestImport(t *testing.T) {
	h := newHost(t)
	h.write("good.txt", "# a list\n203.0.113.7\n203.0.113.8/32 ; SBL1\n\n2001:db8::1\n203.0.113.7\n127.0.0.1\n")
	h.write("bad.txt", "203.0.113.7\n203.0.113.0/24\nexample.org\n198.51.100.0/24\n")
	h.does("import "+h.home+"/good.txt --for 1d", app.ExitOK,
		"Skipped IP: 127.0.0.1: whitelisted by loopback 127.0.0.0/8 (built in)\nBlocked 3 addresses, skipped 1 (firewall-drop)\n", "")
	lines := h.logged()
	if len(lines) != 1 || lines[0] != "firewall-drop add - - - - - Imported 3 addresses (by hand)" {
		t.Errorf("log: %q", lines)
	}
	if e, err := arlog.Parse("Mon Nov 23 12:00:00 UTC 2026 /var/ossec/active-response/bin/" + lines[0]); err != nil || e.Addr.IsValid() {
		t.Errorf("the line of an import is read as %+v, %v", e, err)
	}
	h.does("export", app.ExitOK, "203.0.113.7\n203.0.113.8\n2001:db8::1\n", "")
	h.does("unimport", app.ExitOK, "Gave up 3 addresses that import held (firewall-drop)\n", "")
	h.wantBlocked(h.drop)

	bad := h.home + "/bad.txt"
	faults := "ossec-ar: " + bad + ":2: 203.0.113.0/24 is a network; networks are not blocked\n" +
		"ossec-ar: " + bad + ":3: address \"example.org\": not an IPv4 or IPv6 address (names are never resolved)\n" +
		"ossec-ar: " + bad + ":4: 198.51.100.0/24 is a network; networks are not blocked\n" +
		"ossec-ar: " + bad + ": left out 2 networks and 1 line without an address\n"
	h.does("import "+bad, app.ExitFailed, "Blocked 1 address, skipped 0 (firewall-drop)\n", faults)
	h.wantBlocked(h.drop, "203.0.113.7")
	h.does("import --skip-invalid "+bad, app.ExitOK, "Blocked 1 address, skipped 0 (firewall-drop)\n", faults)
	h.input = "203.0.113.9\n"
	h.does("import - --response host-deny", app.ExitOK, "Blocked 1 address, skipped 0 (host-deny)\n", "")
	h.does("import "+h.home+"/none", app.ExitFailed,
		"", "ossec-ar: reading the list: open "+h.home+"/none: no such file or directory\n")
}
