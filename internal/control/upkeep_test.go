package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

func TestRepair(t *testing.T) {
	h := newHost(t)
	h.does("repair", app.ExitOK, "nothing differs\n", "")
	h.hold("firewall-drop", "203.0.113.7", nil)
	h.hold("firewall-drop", "203.0.113.8", nil)
	h.hold("firewall-drop", "127.0.0.1", nil)
	h.drop.Lose(addr("203.0.113.7"))
	h.drop.Put(addr("203.0.113.70"))
	h.deny.Put(addr("203.0.113.71")) // in a file: the administrator's own
	differs := "firewall-drop: 203.0.113.7 should be blocked and is not in force\nfirewall-drop: 203.0.113.70 is blocked and nothing asks for it\n" +
		"firewall-drop: 127.0.0.1 should be blocked but is whitelisted by loopback 127.0.0.0/8 (built in)\n"
	h.does("repair --dry-run", app.ExitFailed, differs, "")
	h.wantLog()
	h.does("repair", app.ExitOK, differs+"firewall-drop: blocked 1 again, freed 2\n", "")
	h.wantLog("firewall-drop add - 203.0.113.7 - - - Blocked IP: 203.0.113.7 (again: it was not in force)",
		"firewall-drop delete - 203.0.113.70 - - - Unblocked IP: 203.0.113.70 (nothing asks for it)",
		"firewall-drop delete - 127.0.0.1 - - - Unblocked IP: 127.0.0.1 (whitelisted by now: loopback 127.0.0.0/8 (built in))")
	h.wantBlocked(h.drop, "203.0.113.7", "203.0.113.8")
	h.wantBlocked(h.deny, "203.0.113.71")
	h.does("repair", app.ExitOK, "nothing differs\n", "")
	h.drop.Lose()
	h.drop.FailAddr(addr("203.0.113.7"), errors.New("no room"))
	if got := h.run("repair"); got != app.ExitFailed || !strings.Contains(h.err.String(), "firewall-drop: adding 203.0.113.7: no room") {
		t.Errorf("exit status %d, errors %q", got, h.err.String())
	}
	h.wantBlocked(h.drop, "203.0.113.8")
}

func TestMaintain(t *testing.T) {
	h := newHost(t)
	h.does("maintain", app.ExitOK, "", "")
	if calls := h.drop.Calls(); len(calls) > 0 {
		t.Errorf("a response that was never used was set up: %v", calls)
	}
	h.hold("firewall-drop", "203.0.113.7", nil)
	h.hold("firewall-drop", "203.0.113.8", func(l *lease.Lease) { l.Until = noon.Add(-time.Second) })
	h.hold("firewall-drop", "203.0.113.9", func(l *lease.Lease) { l.State, l.Reason = lease.Waiting, "no room" })
	h.hold("firewall-drop", "203.0.113.10", func(l *lease.Lease) {
		l.Daemon, l.RuleID = &lease.Daemon{Name: "ossec-execd", PID: 7, Start: 1, Boot: "gone"}, "5720"
	})
	h.write("etc/shared/ar.conf", "firewall-drop600 - firewall-drop.sh - 600\n")
	h.drop.Bypass()
	h.does("maintain", app.ExitOK, "", "")
	h.wantBlocked(h.drop, "203.0.113.7", "203.0.113.9")
	h.wantLog("firewall-drop delete - 203.0.113.8 1795422839.8 5712 - Unblocked IP: 203.0.113.8 (its time is over)",
		"firewall-drop.sh delete - 203.0.113.10 1795422839.8 5720 - Unblocked IP: 203.0.113.10 (expired: the daemon that asked for it is gone)",
		"firewall-drop warn - - - - - Warning: mended: led packets by the place again",
		"firewall-drop add - 203.0.113.9 - - - Blocked IP: 203.0.113.9 (late: it could not be blocked before)")
	h.run("status")
	if want := "maintain:      12:00:00; blocked 1 again, freed 0, ended 2\n"; !strings.Contains(h.out.String(), want) {
		t.Errorf("status: %s\nwant %q in it", h.out.String(), want)
	}
	h.does("maintain", app.ExitOK, "", "")
	h.wantLog()
}

func TestMaintainFails(t *testing.T) {
	h := newHost(t)
	h.hold("firewall-drop", "203.0.113.7", nil)
	h.drop.Lose()
	h.drop.FailAddr(addr("203.0.113.7"), errors.New("no room"))
	for i, log := range [][]string{
		{"firewall-drop warn - - - - - Warning: firewall-drop: adding 203.0.113.7: no room"},
		nil, // the same fault once a day
	} {
		if got := h.run("maintain"); got != app.ExitFailed || h.out.Len() > 0 || !strings.Contains(h.err.String(), "adding 203.0.113.7: no room") {
			t.Errorf("run %d: exit status %d, output %q, errors %q", i, got, h.out.String(), h.err.String())
		}
		h.wantLog(log...)
	}
	h.run("status")
	if want := "failed: firewall-drop: adding 203.0.113.7: no room"; !strings.Contains(h.out.String(), want) {
		t.Errorf("status: %s\nwant %q in it", h.out.String(), want)
	}
}

