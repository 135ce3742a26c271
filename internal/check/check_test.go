package check

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// want checks that one row has the verdict and a finding with the text in it, that it
// says what mends it, and that nothing else is wrong.
func want(t *testing.T, rows []Finding, verdict enforcer.Verdict, what, text, mend string) {
	t.Helper()
	seen := false
	for _, f := range rows {
		if f.What == what && f.Verdict == verdict && strings.Contains(f.Found, text) {
			seen = true
			if !strings.Contains(f.Mend, mend) || (verdict == enforcer.Fault || verdict == enforcer.Warn) && f.Mend == "" {
				t.Errorf("%s: mend is %q, want ...%s...", what, f.Mend, mend)
			}
			continue
		}
		if f.Verdict == enforcer.Fault || f.Verdict == enforcer.Warn {
			t.Errorf("besides: %s %s: %s (mend: %s)", f.Verdict, f.What, f.Found, f.Mend)
		}
	}
	if !seen {
		t.Errorf("no row %s %s: ...%s... in %+v", verdict, what, text, rows)
	}
}

func TestAllWell(t *testing.T) {
	for name, conf := range map[string]string{"server": goodConf, "agent": agentConf} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.write("var/ossec/etc/ossec.conf", conf)
			p.process(103, "ossec-agentd", 6000)
			for _, f := range p.look() {
				if f.Verdict == enforcer.Fault || f.Verdict == enforcer.Warn || f.Mend != "" {
					t.Errorf("%s %s: %s (mend: %s)", f.Verdict, f.What, f.Found, f.Mend)
				}
				if onlyServer := f.What == "level" || f.What == "order" || f.What == "commands"; onlyServer && (f.Verdict == enforcer.Skip) != (name == "agent") {
					t.Errorf("%s %s: %s", f.Verdict, f.What, f.Found)
				}
			}
			if status := p.host.run(t.Context()); status != app.ExitOK {
				t.Errorf("exit status %d", status)
			}
			if !strings.HasSuffix(p.out.String(), "\nno fault, no warning\n") {
				t.Errorf("the output ends in %q", p.out.String())
			}
		})
	}
}

// TestAbsent: without OSSEC it is a short page without a fault, and says how to try.
func TestAbsent(t *testing.T) {
	p := newPlace(t)
	p.remove("var/ossec/etc")
	p.remove("var/ossec/bin/ossec-control")
	p.options.Width = 80
	h := p.made()
	h.subjects = append(h.subjects, &Subject{Name: "host-deny", Failure: errors.New("no file")},
		&Subject{Name: "email-notification"})
	if status := h.run(t.Context()); status != app.ExitOK {
		t.Errorf("exit status %d", status)
	}
	text := p.out.String()
	for _, want := range []string{"\nskip   OSSEC or Wazuh ", "\nok     firewall-drop leases ", "\nskip   host-deny ",
		"/ossec-ar block 192.0.2.1 --for 1m\n", "\nno fault, no warning\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "ossec.conf") {
		t.Errorf("not short:\n%s", text)
	}
}

// TestOwnTest: what the daemons refuse is a fault before they are stopped.
func TestOwnTest(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: what is run as root must be root's")
	}
	const daemon = "var/ossec/bin/ossec-analysisd"
	p := newPlace(t)
	p.write(daemon, "#!/bin/sh\nexit 0\n")
	p.chmod(daemon, 0o755)
	want(t, p.look(), isOK, "daemons' own test", "no daemon refuses the configuration", "")
	p.write(daemon, "#!/bin/sh\necho 'ERROR: Invalid element' >&2\nexit 1\n")
	want(t, p.look(), isFault, "daemons' own test", "ERROR: Invalid element", "correct that")
}

