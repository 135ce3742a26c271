package report

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A request of Wazuh's own programs counts once, and not when it was aborted.
func TestWazuhRequests(t *testing.T) {
	const head = "2026/11/23 10:00:00 active-response/bin/firewall-drop: "
	const request = head + `{"version":1,"command":"add","parameters":{"alert":{"rule":{"id":"1"},"data":{"srcip":"192.0.2.7"}}}}` + "\n"
	const question = head + `{"version":1,"command":"check_keys","parameters":{"keys":["192.0.2.7"]}}` + "\n"
	yes, no := head+`{"command":"continue"}`+"\n", head+`{"command":"abort"}`+"\n"
	started, ended, aborted := head+"Starting\n", head+"Ended\n", head+"Aborted\n"
	other := strings.Replace(request, "bin/firewall-drop", "bin/host-deny", 1)
	plain := line(newHost(t).now, "203.0.113.7")
	for _, test := range []struct {
		name, log string
		want      int
	}{
		{"carried out", started + request + question + yes + ended, 1},
		{"aborted", started + request + question + no + aborted, 0},
		{"aborted in older versions", started + request + question + no + aborted + ended, 0},
		{"aborted, of an address that is known", request + strings.Repeat(plain, 100) + started + request + question + no + aborted, 101},
		{"its end was cut off", started + request + question, 1},
		{"ours", request, 1},
		{"ours, thrice", request + request + request, 3},
		{"two programs at once", started + request + other + question + no + aborted, 1},
		{"aborted, then carried out", started + request + no + aborted + started + request + yes + ended, 1},
		{"its beginning was cut off", question + no + aborted + request, 1},
	} {
		h := newHost(t)
		h.write("logs/active-responses.log", test.log, time.Time{})
		if got := blocksIn(t, h.must("--date", "today")); got != test.want {
			t.Errorf("%s: %d blocks, want %d", test.name, got, test.want)
		}
	}
}

// A line without an address says that the request before it was carried out, also where
// the line itself is not asked for.
func TestNoAddressAfterRequest(t *testing.T) {
	h := newHost(t)
	plain := line(h.now.Add(-time.Hour), "203.0.113.7")
	head := h.now.Add(-time.Hour).Format("2006/01/02 15:04:05") + " active-response/bin/firewall-drop: "
	request := head + `{"version":1,"command":"add","parameters":{"alert":{"rule":{"id":"1"},"data":{"srcip":"192.0.2.7"}}}}` + "\n"
	for text, want := range map[string]int{
		request + head + "Aborted\n": 0,
		request + strings.Replace(plain, "203.0.113.7 ", "203.0.113.777 ", 1) + head + "Aborted\n": 1,
	} {
		h.write("logs/active-responses.log", plain+plain+text+strings.Repeat(plain, 5), time.Time{})
		if got := blocksIn(t, h.must("--date", "today", "--rule", "1")); got != want {
			t.Errorf("%d blocks, want %d, in\n%s", got, want, text)
		}
	}
}

// What blocks no address is counted apart.
func TestOtherPrograms(t *testing.T) {
	h := newHost(t)
	stamp := h.now.Add(-time.Hour).Format("Mon Jan _2 15:04:05 MST 2006")
	var log strings.Builder
	for _, called := range []string{
		"firewall-drop.sh add - 203.0.113.7 1795404477.1 5712",
		"ossec-slack.sh add - 203.0.113.8 1795404477.1 5712",
		"ossec-slack.sh add - 203.0.113.8 1795404477.2 5712",
		"email-notification.sh add - 203.0.113.8 1795404477.2 5712",
		"restart-ossec.sh add - null (from_the_server) (no_rule_id)",
		"disable-account.sh add root 203.0.113.9 1795404477.1 5720",
		"disable-account.sh add admin - 1795404477.1 5720",
		"disable-account.sh delete admin - 1795404477.1 5720",
		"disable-account add - - 1795404477.1 5720 - Locked account: ftp (Rule: 5720)",
	} {
		fmt.Fprintf(&log, "%s /var/ossec/active-response/bin/%s\n", stamp, called)
	}
	fmt.Fprintf(&log, "%s active-response/bin/restart.sh agent\n", stamp)
	fmt.Fprintf(&log, `2026/11/23 22:59:00 active-response/bin/disable-account: {"version":1,"command":"add","parameters":{"alert":{"id":"1.2","rule":{"id":"5720"},"data":{"dstuser":"root"}}}}`+"\n")
	h.write("logs/active-responses.log", log.String(), h.now)
	out := h.must("--date", "today")
	for _, want := range []string{
		"Total blocks today: 1\n", "Most blocked IPs today:\n      1 203.0.113.7\n\n", "Accounts: 4 locked, 1 unlocked\n",
		"By response:\n      1 firewall-drop.sh\n      0 disable-account (2 locked)\n      0 disable-account.sh (2 locked, 1 unlocked)\n",
		"Other programs:\n      2 ossec-slack.sh\n      1 email-notification.sh\n      1 restart-ossec.sh\n      1 restart.sh\n",
		"By rule:\n      1 5712\n",
	} {
		if !strings.Contains(out, want) || strings.Contains(out, "could not be read") {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	metrics := h.must("--date", "today", "--metrics")
	if strings.Contains(metrics, "slack") || !strings.Contains(metrics, "\nossec_ar_accounts_locked 4\n") {
		t.Errorf("%s", metrics)
	}
}

// ossec-ar logs by the response's name, whoever blocked: a block ends with it.
func TestByHand(t *testing.T) {
	h := newHost(t)
	at := func(minutes int) string {
		return h.now.Add(time.Duration(minutes)*time.Minute).Format("Mon Jan _2 15:04:05 MST 2006") + " /var/ossec/active-response/bin/"
	}
	h.write("logs/active-responses.log", at(-60)+"custom-firewall-drop.sh add - 203.0.113.7 1795404477.1 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)\n"+
		at(-50)+"host-deny.sh add - 203.0.113.7 1795404477.1 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)\n"+
		at(-40)+"firewall-drop delete - 203.0.113.7 - - - Unblocked IP: 203.0.113.7 (by hand)\n"+
		at(-30)+"firewall-drop add - 203.0.113.8 - - - Blocked IP: 203.0.113.8 (by hand)\n"+
		at(-20)+"firewall-drop delete - 203.0.113.8 - - - Unblocked IP: 203.0.113.8 (all of ossec-ar, by hand)\n"+
		at(-10)+"firewall-drop add - 203.0.113.9 (from_the_server) (no_rule_id)\n"+
		at(-5)+"route-null add - - - - - Imported 1234 addresses (by hand)\n", h.now)
	out := h.must("--date", "today")
	for _, want := range []string{"Total blocks today: 4\n", "Total unblocks today: 2\n",
		"By hand: 2 blocked, 2 unblocked, 1234 imported\n",
		"Blocks that ended: 2, lasting 10m in the median, 20m at the longest (203.0.113.7)\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