// TestMaintainMany: what was flushed all at once is one line, not an alert for each address.
func TestMaintainMany(t *testing.T) {
	h := newHost(t)
	for i := range 30 {
		h.hold("firewall-drop", fmt.Sprintf("198.51.100.%d", i), nil)
	}
	h.drop.Lose()
	h.hold("firewall-drop", "203.0.113.9", func(l *lease.Lease) { l.State = lease.Waiting })
	h.does("maintain", app.ExitOK, "", "")
	h.wantLog("firewall-drop add - 203.0.113.9 - - - Blocked IP: 203.0.113.9 (late: it could not be blocked before)",
		"firewall-drop warn - - - - - Warning: mended: blocked 30 addresses again that were not in force")
}

// TestMaintainTwice: of two at once the second does nothing.
func TestMaintainTwice(t *testing.T) {
	h := newHost(t)
	h.hold("firewall-drop", "203.0.113.7", nil)
	h.drop.Lose()
	lock, err := state.Exclusive(filepath.Join(h.home, "var/active-response/maintain.lock"), 0)
	if err != nil {
		t.Fatal(err)
	}
	h.does("maintain", app.ExitOK, "", "")
	h.wantBlocked(h.drop)
	lock.Release()
	h.does("maintain", app.ExitOK, "", "")
	h.wantBlocked(h.drop, "203.0.113.7")
}

