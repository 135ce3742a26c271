package setup

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// rule is a rule of OSSEC or Wazuh, as far as the tests understand one.
type rule struct {
	ID           string   `xml:"id,attr"`
	Level        int      `xml:"level,attr"`
	Frequency    string   `xml:"frequency,attr"`
	SID          string   `xml:"if_sid"`
	MatchedSID   string   `xml:"if_matched_sid"`
	MatchedGroup string   `xml:"if_matched_group"`
	Group        string   `xml:"group"`
	Decoded      string   `xml:"decoded_as"`
	Match        string   `xml:"match"`
	Regex        string   `xml:"regex"`
	Hostname     string   `xml:"hostname"`
	Location     string   `xml:"location"`
	Options      []string `xml:"options"`
	Field        []struct {
		Name string `xml:"name,attr"`
		Text string `xml:",chardata"`
	} `xml:"field"`
	Action string `xml:"action"`
	Status string `xml:"status"`
}

func readRules(t *testing.T, text string) []rule {
	t.Helper()
	var group struct {
		Rules []rule `xml:"rule"`
	}
	if err := xml.Unmarshal([]byte(text), &group); err != nil {
		t.Fatal(err)
	}
	return group.Rules
}

// event is a line as the decoders leave it.
type event struct {
	line, decoder string
	fields        map[string]string
	location      string // where it was read
}

// osRegex translates what our rules and the stock ones use of OSSEC's own regular expressions, where a
// dot is a dot, and letters count without regard to case.
func osRegex(text string) *regexp.Regexp {
	return regexp.MustCompile("(?i)" + strings.NewReplacer(".", `\.`, "(", `\(`, ")", `\)`).Replace(text))
}

// fires reports whether the rule, without its if_sid, matches.
func (r rule) fires(e event) bool {
	if r.Frequency != "" || r.Decoded != "" && r.Decoded != e.decoder ||
		!strings.Contains(e.location, r.Hostname+r.Location) ||
		!osRegex(r.Match).MatchString(e.line) || !osRegex(r.Regex).MatchString(e.line) ||
		!osRegex(r.Action).MatchString(e.fields["script"]) || !osRegex(r.Status).MatchString(e.fields["type"]) {
		return false
	}
	for _, f := range r.Field {
		if !osRegex(f.Text).MatchString(e.fields[f.Name]) {
			return false
		}
	}
	return true
}

// alert returns the id of the rule that an event ends at: among those that hang on one
// rule the level 0 ones are tried first and then the highest, in the order of the files.
func alert(rules []rule, e event) string {
	rank := func(r rule) int {
		if r.Level == 0 {
			return -100
		}
		return -r.Level
	}
	children := slices.Clone(rules)
	slices.SortStableFunc(children, func(a, b rule) int { return rank(a) - rank(b) })
	for at := ""; ; {
		next := slices.IndexFunc(children, func(r rule) bool {
			return slices.Contains(strings.Split(strings.ReplaceAll(r.SID, " ", ""), ","), at) && r.fires(e)
		})
		if next < 0 {
			return at
		}
		at = children[next].ID
	}
}

// The stock rules that ours hang on, by what is known of them.
const (
	stockOSSEC = `<group>
<rule id="600" level="0"><decoded_as>ar_log</decoded_as></rule>
<rule id="601" level="3"><if_sid>600</if_sid><action>firewall-drop.sh</action><status>add</status></rule>
<rule id="602" level="3"><if_sid>600</if_sid><action>firewall-drop.sh</action><status>delete</status></rule>
<rule id="1002" level="2"><match>failed|error|attack</match></rule>
</group>`
	stockWazuh = `<group>
<rule id="600" level="0"><decoded_as>ar_log</decoded_as></rule>
<rule id="601" level="3"><if_sid>600</if_sid><field name="script">firewall-drop</field><field name="type">add</field></rule>
<rule id="602" level="3"><if_sid>600</if_sid><field name="script">firewall-drop</field><field name="type">delete</field></rule>
<rule id="607" level="3"><if_sid>600</if_sid></rule>
<rule id="650" level="0"><decoded_as>ar_log_json</decoded_as></rule>
<rule id="651" level="3"><if_sid>650</if_sid><field name="parameters.program">firewall-drop</field><field name="command">add</field></rule>
<rule id="657" level="3"><if_sid>650</if_sid><field name="command">add|delete</field></rule>
<rule id="1002" level="2"><match>failed|error|attack</match></rule>
</group>`
)

