package setup

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the snippets in contrib anew")

// TestContribIsWhatIsSetUp: the snippets are made of the same profiles.
func TestContribIsWhatIsSetUp(t *testing.T) {
	compare := func(path, want string) {
		t.Helper()
		path = filepath.Join("../../contrib", path)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s differs from what is set up (%v): run go test ./internal/setup -update", path, err)
		}
	}
	for d, folder := range map[Dialect]string{OSSEC: "ossec", Wazuh: "wazuh"} {
		for _, name := range ProfileNames() {
			text, err := snippet(name, d)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range refused([]byte(text), d) {
				t.Errorf("%s for %v: %s", name, d, fault)
			}
			compare(folder+"/"+name+".xml", text)
		}
		compare(folder+"/logs.xml", logsSnippet("/var/ossec"))
	}
}

// snippet returns the profile of that name as a file of its own, to be pasted into an
// ossec.conf by hand.
func snippet(name string, d Dialect) (string, error) {
	chosen, err := chosen([]string{name})
	if err != nil {
		return "", err
	}
	p := chosen[0]
	c := contents{commands: slices.Clone(p.commands), responses: p.responses}
	for _, r := range p.responses {
		if !slices.Contains(c.commands, r.command) {
			c.commands = append(c.commands, r.command)
		}
	}
	w := &writer{}
	w.comment("", append(slices.Clone(p.summary),
		"A <command> must come before what uses it; leave out those that you have already.",
		fmt.Sprintf("For %s's server; the option configure of install.sh does this for you.", d)))
	return w.String() + c.write(d), nil
}

// logsSnippet returns an <ossec_config> by which logcollector follows the suite's logs.
func logsSnippet(home string) string {
	w := &writer{}
	w.comment("", []string{
		"The suite's logs, for servers and agents alike: rules 601 to 606 and those of",
		"ar_suite_rules.xml read them.",
	})
	return w.String() + contents{localfile: logs(home)}.write(OSSEC)
}

