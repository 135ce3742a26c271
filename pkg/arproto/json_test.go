package arproto_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const wazuh4 = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":["--deep","5"],` +
	`"alert":{"timestamp":"2026-11-23T03:27:57.123+0100","rule":{"level":10,"description":"sshd: \"brute\" force","id":"5763","groups":["syslog","sshd"]},` +
	`"agent":{"id":"001","name":"web"},"id":"1669818000.12345","full_log":"café \u001b[2J","data":{"srcip":"192.0.2.7","dstuser":"root"}},` +
	`"program":"active-response/bin/firewall-drop"}}`

const wazuh5 = `{"wazuh":{"active_response":{"name":"block-ip","executable":"block-ip.sh","location":"local","agent_id":"001","type":"stateful",` +
	`"stateful_timeout":600,"extra_arguments":"--deep 5"},"agent":{"id":"001","name":"web"}},"source":{"ip":"192.0.2.7"},"user":{"name":"root"},` +
	`"rule":{"id":"5763","level":10},"@timestamp":"2026-11-23T03:27:57.123Z","command":"enable"}`

func TestParseJSON(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.7")
	moment := time.Date(2026, 11, 23, 2, 27, 57, 123e6, time.UTC)
	full4 := arproto.Request{
		Dialect: arproto.Wazuh4, Action: arproto.Add, Addr: addr, User: "root", AlertID: "1669818000.12345", RuleID: "5763",
		Level: 10, Description: `sshd: "brute" force`, Groups: []string{"syslog", "sshd"}, Time: moment,
		AgentID: "001", AgentName: "web", FullLog: "café \x1b[2J", ExtraArgs: []string{"--deep", "5"}, Program: "active-response/bin/firewall-drop",
	}
	full5 := arproto.Request{
		Dialect: arproto.Wazuh5, Action: arproto.Add, Addr: addr, User: "root", RuleID: "5763", Level: 10, Time: moment.Add(time.Hour),
		AgentID: "001", AgentName: "web", ExtraArgs: []string{"--deep 5"}, Timeout: 10 * time.Minute, Program: "block-ip.sh",
	}
	add4 := func(alert string) string { return `{"command":"add","parameters":{"alert":` + alert + `}}` }
	plain := func(user, rule string) arproto.Request {
		return arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Add, Addr: addr, User: user, RuleID: rule}
	}
	acting := func(user string) arproto.Request {
		r := plain(user, "")
		r.UserActs = true
		return r
	}
	for _, test := range []struct {
		name, line string
		fields     []string
		want       arproto.Request
	}{
		{"Wazuh 4, whole", wazuh4, nil, full4},
		{"Wazuh 4, with blanks and a line end", "  " + strings.ReplaceAll(wazuh4, `,"`, ` , "`) + "\r\n", nil, full4},
		{"Wazuh 5, whole", wazuh5, nil, full5},
		{"Wazuh 5, dotted",
			`{"wazuh.active_response.executable":"block-ip.sh","wazuh.active_response.extra_arguments":"--deep 5","wazuh.active_response.stateful_timeout":"600","wazuh.agent.id":"001","wazuh.agent.name":"web",` +
				`"source.ip":"192.0.2.7","user.name":"root","rule.id":5763,"rule.level":"10","@timestamp":"2026-11-23T03:27:57.123Z","command":"enable"}`, nil, full5},
		{"Wazuh 5, half dotted",
			`{"wazuh":{"active_response.executable":"block-ip.sh","active_response.extra_arguments":"--deep 5","active_response.stateful_timeout":600,"agent":{"id":"001","name":"web"}},` +
				`"source.ip":"192.0.2.7","user":{"name":"root"},"rule":{"id":"5763","level":10},"@timestamp":"2026-11-23T04:27:57.123+01:00","command":"enable"}`, nil, full5},
		{"Wazuh 5, disable", `{"wazuh":{"active_response":{}},"source":{"ip":"192.0.2.7"},"command":"disable"}`, nil,
			arproto.Request{Dialect: arproto.Wazuh5, Action: arproto.Delete, Addr: addr}},
		{"delete", `{"command":"delete","parameters":{"alert":{"data":{"srcip":"192.0.2.7"}}}}`, nil,
			arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Delete, Addr: addr}},
		{"Windows, the client", add4(`{"data":{"win":{"eventdata":{"ipAddress":"192.0.2.7","targetUserName":"bob"}}}}`), nil, acting("bob")},
		{"Windows, the destination", add4(`{"rule":{"id":92000},"data":{"win":{"eventdata":{"ipAddress":"-","destinationIp":"192.0.2.7"}}}}`), nil, plain("", "92000")},
		{"Windows, before srcip", add4(`{"data":{"srcip":"198.51.100.1","win":{"eventdata":{"ipAddress":"192.0.2.7"}}}}`), nil, plain("", "")},
		{"Windows, the destination before srcip", add4(`{"data":{"srcip":"198.51.100.1","win":{"eventdata":{"ipAddress":null,"destinationIp":"192.0.2.7"}}}}`), nil, plain("", "")},
		{"Wazuh 4, source.ip last", add4(`{"source":{"ip":"198.51.100.1"},"data":{"srcip":"192.0.2.7"}}`), nil, plain("", "")},
		{"Wazuh 5, the rule as 5.0.0-beta4 names it",
			`{"wazuh":{"active_response":{},"rule":{"id":"6f1c"}},"source":{"ip":"192.0.2.7"},"command":"enable"}`, nil,
			arproto.Request{Dialect: arproto.Wazuh5, Action: arproto.Add, Addr: addr, RuleID: "6f1c"}},
		{"Wazuh 5, source.ip first", `{"wazuh":{"active_response":{}},"data":{"srcip":"198.51.100.1"},"source":{"ip":"192.0.2.7"},"command":"enable"}`, nil,
			arproto.Request{Dialect: arproto.Wazuh5, Action: arproto.Add, Addr: addr}},
		{"Wazuh 5, source.ip without an address, then the next", `{"wazuh":{"active_response":{}},"data":{"srcip":"192.0.2.7"},"source":{"ip":null},"command":"enable"}`, nil,
			arproto.Request{Dialect: arproto.Wazuh5, Action: arproto.Add, Addr: addr}},
		{"Wazuh 5, a timeout that is none", `{"wazuh":{"active_response":{"stateful_timeout":-1}},"source":{"ip":"192.0.2.7"},"command":"enable"}`, nil,
			arproto.Request{Dialect: arproto.Wazuh5, Action: arproto.Add, Addr: addr}},
		{"Wazuh 5, an endless timeout", `{"wazuh":{"active_response":{"stateful_timeout":9223372036854775807}},"source":{"ip":"192.0.2.7"},"command":"enable"}`, nil,
			arproto.Request{Dialect: arproto.Wazuh5, Action: arproto.Add, Addr: addr}},
		{"null, then the next", add4(`{"data":{"srcip":"192.0.2.7","win":{"eventdata":{"ipAddress":null}}}}`), nil, plain("", "")},
		{"a number, then the next", add4(`{"data":{"srcip":"192.0.2.7","win":{"eventdata":{"ipAddress":3221225991}}}}`), nil, plain("", "")},
		{"a host name, then the next", add4(`{"data":{"srcip":"192.0.2.7","win":{"eventdata":{"ipAddress":"evil.example.com"}}}}`), nil, plain("", "")},
		{"an empty text, then the next", add4(`{"data":{"srcip":"192.0.2.7","win":{"eventdata":{"ipAddress":""}}}}`), nil, plain("", "")},
		{"a network, then the next", add4(`{"data":{"srcip":"192.0.2.7","win":{"eventdata":{"ipAddress":"198.51.100.0/24"}}}}`), nil, plain("", "")},
		{"a list, then the next", add4(`{"data":{"srcip":"192.0.2.7","win":{"eventdata":{"ipAddress":["198.51.100.1"]}}}}`), nil, plain("", "")},
		{"only null", add4(`{"data":{"srcip":null}}`), nil, arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Add}},
		{"with a port", add4(`{"data":{"srcip":"192.0.2.7:5678"}}`), nil, plain("", "")},
		{"in quotes", add4(`{"data":{"srcip":"\"192.0.2.7\""}}`), nil, plain("", "")},
		{"dotted data", add4(`{"data.srcip":"192.0.2.7","data.srcuser":"bob"}`), nil, acting("bob")},
		{"dotted within data", add4(`{"data":{"win.eventdata.ipAddress":"192.0.2.7"}}`), nil, plain("", "")},
		{"mapped", add4(`{"data":{"srcip":"::ffff:192.0.2.7"}}`), nil, plain("", "")},
		{"custom field", add4(`{"data":{"srcip":"198.51.100.1","aws":{"sourceIPAddress":"192.0.2.7"}}}`), []string{"data.aws.sourceIPAddress", "data.srcip"}, plain("", "")},
		{"custom field that is not there, then the next", add4(`{"data":{"src_ip":"192.0.2.7"}}`), []string{"data.aws.sourceIPAddress", "data.src_ip"}, plain("", "")},
		{"no field has it", add4(`{"data":{"src_ip":"192.0.2.7"}}`), nil, arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Add}},
		{"no fields", add4(`{"data":{"srcip":"192.0.2.7"}}`), []string{}, arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Add}},
		{"an empty address", add4(`{"data":{"srcip":""}}`), nil, arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Add}},
		{"no alert", `{"command":"delete","parameters":{}}`, nil, arproto.Request{Dialect: arproto.Wazuh4, Action: arproto.Delete}},
		{"the first user counts", add4(`{"data":{"srcip":"192.0.2.7","dstuser":"-","srcuser":"eve"}}`), nil, acting("eve")},
		{"wrong kinds where nothing depends on them",
			`{"version":"x","origin":7,"command":"add","parameters":{"extra_args":"x","program":5,"alert":{"rule":[],"agent":"web","id":{},"timestamp":12,"full_log":null,"data":{"srcip":"192.0.2.7","dstuser":true}}}}`,
			nil, func() arproto.Request { r := plain("", ""); r.Program = "5"; return r }()},
		{"a name twice: the first counts, as for those who read the log", `{"command":"add","command":"delete","parameters":{"alert":{"data":{"srcip":"192.0.2.7","srcip":"198.51.100.1"}}}}`, nil, plain("", "")},
		{"nested and dotted at once: the dotted one counts", add4(`{"data":{"srcip":"198.51.100.1"},"data.srcip":"192.0.2.7"}`), nil, plain("", "")},
		{"names in any case", `{"COMMAND":"add","Parameters":{"ALERT":{"Data":{"SrcIP":"192.0.2.7"},"RULE":{"Id":"1"}}}}`, nil, plain("", "1")},
		{"a path in any case", add4(`{"data":{"aws":{"sourceipaddress":"192.0.2.7"}}}`), []string{"Data.AWS.sourceIPAddress"}, plain("", "")},
		{"twice in other cases: the first counts", add4(`{"data":{"SRCIP":"192.0.2.7","srcip":"198.51.100.1"}}`), nil, plain("", "")},
		{"what becomes a k in lower case is none", add4("{\"data\":{\"\u212aey\":\"198.51.100.1\",\"key\":\"192.0.2.7\"}}"), []string{"data.key"}, plain("", "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := arproto.ParseJSON([]byte(test.line), test.fields)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&test.want, got, compareAddr, cmpopts.IgnoreFields(arproto.Request{}, "JSON")); d != "" {
				t.Errorf("%s (-want +got):\n%s", test.line, d)
			}
			if !got.Dialect.JSON() {
				t.Error("Dialect.JSON() is false")
			}
		})
	}
}