var (
	arLog     = regexp.MustCompile(`^\w{3} \w+\s+\d+ \d\d:\d\d:\d\d [\w@-]+ \d+ /\S+/active-response/bin/(\S+) (\S+) - (\S+) (\d+\.\d+ \d+)?`)
	arLogJSON = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d active-response/bin/\S+: `)
)

// decode does as the stock decoders of a dialect. OSSEC's reads no status where there is no alert.
func decode(d Dialect, line, location string) event {
	e := event{line: strings.TrimSuffix(line, "\n"), location: location, fields: map[string]string{}}
	if m := arLog.FindStringSubmatch(line); m != nil {
		e.decoder = "ar_log"
		if d == Wazuh || m[4] != "" {
			e.fields["script"], e.fields["type"] = m[1], m[2]
		}
	}
	if head := arLogJSON.FindString(line); head != "" {
		e.decoder = "ar_log_json"
		var document map[string]any
		if json.Unmarshal([]byte(line[len(head):]), &document) == nil {
			flatten(e.fields, "", document)
		}
	}
	return e
}

func flatten(into map[string]string, prefix string, document map[string]any) {
	for name, value := range document {
		if below, ok := value.(map[string]any); ok {
			flatten(into, prefix+name+".", below)
			continue
		}
		into[prefix+name] = fmt.Sprint(value)
	}
}

// hostile is what an attacker could choose as a user name or write into a log, to be taken for something
// else; the first is nothing of that kind.
var hostile = []string{"root", "x: Failed: y", "- Failed: y", "x: Skipped IP: 192.0.2.1: whitelisted by z",
	"x: Warning: y",
	"- Warning: y", "error - x", " skip - x x x - Skipped IP: x: whitelisted by ",
	"/bin/custom-firewall-drop.sh add - ",
	"active-response/bin/custom-firewall-drop",
	"\n2026/11/23 03:27:57 active-response/bin/firewall-drop: Failed: y",
	`","command":"delete","x":"`, `"},"program":"active-response/bin/custom-firewall-drop"`,
	"Mon Nov 23 03:27:57 UTC 2026 /var/ossec/active-response/bin/firewall-drop.sh error - x x x - Failed: "}

// oldLine makes a line as a response writes it that OSSEC called.
func oldLine(d Dialect, program string, status arlog.Status, message, user string) event {
	e := arlog.Entry{Time: testTime, Program: "/var/ossec/active-response/bin/" + program, Status: status,
		Addr: netip.MustParseAddr("203.0.113.7"), AlertID: "1304756247.60385", RuleID: "5712",
		Message: message + " user=" + user}
	return decode(d, string(e.Format()), "/var/ossec/logs/active-responses.log")
}

// jsonLine makes one of a response that Wazuh called: of the request when message is "".
func jsonLine(t *testing.T, program, command, message, user string) event {
	t.Helper()
	request, err := json.Marshal(map[string]any{"version": 1, "command": command, "parameters": map[string]any{
		"alert": map[string]any{"data": map[string]any{"srcip": "203.0.113.7", "dstuser": user},
			"full_log": user},
		"program": "active-response/bin/" + program}})
	if err != nil {
		t.Fatal(err)
	}
	e := arlog.Entry{Time: testTime, Program: "/var/ossec/active-response/bin/" + program, Wazuh: true,
		Message: message + " user=" + user}
	switch {
	case message == "":
		e.Status, e.JSON = arlog.Status(command), request
	case strings.HasPrefix(message, "Skipped"):
		e.Status = arlog.StatusSkip
	case strings.HasPrefix(message, "Warning"):
		e.Status = arlog.StatusWarn
	default:
		e.Status = arlog.StatusError
	}
	return decode(Wazuh, string(e.Format()), "/var/ossec/logs/active-responses.log")
}

