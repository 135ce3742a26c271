package respond_test

import (
	"fmt"
	"testing"
)

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

const wazuhAdd = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[],` +
	`"alert":{"rule":{"level":10,"id":"5763"},"id":"1669818000.12345","data":{"srcip":"203.0.113.7"}},"program":"active-response/bin/firewall-drop"}}` + "\n"

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
