package arlog_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const bin = "/var/ossec/active-response/bin/"

// read is what a test compares of a line.
type read struct {
	Time, Program, Status, Addr, Alert, Rule, Message, Step string
	Entry                                                   bool
}

func parse(t *testing.T, zone, line string) read {
	t.Helper()
	p := arlog.Parser{Location: location(t, zone)}
	f, err := p.Parse(line)
	r := read{
		Program: f.Program, Status: string(f.Status), Alert: f.AlertID, Rule: f.RuleID,
		Message: f.Message, Step: string(f.Step), Entry: err == nil,
	}
	if !f.Time.IsZero() {
		r.Time = f.Time.UTC().Format(time.RFC3339)
	}
	if f.Addr.IsValid() {
		r.Addr = f.Addr.String()
	}
	return r
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, line string
		want       read
	}{
		{"ours", "Mon Nov 23 03:27:57 UTC 2026 " + bin + "firewall-drop.sh add - 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)",
			read{"2026-11-23T03:27:57Z", bin + "firewall-drop.sh", "add", "203.0.113.7", "1304756247.60385", "5712", "Blocked IP: 203.0.113.7 (Rule: 5712)", "", true}},
		{"the day with one digit", "Mon Nov  2 03:27:57 UTC 2026 " + bin + "host-deny delete - 2001:db8::1 - - - Unblocked IP: 2001:db8::1",
			read{"2026-11-02T03:27:57Z", bin + "host-deny", "delete", "2001:db8::1", "", "", "Unblocked IP: 2001:db8::1", "", true}},
		{"failed without an address", "Mon Nov  2 03:27:57 UTC 2026 " + bin + "host-deny error - - - - - Failed: no address",
			read{"2026-11-02T03:27:57Z", bin + "host-deny", "error", "", "", "", "Failed: no address", "", true}},
		{"a warning", "Mon Nov  2 03:27:57 UTC 2026 " + bin + "host-deny warn - 192.0.2.1 - - - Warning: reading the whitelist",
			read{"2026-11-02T03:27:57Z", bin + "host-deny", "warn", "192.0.2.1", "", "", "Warning: reading the whitelist", "", true}},
		{"a program by its bare name", "Mon Nov  2 03:27:57 UTC 2026 host-deny add - 192.0.2.1 - -",
			read{"2026-11-02T03:27:57Z", "host-deny", "add", "192.0.2.1", "", "", "", "", true}},
		{"stock script", "Mon Nov 23 04:27:57 CET 2026 " + bin + "host-deny.sh add root 203.0.113.7 1304756247.60385 5712",
			read{"2026-11-23T03:27:57Z", bin + "host-deny.sh", "add", "203.0.113.7", "1304756247.60385", "5712", "", "", true}},
		{"stock script, en_GB", "Mon 23 Nov 04:27:57 CET 2026 " + bin + "host-deny.sh add - 203.0.113.7 1.2 5712",
			read{"2026-11-23T03:27:57Z", bin + "host-deny.sh", "add", "203.0.113.7", "1.2", "5712", "", "", true}},
		{"stock script, en_US", "Mon Nov 23 04:27:57 PM CET 2026 " + bin + "host-deny.sh add - 203.0.113.7 1.2 5712",
			read{"2026-11-23T15:27:57Z", bin + "host-deny.sh", "add", "203.0.113.7", "1.2", "5712", "", "", true}},
		{"a zone of elsewhere counts as local", "Mon Nov 23 04:27:57 JST 2026 " + bin + "host-deny.sh add - 203.0.113.7 1.2 5712",
			read{"2026-11-23T03:27:57Z", bin + "host-deny.sh", "add", "203.0.113.7", "1.2", "5712", "", "", true}},
		{"a zone that is an offset", "Mon Nov 23 04:27:57 +0545 2026 " + bin + "host-deny.sh add - 203.0.113.7 1.2 5712",
			read{"2026-11-22T22:42:57Z", bin + "host-deny.sh", "add", "203.0.113.7", "1.2", "5712", "", "", true}},
		{"the repeated hour, first", "Sun Oct 25 02:30:00 CEST 2026 " + bin + "host-deny.sh add - 203.0.113.7 1.2 5712",
			read{"2026-10-25T00:30:00Z", bin + "host-deny.sh", "add", "203.0.113.7", "1.2", "5712", "", "", true}},
		{"the repeated hour, again", "Sun Oct 25 02:30:00 CET 2026 " + bin + "host-deny.sh add - 203.0.113.7 1.2 5712",
			read{"2026-10-25T01:30:00Z", bin + "host-deny.sh", "add", "203.0.113.7", "1.2", "5712", "", "", true}},
		{"a stock script called for a user", "Mon Nov 23 04:27:57 CET 2026 " + bin + "disable-account.sh add root - 1.2 5712",
			read{"2026-11-23T03:27:57Z", bin + "disable-account.sh", "add", "", "1.2", "5712", "", "", true}},
		{"a locked account", "Mon Nov 23 03:27:57 UTC 2026 " + bin + "disable-account add - - 1.2 5712 - Locked account: root (Rule: 5712)",
			read{"2026-11-23T03:27:57Z", bin + "disable-account", "add", "", "1.2", "5712", "Locked account: root (Rule: 5712)", "", true}},
		{"a stock script called for nobody", "Mon Nov 23 03:27:57 UTC 2026 " + bin + "restart-ossec.sh add - null (from_the_server) (no_rule_id)",
			read{Time: "2026-11-23T03:27:57Z", Program: bin + "restart-ossec.sh", Alert: "(from_the_server)", Rule: "(no_rule_id)", Step: "no address"}},
		{"Wazuh's restart", "Mon Nov 23 03:27:57 UTC 2026 active-response/bin/restart.sh agent",
			read{Time: "2026-11-23T03:27:57Z", Program: "active-response/bin/restart.sh", Step: "no address"}},
		{"a mapped address", "Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - ::ffff:192.0.2.1 1.2 5712",
			read{"2026-11-23T03:27:57Z", bin + "x", "add", "192.0.2.1", "1.2", "5712", "", "", true}},
		{"after a crash", "\x00\x00\x00Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 192.0.2.1 1.2 5712\r\n",
			read{"2026-11-23T03:27:57Z", bin + "x", "add", "192.0.2.1", "1.2", "5712", "", "", true}},
		{"Wazuh, skipped", "2026/11/23 04:27:57 active-response/bin/firewall-drop: Skipped IP: 203.0.113.7: whitelisted by 203.0.113.0/24",
			read{"2026-11-23T03:27:57Z", "active-response/bin/firewall-drop", "skip", "203.0.113.7", "", "", "Skipped IP: 203.0.113.7: whitelisted by 203.0.113.0/24", "", true}},
		{"Wazuh, without the request", "2026/11/23 04:27:57 active-response/bin/firewall-drop: Blocked IP: 203.0.113.7 (Rule: 5712)",
			read{"2026-11-23T03:27:57Z", "active-response/bin/firewall-drop", "add", "203.0.113.7", "", "5712", "Blocked IP: 203.0.113.7 (Rule: 5712)", "", true}},
		{"Wazuh, failed", "2026/11/23 04:27:57 active-response/bin/firewall-drop: Failed: no address",
			read{"2026-11-23T03:27:57Z", "active-response/bin/firewall-drop", "error", "", "", "", "Failed: no address", "", true}},
		{"Wazuh, a warning", "2026/11/23 04:27:57 active-response/bin/firewall-drop: Warning: reading the whitelist",
			read{"2026-11-23T03:27:57Z", "active-response/bin/firewall-drop", "warn", "", "", "", "Warning: reading the whitelist", "", true}},
		{"Wazuh, a step", "2026/11/23 04:27:57 active-response/bin/firewall-drop: Starting",
			read{Time: "2026-11-23T03:27:57Z", Program: "active-response/bin/firewall-drop", Message: "Starting", Step: "Starting"}},
		{"Wazuh, add", "2026/11/23 04:27:57 active-response/bin/firewall-drop: " + wazuh4,
			read{"2026-11-23T03:27:57Z", "active-response/bin/firewall-drop", "add", "192.0.2.7", "1669818000.12345", "5763", "", "", true}},
		{"Wazuh, dotted keys", "2026/11/23 04:27:57 active-response/bin/firewall-drop: " + strings.Replace(wazuh4, `"data":{"srcip":"192.0.2.7"}`, `"data.srcip":"192.0.2.8"`, 1),
			read{"2026-11-23T03:27:57Z", "active-response/bin/firewall-drop", "add", "192.0.2.8", "1669818000.12345", "5763", "", "", true}},
		{"Wazuh 5", `2026/11/23 04:27:57 active-response/bin/block-ip: {"wazuh":{"active_response":{"name":"block-ip"}},"source":{"ip":"192.0.2.7"},"rule":{"id":"5763"},"command":"disable"}`,
			read{"2026-11-23T03:27:57Z", "active-response/bin/block-ip", "delete", "192.0.2.7", "", "5763", "", "", true}},
		{"Wazuh, the question", `2026/11/23 04:27:57 active-response/bin/x: {"version":1,"origin":{"name":"x","module":"active-response"},"command":"check_keys","parameters":{"keys":["192.0.2.7"]}}`,
			read{Time: "2026-11-23T03:27:57Z", Program: "active-response/bin/x", Step: "dialogue"}},
		{"Wazuh, the answer no", `2026/11/23 04:27:57 active-response/bin/x: {"version":1,"command":"abort","parameters":{}}`,
			read{Time: "2026-11-23T03:27:57Z", Program: "active-response/bin/x", Step: "Aborted"}},
		{"Wazuh, broken JSON", `2026/11/23 04:27:57 active-response/bin/x: {"version":1,"command":"add","param`,
			read{Time: "2026-11-23T03:27:57Z", Program: "active-response/bin/x"}},
		{"a stock script's own failure", "Unable to run (iptables returning != 1): 1 - " + bin + "firewall-drop.sh add - 192.0.2.1 1.2 5712", read{}},
		{"empty", "", read{}},
		{"only NULs", "\x00\x00\x00\x00", read{}},
		{"a date alone", "Mon Nov 23 03:27:57 UTC 2026", read{}},
		{"a date that is none", "Mon Nov 33 03:27:57 UTC 2026 " + bin + "x add - 192.0.2.1 - 5712", read{}},
		{"an address that is none", "Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 1.2.3.256 1.2 5712",
			read{Time: "2026-11-23T03:27:57Z", Program: bin + "x", Alert: "1.2", Rule: "5712", Step: "no address"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parse(t, "Europe/Berlin", test.line)); diff != "" {
				t.Errorf("%s\n%s", test.line, diff)
			}
		})
	}
}

