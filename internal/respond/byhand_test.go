package respond_test

import (
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

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

// TestDryDeleteInNetwork: a dry run says what the deletion then does, also where a network is blocked.
func TestDryDeleteInNetwork(t *testing.T) {
	h := newHost(t)
	h.write("etc/active-response.toml", "[block]\nipv6_prefix = 64\n"+
		"[whitelist]\nown_addresses = false\ngateways = false\ndns_servers = false\n")
	h.call("firewall-drop", "add", "2001:db8::7")
	h.call("firewall-drop", "--dry-run", "delete", "2001:db8::7")
	if h.stdout != "would unblock 2001:db8::7\n" {
		t.Errorf("held by this program alone: said %q", h.stdout)
	}
	h.call("firewall-drop", "add", "2001:db8::8")
	held := "still held by others for 2001:db8::/64\n"
	h.call("firewall-drop", "--dry-run", "delete", "2001:db8::7")
	if h.stdout != "would not unblock 2001:db8::7: "+held {
		t.Errorf("held for another address: said %q", h.stdout)
	}
	h.call("firewall-drop", "delete", "2001:db8::7")
	if !strings.HasSuffix(h.stdout, held) || len(h.fake.Blocked()) != 1 {
		t.Errorf("deleted: said %q, blocked %v", h.stdout, h.fake.Blocked())
	}
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

// TestOwnSession: a person does not block where his session comes from; a daemon does.
func TestOwnSession(t *testing.T) {
	h := newHost(t)
	h.ssh = "203.0.113.7 50022 192.0.2.1 22"
	h.call("firewall-drop", "add", "203.0.113.7")
	h.want("by hand", 0, none, "firewall-drop skip - 203.0.113.7 - - - Skipped IP: 203.0.113.7: whitelisted by your SSH session from 203.0.113.7 (built in)")
	h.call("firewall-drop", "add", "-", "203.0.113.7", "1.1", "5712")
	h.want("by a daemon", 0, addrs(addr7), "firewall-drop add - 203.0.113.7 1.1 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)")
}
