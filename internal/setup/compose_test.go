package setup

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestComposeAddsNothingTwice: what is there already, under whatever name, is used or
// left out.
func TestComposeAddsNothingTwice(t *testing.T) {
	const (
		drop = "<command><name>NAME</name><executable>EXECUTABLE</executable><expect>srcip</expect><timeout_allowed>yes</timeout_allowed></command>"
		mail = "<command><name>mailer</name><executable>email-notification.sh</executable><expect>srcip,user</expect></command>"
		logs = "<localfile><log_format>syslog</log_format><location>/var/ossec/logs/active-responses.log</location></localfile>" +
			"<localfile><log_format>syslog</log_format><location>logs/notifications.log</location></localfile>" +
			"<localfile><log_format>syslog</log_format><location>/var/ossec/logs/response-*.log</location></localfile>"
	)
	command := func(name, executable string) string {
		return strings.NewReplacer("NAME", name, "EXECUTABLE", executable).Replace(drop)
	}
	response := func(inside string) string {
		return "<active-response><location>local</location>" + inside + "</active-response>"
	}
	for _, test := range []struct {
		name        string
		conf, after string // before the block, and behind it
		profiles    string
		dialect     Dialect
		want        []string // what is added
		notes       []string
	}{
		{
			name: "commands of other names", profiles: "mail,web",
			conf: logs + mail + command("block", "firewall-drop.sh"),
			want: []string{
				"command web-attack-block (custom-firewall-drop.sh)",
				"active-response block: rules 31151,31152,31153, for 1800 s",
				"active-response web-attack-block: rules 31103,31104,31106,31108,31109, for 3600 s",
				"active-response mailer: rules 5712,5720,31151",
			},
			notes: []string{"localfile", "localfile", "localfile", "command block is there already (line 1)",
				"command mailer is there already (line 1)"},
		},
		{
			name: "a command of Wazuh's, without .sh", profiles: "mail", dialect: Wazuh,
			conf: logs + "<command><name>email</name><executable>email-notification</executable></command>",
			want: []string{"active-response email: rules 5712,5763,5720,31151"}, notes: []string{"localfile",
				"localfile", "localfile", "command email "},
		},
		{
			name: "a command that gets no address does not do", profiles: "mail",
			conf: logs + "<command><name>email-alert</name><executable>email-notification.sh</executable><expect></expect></command>",
			want: []string{"command email-alert-ar (email-notification.sh)",
				"active-response email-alert-ar: rules 5712,5720,31151"},
			notes: []string{"localfile", "localfile", "localfile"},
		},
		{
			name: "nor one without a timeout, nor one behind the block", profiles: "severity",
			conf:  logs + "<command><name>firewall-drop</name><executable>firewall-drop.sh</executable><expect>srcip</expect></command>",
			after: mail + command("firewall-drop-ar", "other.sh") + command("host-deny", "host-deny.sh"),
			want: []string{
				"command firewall-drop-ar3 (firewall-drop.sh)", "command host-deny-ar (host-deny.sh)",
				"command email-alert (email-notification.sh)",
				"active-response firewall-drop-ar3: level 12 and up, for ever",
				"active-response host-deny-ar: level 8 and up, for 1800 s",
				"active-response email-alert: level 6 and up",
			},
			notes: []string{"localfile", "localfile", "localfile"},
		},
		{
			name: "rules for which it runs already", profiles: "ssh",
			conf: logs + command("fw", "firewall-drop") + command("hosts.deny", "host-deny.sh") + command("null",
				"route-null.sh") +
				response("<command>fw</command><rules_id>5720, 31151</rules_id><timeout>60</timeout>") +
				response("<command>hosts.deny</command><rules_id>5711</rules_id><timeout>60</timeout>"),
			want: []string{"active-response fw: rules 5712, for 600 s"},
			notes: []string{"localfile", "localfile", "localfile", "command fw", "command hosts.deny", "command null",
				"firewall-drop.sh for rule 5720 is there already (line 1)",
				"host-deny.sh for rule 5711 is there already"},
		},
		{
			name: "the second name has blocks of its own", profiles: "web",
			conf: logs + command("firewall-drop", "firewall-drop.sh") +
				response("<command>firewall-drop</command><rules_id>31103,31151,31152,31153</rules_id>"),
			want: []string{
				"command web-attack-block (custom-firewall-drop.sh)",
				"active-response web-attack-block: rules 31103,31104,31106,31108,31109, for 3600 s",
			},
			notes: []string{"localfile", "localfile", "localfile", "firewall-drop.sh for rule 31151",
				"firewall-drop.sh for rule 31152", "firewall-drop.sh for rule 31153"},
		},
		{
			name: "levels, and those of a switched off response do not count", profiles: "severity",
			conf: logs + mail + command("firewall-drop", "firewall-drop.sh") + command("host-deny", "host-deny.sh") +
				response("<command>firewall-drop</command><level>6</level><timeout>600</timeout>") +
				response("<command>host-deny</command><level>8</level><timeout>600</timeout>") +
				response("<disabled>yes</disabled><command>mailer</command><level>6</level>"),
			want: []string{"active-response firewall-drop: level 12 and up, for ever",
				"active-response mailer: level 6 and up"},
			notes: []string{"localfile", "localfile", "localfile",
				"warning: line 1: firewall-drop.sh already runs from level 6 on, for 600 s: ", "command firewall-drop",
				"host-deny.sh from level 8 on is there already", "command mailer",
				"warning: line 1: <disabled>yes</disabled> switches all active responses off"},
		},
		{
			name: "repeated offenders once, and one response for what joins", profiles: "mail,severity,ssh,repeat",
			conf: logs + "<active-response><disabled>no</disabled><repeated_offenders>5,10</repeated_offenders></active-response>",
			want: []string{
				"command firewall-drop (firewall-drop.sh)", "command host-deny (host-deny.sh)",
				"command route-null (route-null.sh)", "command email-alert (email-notification.sh)",
				"active-response firewall-drop: rules 5712, for 3600 s",
				"active-response firewall-drop: rules 5720, for 600 s",
				"active-response host-deny: rules 5711, for 300 s",
				"active-response firewall-drop: level 12 and up, for ever",
				"active-response host-deny: level 8 and up, for 1800 s",
				"active-response email-alert: level 6 and up or rules 5712,5720,31151",
			},
			notes: []string{"localfile", "localfile", "localfile", "repeated_offenders is there already"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			profiles, err := chosen(strings.Split(test.profiles, ","), test.dialect)
			if err != nil {
				t.Fatal(err)
			}
			root := func(inside string) []byte { return []byte("<ossec_config>" + inside + "</ossec_config>") }
			r := request{home: "/var/ossec", dialect: test.dialect, profiles: profiles}
			c, notes := r.compose(look(root(test.conf)), look(append(root(test.conf), root(test.after)...)))
			if diff := cmp.Diff(test.want, c.summary()); diff != "" {
				t.Errorf("added (-want +got):\n%s", diff)
			}
			if !slices.EqualFunc(notes, test.notes, strings.HasPrefix) {
				t.Errorf("notes:\n%s\nwant\n%s", strings.Join(notes, "\n"), strings.Join(test.notes, "\n"))
			}
		})
	}
}

