package respond_test

import (
	"strings"
	"testing"
	"time"
)

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

// TestTimeout: how long Wazuh 5 wants the block is how long it is leased.
func TestTimeout(t *testing.T) {
	h := newHost(t)
	enable := `{"wazuh":{"active_response":{"name":"block-ip","type":"stateful","stateful_timeout":600}},"source":{"ip":"203.0.113.7"},"command":"enable"}` + "\n"
	h.json("firewall-drop", enable+`{"command":"continue"}`+"\n")
	if l := h.leases(); h.status != 0 || len(l) != 1 || !l[0].Until.Equal(h.now.Add(10*time.Minute)) {
		t.Errorf("exit status %d, leases %+v, want one until %s", h.status, l, h.now.Add(10*time.Minute))
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
