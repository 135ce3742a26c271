package arlog_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

func Example() {
	addr := netip.MustParseAddr("203.0.113.7")
	entry := arlog.Entry{
		Time: time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC), Program: "/var/ossec/active-response/bin/my-response",
		Status: arlog.StatusAdd, Addr: addr, AlertID: "1304756247.60385", RuleID: "5712",
		Message: arlog.Blocked(addr, "5712", "root\nforged"),
	}
	os.Stdout.Write(entry.Format())

	read, err := arlog.Parse(string(entry.Format()))
	fmt.Println(read.Status, read.Addr, read.RuleID, err)
	// Output:
	// Mon Nov 23 03:27:57 UTC 2026 /var/ossec/active-response/bin/my-response add - 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7 (Rule: 5712) user=root\x0aforged
	// add 203.0.113.7 5712 <nil>
}

// noon is a time for entries, in a zone.
func noon(zone string, seconds int) time.Time {
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone(zone, seconds))
}

func TestFormat(t *testing.T) {
	const path = "/var/ossec/active-response/bin/firewall-drop.sh"
	v4, v6 := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")
	request := []byte(`{"command":"add"}`)
	for _, test := range []struct {
		name  string
		entry arlog.Entry
		want  string
	}{
		{"add", arlog.Entry{Time: noon("UTC", 0), Program: path, Status: arlog.StatusAdd, Addr: v4, AlertID: "1304756247.60385", RuleID: "5712", Message: arlog.Blocked(v4, "5712", "")},
			"Mon Nov 23 12:00:00 UTC 2026 " + path + " add - 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)"},
		{"add with a user", arlog.Entry{Time: noon("UTC", 0), Program: path, Status: arlog.StatusAdd, Addr: v6, AlertID: "1.2", RuleID: "5712", Message: arlog.Blocked(v6, "5712", "root")},
			"Mon Nov 23 12:00:00 UTC 2026 " + path + " add - 2001:db8::7 1.2 5712 - Blocked IP: 2001:db8::7 (Rule: 5712) user=root"},
		{"delete without ids", arlog.Entry{Time: noon("UTC", 0), Program: path, Status: arlog.StatusDelete, Addr: v4, Message: arlog.Unblocked(v4, "")},
			"Mon Nov 23 12:00:00 UTC 2026 " + path + " delete - 203.0.113.7 - - - Unblocked IP: 203.0.113.7"},
		{"skip", arlog.Entry{Time: noon("UTC", 0), Program: path, Status: arlog.StatusSkip, Addr: v4, Message: arlog.Skipped(v4, "whitelisted by 203.0.113.0/24 (built in)")},
			"Mon Nov 23 12:00:00 UTC 2026 " + path + " skip - 203.0.113.7 - - - Skipped IP: 203.0.113.7: whitelisted by 203.0.113.0/24 (built in)"},
		{"error without an address", arlog.Entry{Time: noon("UTC", 0), Program: path, Status: arlog.StatusError, Message: arlog.Failed(errors.Join(errors.New("one"), errors.New("two")))},
			"Mon Nov 23 12:00:00 UTC 2026 " + path + " error - - - - - Failed: one; two"},
		{"a day of one digit", arlog.Entry{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Program: path, Status: arlog.StatusError, Message: "Failed: x"},
			"Fri Jan  2 03:04:05 UTC 2026 " + path + " error - - - - - Failed: x"},
		{"a zone of letters stays", arlog.Entry{Time: noon("CET", 3600), Program: path, Status: arlog.StatusError, Message: "Failed: x"},
			"Mon Nov 23 12:00:00 CET 2026 " + path + " error - - - - - Failed: x"},
		{"a zone of digits with a minus stays", arlog.Entry{Time: noon("-03", -3*3600), Program: path, Status: arlog.StatusError, Message: "Failed: x"},
			"Mon Nov 23 12:00:00 -03 2026 " + path + " error - - - - - Failed: x"},
		{"+03 becomes UTC", arlog.Entry{Time: noon("+03", 3*3600), Program: path, Status: arlog.StatusError, Message: "Failed: x"},
			"Mon Nov 23 09:00:00 UTC 2026 " + path + " error - - - - - Failed: x"},
		{"+0545 becomes UTC", arlog.Entry{Time: noon("+0545", 5*3600+45*60), Program: path, Status: arlog.StatusError, Message: "Failed: x"},
			"Mon Nov 23 06:15:00 UTC 2026 " + path + " error - - - - - Failed: x"},
		{"a zone without a name becomes UTC", arlog.Entry{Time: noon("", 3*3600), Program: path, Status: arlog.StatusError, Message: "Failed: x"},
			"Mon Nov 23 09:00:00 UTC 2026 " + path + " error - - - - - Failed: x"},
		{"an endless zone becomes UTC", arlog.Entry{Time: noon(strings.Repeat("Z", 5000), 3600), Program: path, Status: arlog.StatusError, Message: "Failed: x"},
			"Mon Nov 23 11:00:00 UTC 2026 " + path + " error - - - - - Failed: x"},
		{"hostile texts", arlog.Entry{Time: noon("UTC", 0), Program: "/a b/x\n", Status: arlog.StatusError, AlertID: "1 2\n3", RuleID: "\x1b[2J", Message: "Failed: é\r\n\x00\x7f"},
			`Mon Nov 23 12:00:00 UTC 2026 /a\x20b/x\x0a error - - 1\x202\x0a3 \x1b[2J - Failed: \xc3\xa9\x0d\x0a\x00\x7f`},
		{"a hostile status", arlog.Entry{Time: noon("UTC", 0), Program: "x", Status: "add - 8.8.8.8\n", Message: "x"},
			`Mon Nov 23 12:00:00 UTC 2026 x add\x20-\x208.8.8.8\x0a - - - - - x`},
		{"a zone in an address", arlog.Entry{Time: noon("UTC", 0), Program: "x", Status: arlog.StatusAdd, Addr: netip.MustParseAddr("fe80::1%a b\n"), Message: "x"},
			`Mon Nov 23 12:00:00 UTC 2026 x add - fe80::1%a\x20b\x0a - - - x`},
		{"long ids", arlog.Entry{Time: noon("UTC", 0), Program: "x", Status: arlog.StatusError, AlertID: strings.Repeat("1", 64), RuleID: strings.Repeat("2", 65), Message: "x"},
			"Mon Nov 23 12:00:00 UTC 2026 x error - - " + strings.Repeat("1", 64) + " " + strings.Repeat("2", 61) + "... - x"},
		{"nothing known", arlog.Entry{Time: noon("UTC", 0), Status: arlog.StatusError},
			"Mon Nov 23 12:00:00 UTC 2026 - error - - - - - "},

		{"Wazuh, add", arlog.Entry{Time: noon("CET", 3600), Program: "/opt/active-response/bin/firewall-drop", Status: arlog.StatusAdd, Addr: v4, Message: "x", Wazuh: true, JSON: request},
			`2026/11/23 12:00:00 active-response/bin/firewall-drop: {"command":"add"}`},
		{"Wazuh, delete", arlog.Entry{Time: noon("CET", 3600), Program: "firewall-drop", Status: arlog.StatusDelete, Addr: v4, Message: "x", Wazuh: true, JSON: request},
			`2026/11/23 12:00:00 active-response/bin/firewall-drop: {"command":"add"}`},
		{"Wazuh, skip", arlog.Entry{Time: noon("+03", 3*3600), Program: "firewall-drop", Status: arlog.StatusSkip, Addr: v4, Message: arlog.Skipped(v4, "why"), Wazuh: true, JSON: request},
			"2026/11/23 12:00:00 active-response/bin/firewall-drop: Skipped IP: 203.0.113.7: why"},
		{"Wazuh, error", arlog.Entry{Time: noon("CET", 3600), Program: "a b", Status: arlog.StatusError, Message: "Failed: \n", Wazuh: true, JSON: request},
			`2026/11/23 12:00:00 active-response/bin/a\x20b: Failed: \x0a`},
		{"Wazuh, without its request", arlog.Entry{Time: noon("CET", 3600), Program: "x", Status: arlog.StatusAdd, Addr: v4, Message: arlog.Blocked(v4, "", ""), Wazuh: true},
			"2026/11/23 12:00:00 active-response/bin/x: Blocked IP: 203.0.113.7 (Rule: -)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(test.entry.Format()); got != test.want+"\n" {
				t.Errorf("got\n%q\nwant\n%q", got, test.want+"\n")
			}
		})
	}
}