// TestComposeIsTakenByOSSEC: every choice of profiles makes what OSSEC's and Wazuh's
// readers take, by what is known of them.
func TestComposeIsTakenByOSSEC(t *testing.T) {
	names := ProfileNames()
	for set := 1; set < 1<<len(names); set++ {
		var some []string
		for i, name := range names {
			if set&(1<<i) != 0 {
				some = append(some, name)
			}
		}
		for _, d := range []Dialect{OSSEC, Wazuh} {
			profiles, err := chosen(some, d)
			if err != nil {
				t.Fatal(err)
			}
			r := request{home: "/var/ossec", dialect: d, profiles: profiles, whitelist: []string{"203.0.113.10"},
				rules: rulesName}
			c, _ := r.compose(found{}, found{})
			for _, fault := range refused([]byte(marked(some, c, d)), d) {
				t.Errorf("%s, %v: %s", strings.Join(some, ","), d, fault)
			}
		}
	}
}

// refused returns what OSSEC or Wazuh would refuse or misread.
func refused(text []byte, d Dialect) []string {
	var faults []string
	fault := func(what string) { faults = append(faults, what) }
	all, err := blocks(text)
	if err != nil {
		fault(err.Error())
	}
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	commands := map[string]*block{}
	seen := map[string]bool{}
	responses := 0
	for _, b := range all {
		switch b.name {
		case "command":
			if commands[b.leaves["name"]] != nil {
				fault("two commands " + b.leaves["name"])
			}
			commands[b.leaves["name"]] = b
			if d == OSSEC && b.leaves["expect"] != "srcip" {
				fault("a command that gets no address")
			}
		case "active-response":
			responses++
			name, timeout := b.leaves["command"], b.leaves["timeout"]
			cmd := commands[name]
			if cmd == nil {
				fault("an active-response before its command " + name)
				continue
			}
			if timeout != "" && !digits(timeout) {
				fault("timeout " + timeout)
			}
			if (timeout != "") != (cmd.leaves["timeout_allowed"] == "yes") {
				fault("a timeout that is not allowed, or none that is: error 1305")
			}
			if level := b.leaves["level"]; level != "" && !digits(level) || level == "" && b.leaves["rules_id"] == "" {
				fault("level " + level)
			}
			for _, id := range strings.Split(b.leaves["rules_id"], ",") {
				if id != "" && !digits(id) {
					fault("rules_id " + b.leaves["rules_id"])
				}
				if key := cmd.leaves["executable"] + " " + id; id != "" && seen[key] {
					fault("twice " + key)
				} else {
					seen[key] = true
				}
			}
			if _, ok := b.leaves["repeated_offenders"]; ok && responses != 1 {
				fault("repeated_offenders where execd does not read it")
			}
			if d == Wazuh && b.leaves["disabled"] != "no" {
				fault("Wazuh wants <disabled> everywhere")
			}
		}
	}
	return faults
}