func TestCheck(t *testing.T) {
	h := newHost(t)
	t.Setenv("PATH", h.home) // which has no ossec-ar
	h.write("etc/ossec.conf", "<ossec_config><global></global></ossec_config>\n")
	h.hold("host-deny", "203.0.113.7", nil)
	h.deny.Lose()
	if got := h.run("check --json --root " + h.home); got != app.ExitFailed {
		t.Errorf("exit status %d", got)
	}
	var report struct {
		Responses []string
		Rows      []struct{ What, Verdict, Finding, Mend string }
	}
	if err := json.Unmarshal(h.out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if want := []string{"firewall-drop", "host-deny", "email-notification", "chat-notification"}; !slices.Equal(report.Responses, want) {
		t.Errorf("responses %v, want %v", report.Responses, want)
	}
	found := map[string]string{}
	for _, r := range report.Rows {
		found[r.What] = r.Verdict + ": " + r.Finding + ": " + r.Mend
	}
	for what, want := range map[string]string{
		"host-deny leases":        "fault: should be blocked and is not in force: 203.0.113.7: " + h.home + "/bin/ossec-ar repair",
		"firewall-drop":           "skip: nothing on this host uses it: ",
		"cron: ossec-ar maintain": "fault: no line of cron and no timer of systemd runs ossec-ar maintain: what somebody flushes stays open, and what is over stays blocked: echo '* * * * * root " + h.home + "/bin/ossec-ar maintain' > /etc/cron.d/ossec-ar-maintain",
	} {
		if found[what] != want {
			t.Errorf("%s: %q, want %q", what, found[what], want)
		}
	}
}

func TestWhitelist(t *testing.T) {
	h := newHost(t)
	h.write("etc/ossec.conf", "<ossec_config><global><white_list>192.0.2.5</white_list></global></ossec_config>\n")
	h.hold("firewall-drop", "203.0.113.7", nil)
	file := filepath.Join(h.home, "etc/whitelist.d/ossec-ar.list")
	h.does("whitelist test 203.0.113.7", app.ExitFailed, "203.0.113.7 is not whitelisted\n", "")
	h.does("whitelist add 203.0.113.0/24", app.ExitOK, "added 203.0.113.0/24 to "+file+"\n"+
		"203.0.113.7 is blocked by firewall-drop: the next maintain frees it, or ossec-ar unban 203.0.113.7\n", "")
	h.does("whitelist add 203.0.113.0/24", app.ExitOK, "203.0.113.0/24 stands in "+file+" already\n", "")
	h.does("whitelist test 203.0.113.7", app.ExitOK,
		"203.0.113.7 is whitelisted by 203.0.113.0/24 ("+file+":1)\n", "")
	h.run("list")
	if want := "203.0.113.7  whitelisted: 203.0.113.0/24 (" + file + ":1)  firewall-drop"; !strings.Contains(h.out.String(), want) {
		t.Errorf("list: %s\nwant %q in it", h.out.String(), want)
	}
	h.does("whitelist add 203.0.113.0/33", app.ExitFailed, "",
		"ossec-ar: entry \"203.0.113.0/33\": means no address, network or host name: the mask does not fit\n"+
			"ossec-ar: hint: an entry is an address, a network as 192.0.2.0/24, or a host name\n")
	h.write("etc/whitelist.d/ossec-ar.list", "# mine\n203.0.113.0/24 # us\n\n192.0.2.1")
	h.does("whitelist add 192.0.2.2", app.ExitOK, "added 192.0.2.2 to "+file+"\n", "")
	h.does("whitelist add ::/0", app.ExitOK, "added ::/0 to "+file+"\n",
		"ossec-ar: ::/0 covers every IPv6 address: none is blocked any more\nossec-ar: hint: ossec-ar whitelist remove ::/0\n")
	h.does("whitelist remove ::/0", app.ExitOK, "removed ::/0 from "+file+"\n", "")
	h.does("whitelist remove 203.0.113.0/24", app.ExitOK, "removed 203.0.113.0/24 from "+file+"\n", "")
	text, err := os.ReadFile(file)
	if want := "# mine\n\n192.0.2.1\n192.0.2.2\n"; err != nil || string(text) != want {
		t.Errorf("file: %q, %v, want %q", text, err, want)
	}
	h.does("whitelist remove 203.0.113.0/24", app.ExitOK, "203.0.113.0/24 was not on the whitelist\n", "")
	h.does("whitelist remove 192.0.2.5", app.ExitFailed,
		"", "ossec-ar: 192.0.2.5 stands in "+h.home+"/etc/ossec.conf:1 too, which only you can edit\n")
	h.run("whitelist list")
	for _, want := range []string{"192.0.2.2                             " + file + ":4\n", "192.0.2.5                             " + h.home + "/etc/ossec.conf:1\n"} {
		if !strings.Contains(h.out.String(), want) {
			t.Errorf("list: %s\nwant %q in it", h.out.String(), want)
		}
	}
}

// office is a resolver that knows one name.
type office struct{}

func (office) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if name == "office.example.org" {
		return []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// TestWhitelistNames: an added name is asked for at once, and what it was is remembered when the
// name server is silent.
func TestWhitelistNames(t *testing.T) {
	h := newHost(t)
	h.hold("firewall-drop", "203.0.113.7", nil)
	file := filepath.Join(h.home, "etc/whitelist.d/ossec-ar.list")
	h.resolver = office{}
	h.does("whitelist add office.example.org", app.ExitOK,
		"added office.example.org to "+file+"\noffice.example.org is 203.0.113.7, 2001:db8::7\n"+
			"203.0.113.7 is blocked by firewall-drop: the next maintain frees it, or ossec-ar unban 203.0.113.7\n", "")
	h.does("whitelist add gone.example.org", app.ExitOK, "added gone.example.org to "+file+"\n",
		"ossec-ar: gone.example.org has no address now, and so protects nobody\n")
	h.does("whitelist test 203.0.113.7", app.ExitOK,
		"203.0.113.7 is whitelisted by office.example.org ("+file+":1)\n", "")
	h.resolver = nobody{}
	h.does("whitelist refresh", app.ExitOK,
		"office.example.org is 203.0.113.7, 2001:db8::7, as remembered (no such host)\n",
		"ossec-ar: gone.example.org protects nobody yet: no such host\n")
	h.now = h.now.Add(48 * time.Hour)
	h.does("maintain", app.ExitOK, "", "")
	h.wantBlocked(h.drop)
	h.does("block 2001:db8::7", app.ExitFailed,
		"", "ossec-ar: 2001:db8::7 is not blocked: whitelisted by office.example.org ("+file+":1)\n")
	h.write("etc/active-response.toml", "[whitelist]\nresolve_names = false\n")
	h.does("whitelist refresh", app.ExitOK,
		"", "ossec-ar: whitelist.resolve_names is false: host names protect nobody\n")
}

// TestOwnSession: where the administrator's session comes from is blocked only on purpose.
func TestOwnSession(t *testing.T) {
	h := newHost(t)
	h.ssh = "203.0.113.7 50022 192.0.2.1 22"
	refused := "ossec-ar: 203.0.113.7 is not blocked: your SSH session comes from it\nossec-ar: hint: --force blocks it all the same\n"
	h.does("block 203.0.113.7 203.0.113.8", app.ExitFailed, "Blocked IP: 203.0.113.8 (firewall-drop)\n", refused)
	h.wantBlocked(h.drop, "203.0.113.8")
	h.does("block 203.0.113.7 --force", app.ExitOK, "Blocked IP: 203.0.113.7 (firewall-drop)\n", "")
	h.run("flush")
	h.input = "203.0.113.7\n203.0.113.8\n"
	h.run("import -")
	h.wantBlocked(h.drop, "203.0.113.8")
	h.write("etc/active-response.toml", "[whitelist]\nadmin_session = false\n")
	h.does("block 203.0.113.7", app.ExitOK, "Blocked IP: 203.0.113.7 (firewall-drop)\n", "")
}

// TestWhitelistFolder: a folder that others can write in, or a link, is not written to.
func TestWhitelistFolder(t *testing.T) {
	h := newHost(t)
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(h.home, "etc/whitelist.d")); err != nil {
		t.Fatal(err)
	}
	if got := h.run("whitelist add 192.0.2.2"); got != app.ExitFailed || h.err.Len() == 0 {
		t.Errorf("exit status %d, errors %q", got, h.err.String())
	}
	if made, err := os.ReadDir(elsewhere); err != nil || len(made) > 0 {
		t.Errorf("%v was made behind the link (%v)", made, err)
	}
}