func TestFormatIsBounded(t *testing.T) {
	long := arlog.Entry{
		Time: noon("UTC", 0), Program: strings.Repeat("p", 5000), Status: arlog.StatusError, AlertID: strings.Repeat("\n", 5000),
		RuleID: strings.Repeat("r", 5000), Addr: netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678"),
	}
	for _, test := range []struct{ name, message, end string }{
		{"letters", strings.Repeat("a", 5000), "a...\n"},
		{"to be escaped", strings.Repeat("\n", 5000), `\x0a...` + "\n"},
	} {
		for _, wazuh := range []bool{false, true} {
			entry := long
			entry.Message, entry.Wazuh = test.message, wazuh
			line := string(entry.Format())
			if len(line) > arlog.MaxLine || len(line) < arlog.MaxLine-len(`\x0a`) || !strings.HasSuffix(line, test.end) {
				t.Errorf("%s, Wazuh %v: %d bytes that end in %q, want %d and %q", test.name, wazuh, len(line), line[len(line)-8:], arlog.MaxLine, test.end)
			}
		}
	}
	// To the byte: what just fits stays whole.
	entry := arlog.Entry{Time: noon("UTC", 0), Program: "x", Status: arlog.StatusError}
	room := arlog.MaxLine - len(entry.Format())
	for _, more := range []int{0, 1} {
		entry.Message = strings.Repeat("a", room+more)
		line := string(entry.Format())
		if cut := strings.HasSuffix(line, "...\n"); len(line) != arlog.MaxLine || cut != (more == 1) {
			t.Errorf("%d bytes too many: a line of %d bytes, cut off: %v", more, len(line), cut)
		}
	}
	// The request of a Wazuh daemon is never cut.
	request := []byte(`{"x":"` + strings.Repeat("a", 100000) + `"}`)
	entry = arlog.Entry{Time: noon("UTC", 0), Program: "x", Status: arlog.StatusAdd, Wazuh: true, JSON: request}
	if line := string(entry.Format()); !strings.HasSuffix(line, string(request)+"\n") {
		t.Errorf("the request was changed: %d bytes", len(line))
	}
}