// FuzzBlock: what is put into a file and taken out leaves it as it was, and it is found
// again.
func FuzzBlock(f *testing.F) {
	for _, seed := range []string{"", "\n", "<ossec_config>\n</ossec_config>", "a\r\nb", "\r\n", "<!--",
		"\x00\xff\r"} {
		f.Add([]byte(seed), []byte("x\n"))
		f.Add([]byte("x"), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, data, more []byte) {
		d, err := split(data)
		if err != nil || len(d.block) > 0 {
			return // marks of its own
		}
		block := marked([]string{"ssh"}, contents{whitelist: []string{"203.0.113.10"}}, OSSEC)
		with := d.with(block)
		again, err := split(with)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.with(""); string(got) != string(data) {
			t.Errorf("taken out: %q, was %q", got, data)
		}
		// The line ends of the file may have become those of the block.
		if got := again.with(string(again.block)); lineEnds("\n", with) == "\n" && lineEnds("\n", data) == "\n" &&
			string(got) != string(with) {
			t.Errorf("put in again: %q, was %q", got, with)
		}
		// What others write behind it stays.
		behind := append(slices.Clone(with), more...)
		if d, err := split(behind); err == nil {
			if got := d.with(""); string(got) != string(data)+string(more) && (len(d.before) == 0 ||
				bytes.HasSuffix(d.before, []byte("\n"))) {
				t.Errorf("%q is lost of %q", more, got)
			}
		}
	})
}

// FuzzSetUp: whatever an ossec.conf holds, setting up a second time changes nothing, and taken out the file is
// what it was.
func FuzzSetUp(f *testing.F) {
	example, err := os.ReadFile("testdata/ossec.conf")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", string(example), "<ossec_config>\n</ossec_config>",
		"<ossec_config><rules><include>a</include></rules>",
		"<ossec_config><command><name>x</name><executable>firewall-drop.sh</executable><expect>srcip</expect>"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, wazuh bool) {
		r := request{home: "/var/ossec", whitelist: []string{"203.0.113.10"}}
		if wazuh {
			r.dialect = Wazuh
		} else {
			r.rules = rulesName
		}
		if r.profiles, err = chosen(ProfileNames(), r.dialect); err != nil {
			t.Fatal(err)
		}
		setUp := func(data []byte) ([]byte, error) {
			d, err := split(data)
			if err != nil {
				return nil, err
			}
			c, _ := r.compose(look(d.before), look(masked(d.rest())))
			return r.apply(d, c)
		}
		if _, there, err := includeMarks.find(data); there || err != nil {
			return // marks of its own
		}
		if _, there, err := blockMarks.find(data); there || err != nil {
			return
		}
		with, err := setUp(data)
		if err != nil {
			return // refused
		}
		if again, err := setUp(with); err != nil || string(again) != string(with) {
			t.Errorf("the second time: %v\n%q\nthe first:\n%q", err, again, with)
		}
		without, err := setInclude(with, "")
		if err != nil {
			t.Fatal(err)
		}
		d, err := split(without)
		if err != nil || string(d.with("")) != string(data) {
			t.Errorf("taken out: %v\n%q\nit was\n%q", err, d.with(""), data)
		}
	})
}