// TestRules: each line that the suite writes ends at the rule that is meant for it, whatever user name it
// quotes. The lines were tried with OSSEC's and Wazuh's own logtest, too.
func TestRules(t *testing.T) {
	for d, stock := range map[Dialect]string{OSSEC: stockOSSEC, Wazuh: stockWazuh} {
		own := suiteRules(t, d)
		rules := append(readRules(t, stock), own...)
		check := func(name string, e event, want string) {
			t.Helper()
			if got := alert(rules, e); got != want {
				t.Errorf("%v: %s ends at rule %s, want %s:\n%s", d, name, got, want, e.line)
			}
		}
		for _, user := range hostile {
			for _, test := range []struct {
				program string
				status  arlog.Status
				message string
				want    string
			}{
				{"firewall-drop.sh", arlog.StatusAdd, "Blocked IP: 203.0.113.7 (Rule: 5712)", "601"},
				{"firewall-drop.sh", arlog.StatusDelete, "Unblocked IP: 203.0.113.7", "602"},
				{"custom-firewall-drop.sh", arlog.StatusAdd, "Blocked IP: 203.0.113.7 (Rule: 5712)", "100604"},
				{"custom-firewall-drop.sh", arlog.StatusDelete, "Unblocked IP: 203.0.113.7", "100605"},
				{"host-deny", arlog.StatusAdd, "Blocked IP: 203.0.113.7 (Rule: 5712)", "100606"},
				{"route-null", arlog.StatusDelete, "Unblocked IP: 203.0.113.7", "100607"},
				{"email-notification.sh", arlog.StatusAdd, "Email notification sent for blocked IP: 203.0.113.7",
					"100608"},
				{"firewall-drop.sh", arlog.StatusError, "Failed: adding rule for 203.0.113.7: exit status 4", "100600"},
				{"custom-firewall-drop.sh", arlog.StatusError, "Failed: adding rule for 203.0.113.7", "100600"},
				{"firewall-drop.sh", arlog.StatusSkip, "Skipped IP: 203.0.113.7: still held by host-deny.sh", "100602"},
				{"firewall-drop.sh", arlog.StatusSkip, "Skipped IP: 203.0.113.7: whitelisted by ossec.conf", "100603"},
				{"firewall-drop.sh", arlog.StatusWarn, "Warning: the leases cannot be written", "100609"},
				{"disable-account.sh", arlog.StatusAdd, "Locked account: joe (Rule: 5716)", "100615"},
				{"disable-account", arlog.StatusDelete, "Unlocked account: joe", "100616"},
			} {
				if d == Wazuh && test.want >= "100615" {
					continue // Wazuh has a rule for what no other takes
				}
				if d == Wazuh && test.want == "100606" {
					test.program = "firewall-drop" // whose line 601 matches, too
				}
				check(test.program+" "+string(test.status), oldLine(d, test.program, test.status, test.message, user),
					test.want)
			}
		}
		check("report", decode(d, "    12 31103 SQL injection attack\n", "/var/ossec/logs/response-stats.log"),
			"100620")
		if d == OSSEC {
			byHand := oldLine(d, "firewall-drop.sh", arlog.StatusAdd, "Blocked IP: 203.0.113.7 (by hand)", "root")
			byHand = decode(d, strings.Replace(byHand.line, "1304756247.60385 5712", "- -", 1), byHand.location)
			check("by hand", byHand, "100610")
			continue
		}
		for _, user := range hostile {
			for _, test := range [][4]string{
				{"firewall-drop", "add", "", "651"},
				{"custom-firewall-drop", "add", "", "100612"},
				{"custom-firewall-drop", "delete", "", "100613"},
				{"firewall-drop", "add", "Failed: adding rule for 203.0.113.7", "100610"},
				{"firewall-drop", "add", "Skipped IP: 203.0.113.7: still held by host-deny", "100611"},
				{"firewall-drop", "add", "Skipped IP: 127.0.0.1: whitelisted by loopback", "100603"},
				{"firewall-drop", "add", "Warning: the leases cannot be written", "100614"},
			} {
				check("json "+strings.Join(test[:3], " "), jsonLine(t, test[0], test[1], test[2], user), test[3])
			}
		}
	}
}

// suiteRules reads our rules of a dialect.
func suiteRules(t *testing.T, d Dialect) []rule {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../contrib", strings.ToLower(d.String()), rulesName))
	if err != nil {
		t.Fatal(err)
	}
	return readRules(t, string(data))
}

// TestRulesStandInOrder: the engines look up what a rule builds on among those that they have read, and
// Wazuh goes on without (warning 7617). No rule of ours starts a response.
func TestRulesStandInOrder(t *testing.T) {
	for _, d := range []Dialect{OSSEC, Wazuh} {
		rules := suiteRules(t, d)
		groups := map[string]int{} // the last rule of a group
		places := map[string]int{}
		for i, r := range rules {
			places[r.ID] = i
			for group := range strings.SplitSeq(r.Group, ",") {
				if group != "" && r.MatchedSID+r.MatchedGroup == "" {
					groups[group] = i
				}
			}
			if r.ID < "100600" || r.ID > "100699" || r.Level > 0 && !slices.Equal(r.Options, []string{"no_ar"}) {
				t.Errorf("%v: rule %s: an id of others, or one that starts responses", d, r.ID)
			}
		}
		for i, r := range rules {
			for id := range strings.SplitSeq(r.SID+","+r.MatchedSID, ",") {
				if place, own := places[strings.TrimSpace(id)]; own && place >= i {
					t.Errorf("%v: rule %s builds on %s, which comes later", d, r.ID, id)
				}
			}
			if place, own := groups[r.MatchedGroup]; own && place > i {
				t.Errorf("%v: rule %s repeats the group %s, of which more comes later", d, r.ID, r.MatchedGroup)
			}
		}
		if len(places) != len(rules) {
			t.Errorf("%v: an id twice", d)
		}
	}
}