// TestFolds: on a terminal only the commands that mend are wider than that.
func TestFolds(t *testing.T) {
	p := newPlace(t)
	p.conf("<timeout>600</timeout>", "<timeout>10m</timeout><level>8,9</level>")
	p.options.Width = 80
	p.made().run(t.Context())
	for line := range strings.Lines(p.out.String()) {
		if len(line) > 81 && !strings.Contains(line, "mend: ") && strings.Contains(strings.TrimSpace(line[8:]), " ") {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
}

func TestOutputIsSafe(t *testing.T) {
	p := newPlace(t)
	p.conf("<timeout>600</timeout>", "<timeout>\x1b[2J\nok  all is well</timeout>")
	p.look()
	if status := p.host.run(t.Context()); status != app.ExitFailed {
		t.Errorf("exit status %d", status)
	}
	text := p.out.String()
	if strings.ContainsAny(text, "\x1b\t\r") || strings.Contains(text, "\nok  all is well") {
		t.Errorf("text from ossec.conf moves the terminal: %q", text)
	}
	if !strings.Contains(text, "\nFAULT  timeout ") || !strings.Contains(text, "\n       mend: write it in seconds: <timeout>600</timeout>\n") {
		t.Errorf("no fault in\n%s", text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 5 && line[5] != ' ' && !strings.Contains(line, "fault") {
			t.Errorf("not aligned: %q", line)
		}
	}
}

func TestJSON(t *testing.T) {
	p := newPlace(t)
	p.remove("proc/100")
	p.options.JSON = true
	p.look()
	if status := p.host.run(t.Context()); status != app.ExitFailed {
		t.Errorf("exit status %d", status)
	}
	var got struct {
		Responses        []string
		Home, Role       string
		Faults, Warnings int
		Rows             []struct{ What, Verdict, Finding, Mend string }
	}
	if err := json.Unmarshal(p.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Responses, []string{"firewall-drop"}) || got.Home != p.home || got.Role != "server" || got.Faults != 1 || got.Warnings != 0 {
		t.Errorf("got %+v", got)
	}
	for _, r := range got.Rows {
		if r.What == "daemons" && (r.Verdict != "fault" || r.Mend != p.home+"/bin/ossec-control start" || r.Finding == "") {
			t.Errorf("got %+v", r)
		}
	}
}

// One that no daemon calls is not asked about commands and leases.
func TestFromCron(t *testing.T) {
	p := newPlace(t)
	p.write("var/ossec/active-response/bin/response-stats", "")
	p.chmod("var/ossec/active-response/bin/response-stats", 0o755)
	p.link("response-stats", "var/ossec/active-response/bin/response-stats.sh")
	p.write("etc/cron.d/response-stats", "59 23 * * * root "+p.home+"/active-response/bin/response-stats.sh\n")
	p.tool = Subject{Name: "response-stats", FromCron: true, Jobs: []Job{{When: "59 23 * * *", Why: "no report is made"}}}
	rows := p.look()
	want(t, rows, enforcer.OK, "cron: response-stats", "etc/cron.d/response-stats", "")
	for _, f := range rows {
		if f.What == "response-stats commands" || f.What == "response-stats leases" {
			t.Errorf("a row %s", f.What)
		}
	}
	p.remove("etc/cron.d/response-stats")
	want(t, p.look(), enforcer.Warn, "cron: response-stats", "no report is made", "59 23 * * * root")
}

// TestNoneCalled: where daemons call no response, one sentence says so, and what to do.
func TestNoneCalled(t *testing.T) {
	const rest = "<localfile><log_format>syslog</log_format><location>logs/*.log</location></localfile></ossec_config>"
	for _, test := range []struct{ name, conf, what, text, mend string }{
		{"no active-response", "<ossec_config>" + rest, "blocks", "has no <active-response>: nothing is ever called", "/ossec-ar configure"},
		{"others only", "<ossec_config><command><name>other</name><executable>other.sh</executable></command>" +
			"<active-response><command>other</command><location>local</location></active-response>" + rest,
			"commands", "/etc/ossec.conf has no response of this suite called", "/ossec-ar configure"},
		{"agent", "<ossec_config><client><server-ip>192.0.2.99</server-ip></client>" + rest, "commands",
			"/etc/shared/ar.conf names no response of this suite: none is ever called here", "on the server"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			p.write("var/ossec/etc/ossec.conf", test.conf)
			p.remove("var/ossec/etc/shared/ar.conf")
			p.write("var/ossec/active-response/bin/other.sh", "")
			p.process(103, "ossec-agentd", 6000)
			h := p.made()
			h.subjects = append(h.subjects, &Subject{Name: "host-deny", Failure: errors.New("no file")}, &Subject{Name: "email-notification"})
			want(t, h.findings(t.Context()), isFault, test.what, test.text, test.mend)
		})
	}
}

// TestNoListOnce: that ar.conf is missing is said once, and not of each response.
func TestNoListOnce(t *testing.T) {
	p := newPlace(t)
	p.conf("<active-response>\n", "<command><name>deny</name><executable>host-deny</executable><expect>srcip</expect></command>\n"+
		"<active-response><command>deny</command><location>local</location><rules_id>1</rules_id></active-response>\n<active-response>\n")
	p.write("var/ossec/active-response/bin/host-deny", "")
	p.chmod("var/ossec/active-response/bin/host-deny", 0o755)
	p.remove("var/ossec/etc/shared/ar.conf")
	h := p.made()
	h.subjects = append(h.subjects, &Subject{Name: "host-deny"})
	want(t, h.findings(t.Context()), isFault, "firewall-drop ar.conf", "is not there", "ossec-analysisd then writes it")
}

// TestSeveral: of several responses, those that nothing uses are passed over.
func TestSeveral(t *testing.T) {
	p := newPlace(t)
	h := p.made()
	h.subjects = append(h.subjects, &Subject{Name: "host-deny", Failure: errors.New("no file")}, &Subject{Name: "email-notification"})
	rows := h.findings(t.Context())
	for _, what := range []string{"host-deny", "email-notification"} {
		want(t, rows, enforcer.Skip, what, "nothing on this host uses it", "")
	}
	p.write("var/ossec/etc/shared/ar.conf", "firewall-drop600 - firewall-drop.sh - 600\nhost-deny600 - host-deny.sh - 600\n")
	seen := false
	for _, f := range h.findings(t.Context()) {
		seen = seen || f.What == "host-deny enforcer" && f.Verdict == enforcer.Fault && f.Found == "no file"
	}
	if !seen {
		t.Error("host-deny is in ar.conf and was not looked at")
	}
	p.write("var/ossec/etc/shared/ar.conf", "firewall-drop600 - firewall-drop.sh - 600\n")
	byHand := *p.subject.Hold
	byHand.Leases = lease.New(p.path("var/ossec/var/active-response"), "route-null")
	p.check(byHand.Leases.Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: target.MustParse("203.0.113.7"), Program: "ossec-ar", Since: now, Renewed: now})
	}))
	h.subjects = append(h.subjects, &Subject{Name: "route-null", Hold: &byHand})
	for _, f := range h.findings(t.Context()) {
		if f.What == "route-null ar.conf" && f.Verdict != enforcer.Skip {
			t.Errorf("used by hand: %s %s: %s", f.Verdict, f.What, f.Found)
		}
	}
}