const wazuh4 = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[],"alert":{"timestamp":"2026-11-23T03:27:57.000+0000","rule":{"level":10,"description":"sshd: brute \"force\"","id":"5763"},"agent":{"id":"001","name":"web"},"id":"1669818000.12345","full_log":"x","data":{"srcip":"192.0.2.7"}},"program":"active-response/bin/firewall-drop"}}`

// A stock script writes its date in the daemon's locale: the clock of the line counts, within
// the twelve hours from the alert on, which was at 04:27:55 here.
func TestParseLocales(t *testing.T) {
	for date, want := range map[string]string{
		"lun. 23 nov. 2026 04:27:57 CET":     "2026-11-23T03:27:57Z", // fr_FR
		"lundi 23 novembre 2026, 04:37:57":   "2026-11-23T03:37:57Z",
		"lun 23 nov 2026 14:00:00 CET":       "2026-11-23T13:00:00Z", // es_ES
		"Mo 23. Nov 04:27:57 CET 2026":       "2026-11-23T03:27:57Z", // de_DE
		"seg 23 nov 2026 04:27:57 CET":       "2026-11-23T03:27:57Z", // pt_BR
		"Пн ноя 23 04:27:57 CET 2026":        "2026-11-23T03:27:57Z", // ru_RU
		"2026年 11月 23日 星期一 04:27:57 CET":     "2026-11-23T03:27:57Z", // zh_CN
		"2026. 11. 23. (월) 오후 04:27:57 CET":  "2026-11-23T03:27:57Z", // ko_KR
		"2026. 11. 23. (월) 오전 02:00:00 CET":  "2026-11-23T13:00:00Z",
		"Mo 23. Nov 04:27:50 CET 2026":       "2026-11-23T03:27:50Z", // behind the manager's clock
		"\xef\xee\xed 23 04:27:57 2026":      "2026-11-23T03:27:57Z", // not UTF-8
		"Lun Nov 23 04:27:57 CET 2026 -03 x": "2026-11-23T03:27:57Z",
	} {
		got := parse(t, "Europe/Berlin", date+" "+bin+"firewall-drop.sh add - 203.0.113.7 1795404475.1 5712")
		if got.Time != want || !got.Entry || got.Addr != "203.0.113.7" || got.Rule != "5712" {
			t.Errorf("%s: %+v, want %s", date, got, want)
		}
	}
}

// The hours that a Parser remembers must not change what it reads.
func TestParserRemembers(t *testing.T) {
	for _, test := range []struct {
		zone string
		from time.Time // a while before the clock is changed
	}{
		{"Australia/Lord_Howe", time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC)}, // back by half an hour
		{"Europe/Berlin", time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC)},
		{"Europe/Berlin", time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)},
		{"UTC", time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)},
	} {
		loc := location(t, test.zone)
		for _, step := range []time.Duration{time.Minute, 7 * time.Minute, 47 * time.Minute, 150 * time.Minute, -33 * time.Minute} {
			one := arlog.Parser{Location: loc}
			from := test.from
			if step < 0 {
				from = from.Add(48 * time.Hour)
			}
			for i := range int(48 * time.Hour / step.Abs()) {
				at := from.Add(time.Duration(i) * step).In(loc)
				for _, layout := range []string{"Mon Jan _2 15:04:05 MST 2006 ", "2006/01/02 15:04:05 "} {
					line := at.Format(layout) + "x: y"
					fresh := arlog.Parser{Location: loc}
					got, ok := one.Time(line)
					want, wantOK := fresh.Time(line)
					if !got.Equal(want) || ok != wantOK || !ok {
						t.Fatalf("%s: %q: %v %v, afresh %v %v", test.zone, line, got, ok, want, wantOK)
					}
				}
			}
		}
	}
}

// Where the address is in a request is arproto's to say.
func TestParseAddressFields(t *testing.T) {
	request := func(data string) string {
		return strings.Replace(wazuh4, `"data":{"srcip":"192.0.2.7"}`, data, 1)
	}
	wazuh5 := `{"wazuh":{"active_response":{"name":"x"}},"client":{"ip":"192.0.2.9"},"source":{"ip":"192.0.2.8"},"command":"enable"}`
	configured := []string{"data.aws.sourceIPAddress", "address", "client.ip"}
	for _, fields := range [][]string{nil, {}, {"data.srcip"}, configured} {
		for _, text := range []string{
			wazuh4, wazuh5,
			request(`"data":{"aws":{"sourceIPAddress":"192.0.2.1"},"srcip":"192.0.2.2"}`),
			request(`"data":{"aws.sourceIPAddress":"192.0.2.3"}`),
			request(`"data.aws":{"sourceIPAddress":"192.0.2.4"}`),
			request(`"address":"192.0.2.5"`),
			request(`"client.ip":"192.0.2.6"`),
			request(`"data":{"win.eventdata":{"ipAddress":"192.0.2.10"}}`),
			request(`"data":{"aws":{"sourceIPAddress":"nobody"}},"address":"192.0.2.11"`),
			request(`"data":{"aws":{"sourceIPAddress":""}},"address":"192.0.2.12"`),
		} {
			want, wantErr := arproto.ParseJSON([]byte(text), fields)
			p := arlog.Parser{AddressFields: fields}
			f, err := p.Parse("2026/11/23 04:27:57 active-response/bin/x: " + text)
			if ok := wantErr == nil && want.Addr.IsValid(); ok != (err == nil) || ok && f.Addr != want.Addr {
				t.Errorf("%q of %s: %v %v, in a request %v %v", fields, text, f.Addr, err, want.Addr, wantErr)
			}
		}
	}
}

// What an address is in a request is arproto's to say too.
func TestParseAsArproto(t *testing.T) {
	for _, address := range []string{"192.0.2.7", "0.0.0.0", "::", "1.2.3", "1.2.3.4/32", "::ffff:1.2.3.4", "fe80::1%eth0", "host", "", "-", "01.2.3.4", "2001:db8::1"} {
		text := strings.Replace(wazuh4, "192.0.2.7", address, 1)
		request, err := arproto.ParseJSON([]byte(text), nil)
		entry, lineErr := arlog.Parse("2026/11/23 04:27:57 active-response/bin/x: " + text)
		if ok := err == nil && request.Addr.IsValid(); ok != (lineErr == nil) || ok && entry.Addr != request.Addr {
			t.Errorf("%q: %v %v, in a request %v %v", address, entry.Addr, lineErr, request.Addr, err)
		}
	}
}

// Whoever reads millions of lines has no time to allocate for each.
func TestParserAllocations(t *testing.T) {
	p := arlog.Parser{Location: time.UTC}
	for _, line := range []string{
		"Mon Nov 23 03:27:57 UTC 2026 " + bin + "firewall-drop.sh add - 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)",
		"garbage that goes on and on and on and on and on and on",
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Parse(line) }); n != 0 {
			t.Errorf("%v allocations for %.60s", n, line)
		}
	}
}

// FuzzWriteParse: what is written is read back, whatever the texts in it.
func FuzzWriteParse(f *testing.F) {
	f.Add(int64(1795404477), bin+"firewall-drop.sh", byte(0), []byte{203, 0, 113, 7}, "1.2", "5712", "Blocked IP: 203.0.113.7", false)
	f.Add(int64(1795404477), "x y", byte(3), []byte{}, "a\nb", "-", "Failed: x\x00", true)
	f.Fuzz(func(t *testing.T, unix int64, program string, status byte, addr []byte, alert, rule, message string, wazuh bool) {
		unix = 1e9 + unix&0x7fffffff // years of four digits
		entry := arlog.Entry{
			Time: time.Unix(unix, 0).UTC(), Program: program, AlertID: alert, RuleID: rule, Message: message,
			Status: []arlog.Status{arlog.StatusAdd, arlog.StatusDelete, arlog.StatusSkip, arlog.StatusError, arlog.StatusWarn}[status%5],
		}
		entry.Addr, _ = netip.AddrFromSlice(addr)
		entry.Addr = entry.Addr.Unmap()
		if !entry.Addr.IsValid() {
			entry.Status = arlog.StatusError
		}
		if wazuh {
			entry.Wazuh, entry.Status, entry.Message = true, arlog.StatusError, "Failed: "+message
			if status%2 == 0 {
				entry.Status, entry.Message = arlog.StatusWarn, "Warning: "+message
			}
		}
		line := entry.Format()
		p := arlog.Parser{Location: time.UTC}
		again, err := p.Parse(string(line))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		again.Time = again.Time.UTC()
		if got := again.Format(); !bytes.Equal(got, line) {
			t.Errorf("written %q\nread and written %q", line, got)
		}
		if again.Status != entry.Status || !again.Time.Equal(entry.Time) || !wazuh && again.Addr != entry.Addr {
			t.Errorf("read %+v from %q", again, line)
		}
	})
}

// FuzzParse: any bytes are read the same whatever was read before, or not at all.
func FuzzParse(f *testing.F) {
	f.Add("Mon Nov 23 03:27:57 UTC 2026 "+bin+"x add - 192.0.2.1 1.2 5712", "2026/11/23 04:27:57 x: "+wazuh4)
	f.Fuzz(func(t *testing.T, before, line string) {
		used := arlog.Parser{Location: time.UTC}
		_, _ = used.Parse(before)
		a, err := used.Parse(line)
		fresh := arlog.Parser{Location: time.UTC}
		b, errFresh := fresh.Parse(line)
		if diff := cmp.Diff(b, a, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmpopts.EquateEmpty()); diff != "" || err != errFresh {
			t.Errorf("%v, afresh %v\n%s", err, errFresh, diff)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("Mon Nov 23 03:%02d:%02d UTC 2026 "+bin+"firewall-drop.sh add - 203.0.%d.%d 1304756247.%d 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)", i/60, i%60, i%256, i%7, i))
	}
	p := arlog.Parser{Location: time.UTC}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = p.Parse(lines[i%len(lines)])
	}
}

func BenchmarkParserJSON(b *testing.B) {
	line := "2026/11/23 04:27:57 active-response/bin/firewall-drop: " + wazuh4
	p := arlog.Parser{Location: time.UTC}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Parse(line)
	}
}