// TestRulesFit: rules that would keep the daemon from starting are left out.
func TestRulesFit(t *testing.T) {
	const includes = "<ossec_config><rules><include>syslog_rules.xml</include><include>ossec_rules.xml</include></rules></ossec_config>\n"
	rules := func(ids ...string) string {
		text := "<group name=\"x,\">\n"
		for _, id := range ids {
			text += "<rule id=\"" + id + "\" level=\"0\">\n</rule>\n"
		}
		return text + "</group>\n"
	}
	for _, test := range []struct {
		name, conf string
		files      map[string]string
		want       string
	}{
		{"OSSEC", includes, map[string]string{"rules/ossec_rules.xml": rules("600"),
			"rules/syslog_rules.xml": rules("1002")}, "added rules/ar_suite_rules.xml"},
		{"a rule that is commented out does not count", includes,
			map[string]string{"rules/ossec_rules.xml": "<!--" + rules("600") + "-->",
				"rules/syslog_rules.xml": rules("1002")},
			"left the suite's rules out: there is no rule 600, on which they build"},
		{"nor one in a file that is not included", includes,
			map[string]string{"rules/ossec_rules.xml": rules("600"), "rules/other_rules.xml": rules("1002", "100600")},
			"there is no rule 1002"},
		{"an id that is taken", strings.Replace(includes, "<include>s",
			"<include>local_rules.xml</include><include>s", 1),
			map[string]string{"rules/ossec_rules.xml": rules("600"), "rules/syslog_rules.xml": rules("1002"),
				"rules/local_rules.xml": rules("100600")}, "local_rules.xml has a rule 100600 already"},
		{"nothing included", "<ossec_config>\n</ossec_config>\n", nil,
			"ossec.conf does not include ossec_rules.xml"},
		{"a folder that is loaded whole",
			"<ossec_config><rules><rule_dir>rules</rule_dir></rules></ossec_config>\n", nil,
			"a rule_dir loads the folder rules in order of names"},
		{"Wazuh", "<ossec_config><ruleset><rule_dir>ruleset/rules</rule_dir><rule_dir>etc/rules</rule_dir></ruleset></ossec_config>\n",
			map[string]string{"bin/wazuh-execd": "", "ruleset/rules/0015-ossec_rules.xml": rules("600", "650"),
				"ruleset/rules/0020-syslog_rules.xml": rules("1002")}, "added etc/rules/ar_suite_rules.xml"},
		{"an old Wazuh", "<ossec_config><ruleset><rule_dir>etc/rules</rule_dir></ruleset></ossec_config>\n",
			map[string]string{"bin/wazuh-control": "", "ruleset/rules/0015-ossec_rules.xml": rules("600", "1002")},
			"there is no rule 650"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t, test.conf)
			for name, text := range test.files {
				h.put(name, text)
			}
			side := "ossec"
			if strings.Contains(test.name, "Wazuh") {
				side = "wazuh"
			}
			out := h.mustRun(Options{Rules: "../../contrib"})
			if !strings.Contains(out, test.want) {
				t.Errorf("printed %q, want %q", out, test.want)
			}
			installed := isThere(h.path("rules/"+rulesName)) || isThere(h.path("etc/rules/"+rulesName))
			if want := strings.HasPrefix(test.want, "added"); installed != want {
				t.Errorf("installed: %v, want %v", installed, want)
			}
			if included := strings.Contains(h.text("etc/ossec.conf"),
				"<include>"+rulesName); included != (installed && side == "ossec") {
				t.Errorf("included: %v", included)
			}
			with := h.text("etc/ossec.conf")
			h.mustRun(Options{}) // without the file at hand, it stays
			if h.text("etc/ossec.conf") != with {
				t.Errorf("it was dropped:\n%s", h.text("etc/ossec.conf"))
			}
			h.mustRun(Options{Remove: true})
			if isThere(h.path("rules/"+rulesName)) || isThere(h.path("etc/rules/"+rulesName)) {
				t.Error("they are there still")
			}
		})
	}
}