// TestContribIsWellFormed: a strict reader takes all XML, and no comment holds "--".
func TestContribIsWellFormed(t *testing.T) {
	files, _ := filepath.Glob("../../contrib/*/*.xml")
	if len(files) < 14 {
		t.Fatalf("found only %q", files)
	}
	for _, file := range files {
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close() // only read from
		decoder := xml.NewDecoder(in)
		for {
			if _, err = decoder.Token(); err != nil {
				break
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// rule is a rule of OSSEC or Wazuh, as far as the tests understand one.
type rule struct {
	ID        string   `xml:"id,attr"`
	Level     int      `xml:"level,attr"`
	Frequency string   `xml:"frequency,attr"`
	SID       string   `xml:"if_sid"`
	Decoded   string   `xml:"decoded_as"`
	Match     string   `xml:"match"`
	Action    string   `xml:"action"`
	Status    string   `xml:"status"`
	Hostname  string   `xml:"hostname"`
	Location  string   `xml:"location"`
	Options   []string `xml:"options"`
	Field     []struct {
		Name string `xml:"name,attr"`
		Text string `xml:",chardata"`
	} `xml:"field"`
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
	line, decoder, action, status string
	fields                        map[string]string
	log                           string // where it was read
}

// fires tells whether the rule, without its if_sid, matches.
func (r rule) fires(e event) bool {
	if r.Frequency != "" || r.Decoded != "" && r.Decoded != e.decoder || r.Action != "" && r.Action != e.action || r.Status != "" && r.Status != e.status {
		return false
	}
	for _, f := range r.Field {
		text := strings.TrimSuffix(strings.TrimPrefix(f.Text, "^"), "$")
		if !strings.Contains(e.fields[f.Name], text) || text != f.Text && e.fields[f.Name] != text {
			return false
		}
	}
	for _, place := range []string{r.Hostname, r.Location} {
		if !strings.Contains(e.log, place) {
			return false
		}
	}
	return slices.ContainsFunc(strings.Split(r.Match, "|"), func(s string) bool {
		return strings.Contains(strings.ToLower(e.line), strings.ToLower(s))
	})
}

// alert returns the id of the rule that an event ends at: among those that hang on one
// rule the level 0 ones are tried first and then the highest, in the order of the files.
func alert(rules []rule, e event) string {
	at := ""
	for {
		var next *rule
		children := slices.Clone(rules)
		slices.SortStableFunc(children, func(a, b rule) int {
			rank := func(r rule) int {
				if r.Level == 0 {
					return -100
				}
				return -r.Level
			}
			return rank(a) - rank(b)
		})
		for i, r := range children {
			parents := strings.Split(strings.ReplaceAll(r.SID, " ", ""), ",")
			if slices.Contains(parents, at) && r.fires(e) {
				next = &children[i]
				break
			}
		}
		if next == nil {
			return at
		}
		at = next.ID
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
<rule id="601" level="3"><if_sid>600</if_sid><field name="script">firewall-drop.sh</field><field name="type">add</field></rule>
<rule id="602" level="3"><if_sid>600</if_sid><field name="script">firewall-drop.sh</field><field name="type">delete</field></rule>
<rule id="607" level="3"><if_sid>600</if_sid></rule>
<rule id="650" level="0"><decoded_as>ar_log_json</decoded_as></rule>
<rule id="651" level="3"><if_sid>650</if_sid><match>active-response/bin/firewall-drop</match><field name="command">add</field></rule>
<rule id="657" level="3"><if_sid>650</if_sid></rule>
<rule id="1002" level="2"><match>failed|error|attack</match></rule>
</group>`
)

// TestRules: each line that the suite writes ends at the rule that is meant for it.
func TestRules(t *testing.T) {
	for _, side := range []struct {
		d     Dialect
		stock string
		want  map[string]string
	}{
		{OSSEC, stockOSSEC, map[string]string{}},
		{Wazuh, stockWazuh, map[string]string{"json add": "651", "json add custom": "100612", "json delete custom": "100613", "json failed": "100610", "json skipped": "100603", "json warned": "100614"}},
	} {
		data, err := os.ReadFile(filepath.Join("../../contrib", strings.ToLower(side.d.String()), rulesName))
		if err != nil {
			t.Fatal(err)
		}
		own := readRules(t, string(data))
		rules := append(readRules(t, side.stock), own...)
		for _, r := range own {
			if r.ID < "100600" || r.ID > "100699" || r.Level > 0 && !slices.Equal(r.Options, []string{"no_ar"}) {
				t.Errorf("%v: rule %s: an id of others, or one that starts responses", side.d, r.ID)
			}
		}
		for name, want := range map[string]string{
			"firewall-drop.sh add":               "601",
			"firewall-drop.sh delete":            "602",
			"custom-firewall-drop.sh add":        "100604",
			"custom-firewall-drop.sh delete":     "100605",
			"firewall-drop add":                  "100606",
			"route-null delete":                  "100607",
			"email-notification.sh add":          "100608",
			"firewall-drop.sh error":             "100600",
			"custom-firewall-drop.sh error":      "100600",
			"firewall-drop.sh skip":              "100602",
			"firewall-drop.sh warn":              "100609",
			"firewall-drop.sh skip, whitelisted": "100603",
			"report":                             "100620",
		} {
			if got := alert(rules, line(name)); got != want {
				t.Errorf("%v: %s ends at rule %s, want %s", side.d, name, got, want)
			}
		}
		for name, want := range side.want {
			if got := alert(rules, line(name)); got != want {
				t.Errorf("%v: %s ends at rule %s, want %s", side.d, name, got, want)
			}
		}
	}
}

// line makes up a line of that name, as pkg/arlog writes it and the stock decoders read it.
func line(name string) event {
	if name == "report" {
		return event{line: "    12 31103 SQL injection attack", log: "web->/var/ossec/logs/response-stats.log"}
	}
	if what, ok := strings.CutPrefix(name, "json "); ok {
		verb, custom, _ := strings.Cut(what, " ")
		program := "firewall-drop"
		if custom != "" {
			program = "custom-firewall-drop"
		}
		e := event{decoder: "ar_log_json", fields: map[string]string{"command": verb}}
		e.line = "2026/11/23 03:27:57 active-response/bin/" + program + `: {"version":1,"command":"` + verb + `"}`
		switch verb {
		case "failed":
			e.fields, e.line = nil, "2026/11/23 03:27:57 active-response/bin/firewall-drop: Failed: adding rule for 203.0.113.7"
		case "warned":
			e.fields, e.line = nil, "2026/11/23 03:27:57 active-response/bin/firewall-drop: Warning: the leases cannot be written"
		case "skipped":
			e.fields, e.line = nil, "2026/11/23 03:27:57 active-response/bin/firewall-drop: Skipped IP: 127.0.0.1: whitelisted by loopback"
		}
		return e
	}
	program, what, _ := strings.Cut(name, " ")
	status, more, _ := strings.Cut(what, ", ")
	message := map[string]string{
		"add": "Blocked IP: 203.0.113.7 (Rule: 5712)", "delete": "Unblocked IP: 203.0.113.7",
		"warn":  "Warning: the leases cannot be written",
		"error": "Failed: adding rule for 203.0.113.7: exit status 4", "skip": "Skipped IP: 203.0.113.7: still held by firewall-drop.sh (Rule: 5712)",
	}[status]
	if more != "" {
		message = "Skipped IP: 203.0.113.7: whitelisted by ossec.conf 203.0.113.0/24"
	}
	return event{
		line:    fmt.Sprintf("Mon Nov 23 03:27:57 UTC 2026 /var/ossec/active-response/bin/%s %s - 203.0.113.7 1304756247.60385 5712 - %s", program, status, message),
		decoder: "ar_log", action: program, status: status, fields: map[string]string{"script": program, "type": status},
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
		{"OSSEC", includes, map[string]string{"rules/ossec_rules.xml": rules("600"), "rules/syslog_rules.xml": rules("1002")}, "added rules/ar_suite_rules.xml"},
		{"a rule that is commented out does not count", includes, map[string]string{"rules/ossec_rules.xml": "<!--" + rules("600") + "-->", "rules/syslog_rules.xml": rules("1002")},
			"left the suite's rules out: there is no rule 600, on which they build"},
		{"nor one in a file that is not included", includes, map[string]string{"rules/ossec_rules.xml": rules("600"), "rules/other_rules.xml": rules("1002", "100600")},
			"there is no rule 1002"},
		{"an id that is taken", strings.Replace(includes, "<include>s", "<include>local_rules.xml</include><include>s", 1),
			map[string]string{"rules/ossec_rules.xml": rules("600"), "rules/syslog_rules.xml": rules("1002"), "rules/local_rules.xml": rules("100600")}, "local_rules.xml has a rule 100600 already"},
		{"nothing included", "<ossec_config>\n</ossec_config>\n", nil, "ossec.conf does not include ossec_rules.xml"},
		{"a folder that is loaded whole", "<ossec_config><rules><rule_dir>rules</rule_dir></rules></ossec_config>\n", nil, "a rule_dir loads the folder rules in order of names"},
		{"Wazuh", "<ossec_config><ruleset><rule_dir>ruleset/rules</rule_dir><rule_dir>etc/rules</rule_dir></ruleset></ossec_config>\n",
			map[string]string{"bin/wazuh-analysisd": "", "ruleset/rules/0015-ossec_rules.xml": rules("600", "650"), "ruleset/rules/0020-syslog_rules.xml": rules("1002")}, "added etc/rules/ar_suite_rules.xml"},
		{"an old Wazuh", "<ossec_config><ruleset><rule_dir>etc/rules</rule_dir></ruleset></ossec_config>\n",
			map[string]string{"bin/wazuh-control": "", "ruleset/rules/0015-ossec_rules.xml": rules("600", "1002")}, "there is no rule 650"},
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
			if included := strings.Contains(h.text("etc/ossec.conf"), "<include>"+rulesName); included != (installed && side == "ossec") {
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