// TestParseJSONKeepsTheRequest: what the log repeats is the request, on one line.
func TestParseJSONKeepsTheRequest(t *testing.T) {
	line := "{ \"command\":\"add\",\r\n\t\"parameters\":{\"alert\":{\"full_log\":\"caf\xc3\xa9 \\u001b \x7f \xf0\x9f\x98\x80 \xff a\\nb\"}} }\n"
	r, err := arproto.ParseJSON([]byte(line), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"command":"add","parameters":{"alert":{"full_log":"caf\u00e9 \u001b \u007f \ud83d\ude00 \ufffd a\nb"}}}`
	if got := string(r.JSON); got != want {
		t.Errorf("JSON is\n%s\nwant\n%s", got, want)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	add4 := func(alert string) string {
		return `{"command":"add","parameters":{"alert":{"rule":{"id":"5763"},` + alert + `}}}`
	}
	for _, test := range []struct{ name, line, want, rule string }{
		{"nothing", "", "reading the request: not JSON: EOF", ""},
		{"arguments", "add - 203.0.113.7 1.2 5712", "not JSON: invalid character 'a'", ""},
		{"cut off", wazuh4[:len(wazuh4)-1], "not JSON: unexpected EOF", ""},
		{"two of them", wazuh4 + wazuh4, "something follows the object at byte", ""},
		{"something behind it", wazuh4 + " x", "something follows the object at byte", ""},
		{"a list", "[" + wazuh4 + "]", "is no JSON object", ""},
		{"a text", `"add"`, `"\x22add\x22" is no JSON object`, ""},
		{"null", "null", `"null" is no JSON object`, ""},
		{"some other document", `{"hello":"world"}`, `neither "parameters" (Wazuh 4) nor "wazuh.active_response" (Wazuh 5)`, ""},
		{"raw control character", "{\"command\":\"a\ndd\",\"parameters\":{}}", "not JSON: ", ""},
		{"no command", `{"parameters":{"alert":{"rule":{"id":"5763"}}}}`, `unknown action ""`, "5763"},
		{"an unknown command", `{"command":"explode","parameters":{"alert":{"rule":{"id":"5763"}}}}`, `unknown action "explode"`, "5763"},
		{"a command of Wazuh 5 in Wazuh 4", `{"command":"enable","parameters":{"alert":{"rule":{"id":"5763"}}}}`, `unknown action "enable"`, "5763"},
		{"a command of Wazuh 4 in Wazuh 5", `{"command":"add","wazuh":{"active_response":{}},"rule":{"id":"5763"}}`, `unknown command "add"`, "5763"},
		{"a command that is no text", `{"command":["add"],"parameters":{"alert":{"rule":{"id":"5763"}}}}`, `unknown action ""`, "5763"},
		{"a host name", add4(`"data":{"srcip":"evil.example.com"}`), `field data.srcip: address "evil.example.com": not an IPv4`, "5763"},
		{"a network", add4(`"data":{"srcip":"192.0.2.0/24"}`), "a network is never blocked", "5763"},
		{"a zone", add4(`"data":{"win":{"eventdata":{"ipAddress":"fe80::1%12"}}}`), "field data.win.eventdata.ipAddress: address", "5763"},
		{"unspecified", add4(`"data":{"srcip":"::ffff:0.0.0.0"}`), "stands for every host", "5763"},
		{"a number", add4(`"data":{"srcip":3221225991}`), `none of wazuh.address_fields holds one: field data.srcip: address "3221225991": it is not a text`, "5763"},
		{"two bad fields: the first is told", add4(`"data":{"srcip":"evil.example.com","win":{"eventdata":{"ipAddress":7}}}`), `field data.win.eventdata.ipAddress: address "7"`, "5763"},
		{"a list of addresses", add4(`"data":{"srcip":["192.0.2.7"]}`), "it is not a text", "5763"},
		{"an object", add4(`"data":{"srcip":{"x":"192.0.2.7"}}`), "it is not a text", "5763"},
		{"deep nesting", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "exceeded max depth", ""},
		{"deep nesting in an address", add4(`"data":{"srcip":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`), "it is not a text", "5763"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := arproto.ParseJSON([]byte(test.line), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error is %v, want %q in it", err, test.want)
			}
			checkRequest(t, r, err)
			if r.RuleID != test.rule {
				t.Errorf("rule %q told, want %q", r.RuleID, test.rule)
			}
		})
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, line := range []string{
		wazuh4, wazuh5, `{"command":"delete","parameters":{"alert":{"data":{"srcip":"::ffff:192.0.2.7"}}}}`,
		`{"wazuh.active_response.name":"x","source.ip":"2001:db8::1","command":"disable"}`, `{"parameters":null,"command":"add"}`,
		`{"command":"add","command":1,"parameters":{"alert":{"data":{"srcip":"192.0.2.7","srcip":["192.0.2.8"]}}}}`,
		"{\"parameters\":{\"alert\":{\"data\":{\"srcip\":\"\\ud800\xf0\x9f\x98\x80\xed\xa0\x80\"}}},\"command\":\"add\"}", "null", "[]", "",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := arproto.ParseJSON(line, nil)
		checkRequest(t, r, err)
		if r.JSON == nil {
			if err == nil {
				t.Error("no JSON without an error")
			}
			return
		}
		if !printable(string(r.JSON)) {
			t.Fatalf("JSON is not one line of printable ASCII: %q", r.JSON)
		}
		again, err2 := arproto.ParseJSON(r.JSON, nil)
		if fmt.Sprint(err2) != fmt.Sprint(err) {
			t.Errorf("parsed again: %v, and first %v", err2, err)
		}
		if d := cmp.Diff(r, again, compareAddr); d != "" {
			t.Errorf("parsed again, another request (-first +again):\n%s", d)
		}
	})
}

func BenchmarkParseJSON(b *testing.B) {
	line := bytes.TrimSpace([]byte(wazuh4))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := arproto.ParseJSON(line, nil); err != nil {
			b.Fatal(err)
		}
	}
}