func TestWord(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "-"}, {"-", "-"}, {"root", "root"}, {"a b", `a\x20b`}, {"é", `\xc3\xa9`}, {strings.Repeat(" ", 17), strings.Repeat(`\x20`, 15) + "..."},
	} {
		if got := arlog.Word(test.in); got != test.want {
			t.Errorf("Word(%q) = %s, want %s", test.in, got, test.want)
		}
	}
}

var ossecLine = regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d ([A-Za-z0-9_@-]+) \d{4} \S+ (add|delete|skip|error|warn) - \S+ \S+ \S+ - `)

var zoneOfThree = regexp.MustCompile(`^[A-Z]{3}$`)

// FuzzFormat: whatever an attacker chose, the line is one line that says what it should.
func FuzzFormat(f *testing.F) {
	f.Add("UTC", 0, bin+"firewall-drop.sh", byte(0), []byte{203, 0, 113, 7}, "", "1304756247.60385", "5712", "root", false)
	f.Add("+0545", 20700, "x y\n", byte(1), make([]byte, 16), "eth0 \n", "1.1\nforged", "57 12", "x\nMon Nov 23 03:27:57 UTC 2026 x add - 8.8.8.8 1.1 5712", false)
	f.Add("", -3600, "", byte(3), []byte{}, "", "", "-", strings.Repeat("é", 3000), true)
	f.Fuzz(func(t *testing.T, zone string, offset int, program string, status byte, ip []byte, scope, alert, rule, user string, wazuh bool) {
		addr, _ := netip.AddrFromSlice(ip)
		if addr.IsValid() {
			addr = addr.Unmap().WithZone(scope)
		}
		e := arlog.Entry{Time: noon(zone, offset%86400), Program: program, Addr: addr, AlertID: alert, RuleID: rule, Wazuh: wazuh}
		switch status % 5 {
		case 0:
			e.Status, e.Message = arlog.StatusAdd, arlog.Blocked(addr, rule, user)
		case 1:
			e.Status, e.Message = arlog.StatusDelete, arlog.Unblocked(addr, user)
		case 2:
			e.Status, e.Message = arlog.StatusSkip, arlog.Skipped(addr, user)
		case 3:
			e.Status, e.Message = arlog.StatusError, arlog.Failed(errors.New(user))
		case 4:
			e.Status, e.Message = arlog.StatusWarn, arlog.Warning(errors.New(user))
		}
		line := string(e.Format())
		body, ended := strings.CutSuffix(line, "\n")
		if !ended || len(line) > arlog.MaxLine {
			t.Fatalf("%d bytes, ended: %v: %q", len(line), ended, line)
		}
		for i := range len(body) {
			if body[i] < ' ' || body[i] > '~' {
				t.Fatalf("byte %d is %#x: %q", i, body[i], line)
			}
		}
		if wazuh {
			return // FuzzWriteParse reads those back
		}
		parts := ossecLine.FindStringSubmatch(line)
		if parts == nil {
			t.Fatalf("the stock decoder would not read %q", line)
		}
		if !zoneOfThree.MatchString(parts[1]) {
			return // no zone in use, as far as Go knows
		}
		got, err := arlog.Parse(string(line))
		if !addr.IsValid() && (e.Status == arlog.StatusAdd || e.Status == arlog.StatusDelete) {
			return // no such line is ever written, and none is read
		}
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		word := func(s string) string {
			if s = arlog.Word(s); s == "-" {
				return ""
			}
			return s
		}
		if got.Status != e.Status || got.AlertID != word(alert) || got.RuleID != word(rule) {
			t.Errorf("read %q %q %q from %q", got.Status, got.AlertID, got.RuleID, line)
		}
		if scope == "" && got.Addr != addr {
			t.Errorf("read address %s from %q", got.Addr, line)
		}
	})
}

func BenchmarkLogFormat(b *testing.B) {
	addr := netip.MustParseAddr("203.0.113.7")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e := arlog.Entry{
			Time: now, Program: bin + "firewall-drop.sh", Status: arlog.StatusAdd, Addr: addr,
			AlertID: "1304756247.60385", RuleID: "5712", Message: arlog.Blocked(addr, "5712", "root"),
		}
		if len(e.Format()) == 0 {
			b.Fatal("no line")
		}
	}
}

// TestReadsWhatWasAsked: the line has the action and the address that arproto took from
// the same request, also where the request could be read in two ways.
func TestReadsWhatWasAsked(t *testing.T) {
	for _, test := range []struct{ name, request string }{
		{"a name twice", `{"command":"add","command":"delete","parameters":{"alert":{"data":{"srcip":"198.51.100.1","srcip":"192.0.2.7"}}}}`},
		{"an object twice", `{"command":"delete","parameters":{"alert":{"data":{"srcip":"198.51.100.1"},"data":{"srcip":"192.0.2.7"}}}}`},
		{"nested and dotted", `{"command":"add","parameters":{"alert":{"data":{"srcip":"198.51.100.1"},"data.srcip":"192.0.2.7"}}}`},
		{"two fields", `{"command":"add","parameters":{"alert":{"data":{"win":{"eventdata":{"ipAddress":"192.0.2.7"}},"srcip":"198.51.100.1"}}}}`},
		{"an empty field", `{"command":"add","parameters":{"alert":{"data":{"srcip":"","win":{"eventdata":{"ipAddress":"192.0.2.7"}}}}}}`},
		{"escapes", `{"comm\u0061nd":"\u0061dd","parameters":{"alert":{"data":{"srcip":"192.0.2.\u0037"}}}}`},
		{"Wazuh 5, a name twice", `{"wazuh":{"active_response":{}},"source":{"ip":"198.51.100.1"},"source":{"ip":"192.0.2.7"},"command":"enable","command":"disable"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := arproto.ParseJSON([]byte(test.request), nil)
			if err != nil {
				t.Fatal(err)
			}
			e := arlog.Entry{Time: noon("UTC", 0), Program: "x", Status: arlog.Status(r.Action), Addr: r.Addr, Wazuh: true, JSON: r.JSON}
			got, err := arlog.Parse(string(e.Format()))
			if err != nil || got.Status != e.Status || got.Addr != e.Addr {
				t.Errorf("read %s %s, %v; it was %s %s", got.Status, got.Addr, err, e.Status, e.Addr)
			}
		})
	}
}
