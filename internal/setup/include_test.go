package setup

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	stockRules    = "<group name=\"ossec,\"><rule id=\"600\" level=\"0\"></rule></group>\n"
	stockSyslog   = "<group name=\"syslog,\"><rule id=\"1002\" level=\"2\"></rule></group>\n"
	includeOSSEC  = "<include>ossec_rules.xml</include>"
	includeSyslog = "<include>syslog_rules.xml</include>"
	includeBoth   = includeSyslog + includeOSSEC
)

var suiteMark = includeMarks.begin + " (written by install.sh, which also takes it out again) -->"

// newRulesHome makes a home with the stock rules on which the suite's build.
func newRulesHome(t *testing.T, conf string) home {
	t.Helper()
	h := newHome(t, conf)
	h.put("rules/ossec_rules.xml", stockRules)
	h.put("rules/syslog_rules.xml", stockSyslog)
	return h
}

var withRules = Options{Profiles: []string{"ssh"}, Rules: "../../contrib"}

// TestIncludeJoinsTheRules: the include goes into the <rules> that is there, and into no
// other; every other byte stays, a second run changes nothing, and taken out the file is
// what it was.
func TestIncludeJoinsTheRules(t *testing.T) {
	lines := "<ossec_config>\n  <rules>\n    " + includeSyslog + "\n    " + includeOSSEC +
		"\n  </rules>\n</ossec_config>\n"
	ours := "    " + suiteMark + "\n    <include>" + rulesName + "</include>\n    " + includeMarks.end + "\n"
	inline := suiteMark + "<include>" + rulesName + "</include>" + includeMarks.end
	for _, test := range []struct {
		name, conf  string
		with, where string // what is added, and before what
	}{
		{"as installed", lines, ours, "  </rules>"},
		{"on one line", "<ossec_config><rules>" + includeBoth + "</rules></ossec_config>\n", inline, "</rules>"},
		{"the end behind the last include", "<ossec_config>\n<rules>\n  " + includeBoth +
			"</rules>\n</ossec_config>\n", inline, "</rules>"},
		{"tabs", "<ossec_config>\n\t<rules>\n\t\t" + includeBoth + "\n\t</rules>\n</ossec_config>\n",
			"\t  " + suiteMark + "\n\t  <include>" + rulesName + "</include>\n\t  " + includeMarks.end + "\n",
			"\t</rules>"},
		{"CRLF", strings.ReplaceAll(lines, "\n", "\r\n"), strings.ReplaceAll(ours, "\n", "\r\n"), "  </rules>"},
		{"no final newline", strings.TrimSuffix(lines, "\n"), ours, "  </rules>"},
		{"in the second root", "<ossec_config>\n</ossec_config>\n" + lines +
			"<ossec_config><global></global></ossec_config>", ours, "  </rules>"},
		{"one in a comment before", "<!--\n" + lines + "-->\n<ossec_config>\n<!-- <rules>\n  </rules> -->\n" +
			lines[len("<ossec_config>\n"):], ours, "  </rules>\n</ossec_config>\n\x00"},
		{"one in a comment behind", lines + "<!-- <ossec_config>\n<rules>" + includeBoth +
			"</rules>\n</ossec_config> -->\n", ours, "  </rules>\n"},
		{"its end in a comment", "<ossec_config>\n<rules>\n" + includeBoth +
			"\n<!-- </rules>\n-->\n</rules>\n</ossec_config>\n",
			strings.ReplaceAll(ours, "    ", "  "), "</rules>\n</ossec_config>"},
		{"empty ones beside", "<ossec_config><rules/><rules></rules></ossec_config>\n" + lines +
			"<ossec_config><rules>\n</rules></ossec_config>\n", ours, "  </rules>\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newRulesHome(t, test.conf)
			out := h.mustRun(withRules)
			with := h.text("etc/ossec.conf")
			place := strings.LastIndex(test.conf+"\x00", test.where)
			if !strings.HasSuffix(test.where, "\x00") {
				place = strings.Index(test.conf, test.where)
			}
			if want := test.conf[:place] + test.with + test.conf[place:]; !strings.HasPrefix(with, want) {
				t.Fatalf("(-want +got)\n%s", cmp.Diff(want, with))
			}
			if strings.Count(with, "<include>"+rulesName) != 1 || !strings.Contains(out,
				"added rules "+rulesName+"\n") {
				t.Errorf("not once, or not told: %s\n%s", out, with)
			}
			for _, again := range []Options{withRules, {}} {
				if out := h.mustRun(again); !strings.Contains(out, "ossec.conf is set up already") ||
					h.text("etc/ossec.conf") != with {
					t.Errorf("the second time it printed %q and made\n%s", out, h.text("etc/ossec.conf"))
				}
			}
			h.mustRun(Options{Remove: true})
			if diff := cmp.Diff(test.conf, h.text("etc/ossec.conf")); diff != "" {
				t.Errorf("taken out (-before +after):\n%s", diff)
			}
			if isThere(h.path("rules/" + rulesName)) {
				t.Error("the rules are there still")
			}
		})
	}
}

// TestIncludeMoves: the <rules> of its own, which earlier versions wrote, goes, and what was
// in it joins the one that is there.
func TestIncludeMoves(t *testing.T) {
	conf := "<ossec_config>\n  <rules>\n    " + includeBoth + "\n  </rules>\n</ossec_config>\n"
	for name, options := range map[string]Options{"with the rules at hand": withRules, "without": {},
		"and taken out at once": {Remove: true}} {
		t.Run(name, func(t *testing.T) {
			h := newRulesHome(t, "")
			h.put("rules/"+rulesName, "")
			old := marked([]string{"ssh"}, contents{rules: []string{rulesName}, whitelist: []string{"203.0.113.10"}},
				OSSEC)
			h.put("etc/ossec.conf", conf+old)
			out := h.mustRun(options)
			if !options.Remove {
				with := h.text("etc/ossec.conf")
				if strings.Count(with, "<rules>") != 1 || !strings.Contains(with,
					"    <include>"+rulesName+"</include>\n    "+includeMarks.end+"\n  </rules>") {
					t.Errorf("made\n%s", with)
				}
				if want := "moved rules " + rulesName +
					" into the <rules> at line 2: OSSEC goes by one only\n"; !strings.Contains(out, want) ||
					strings.Contains(out, "removed") {
					t.Errorf("printed %q, want %q", out, want)
				}
				h.mustRun(Options{Remove: true})
			}
			if got := h.text("etc/ossec.conf"); got != conf {
				t.Errorf("taken out: %q", got)
			}
		})
	}
}

// TestIncludeWithSeveralRules: OSSEC goes by the last that includes something, and so do we;
// that there are more is reported.
func TestIncludeWithSeveralRules(t *testing.T) {
	first := "<ossec_config>\n<rules>\n" + includeBoth + "\n</rules>\n</ossec_config>\n"
	for _, test := range []struct{ name, conf, want string }{
		{"both whole", first + "\n" + first,
			"warning: line 2: OSSEC forgets what this <rules> includes, for there is another at line 8: make them one\n"},
		{"the last has not what ours build on", first +
			"<ossec_config>\n<rules>\n<include>local_rules.xml</include>\n</rules>\n</ossec_config>\n",
			"left the suite's rules out: ossec.conf does not include ossec_rules.xml, on which they build, in the <rules> by which OSSEC goes\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newRulesHome(t, test.conf)
			if out := h.mustRun(withRules); !strings.Contains(out, test.want) {
				t.Errorf("printed %q, want %q", out, test.want)
			}
			with := h.text("etc/ossec.conf")
			at := strings.Index(with, "<include>"+rulesName)
			if strings.HasPrefix(test.want, "left") != (at < 0) || at >= 0 && at < len(first) {
				t.Errorf("included at %d in\n%s", at, with)
			}
			h.mustRun(Options{Remove: true})
			if got := h.text("etc/ossec.conf"); got != test.conf {
				t.Errorf("taken out: %q", got)
			}
		})
	}
}

// TestIncludeKeepsPlace: what others put behind it stays behind it, and what was included by
// hand is not included again.
func TestIncludeKeepsPlace(t *testing.T) {
	conf := "<ossec_config>\n<rules>\n" + includeBoth + "\n</rules>\n</ossec_config>\n"
	h := newRulesHome(t, conf)
	h.mustRun(withRules)
	later := "<include>later_rules.xml</include>\n"
	changed := strings.Replace(h.text("etc/ossec.conf"), "</rules>", later+"</rules>", 1)
	h.put("etc/ossec.conf", changed)
	h.mustRun(withRules)
	if got := h.text("etc/ossec.conf"); got != changed {
		t.Errorf("it moved:\n%s", got)
	}
	h.mustRun(Options{Remove: true})
	if got, want := h.text("etc/ossec.conf"), strings.Replace(conf, "</rules>", later+"</rules>",
		1); got != want {
		t.Errorf("taken out:\n%s", got)
	}

	byHand := strings.Replace(conf, "</rules>", "<include>"+rulesName+"</include>\n</rules>", 1)
	h.put("etc/ossec.conf", byHand)
	h.mustRun(withRules)
	if got := h.text("etc/ossec.conf"); strings.Count(got, "<include>"+rulesName) != 1 {
		t.Errorf("included twice:\n%s", got)
	}
	h.mustRun(Options{Remove: true})
	if got := h.text("etc/ossec.conf"); got != byHand || !isThere(h.path("rules/"+rulesName)) {
		t.Errorf("taken out:\n%s", got)
	}
}

// TestIncludeWithoutRules: where there is no <rules> any more, what was set up stays in one
// of its own.
func TestIncludeWithoutRules(t *testing.T) {
	h := newHome(t, "<ossec_config>\n<!-- <rules></rules> --><rules/>\n</ossec_config>\n"+
		marked([]string{"ssh"}, contents{rules: []string{rulesName}}, OSSEC))
	h.mustRun(Options{})
	if got := h.text("etc/ossec.conf"); !strings.Contains(got,
		"  <rules>\n    <include>"+rulesName+"</include>\n  </rules>\n") || strings.Contains(got,
		includeMarks.begin) {
		t.Errorf("made\n%s", got)
	}
}

func TestIncludeRefuses(t *testing.T) {
	for _, test := range []struct{ name, inside, want string }{
		{"an end without a beginning", includeBoth + "\n" + includeMarks.end, "line 3: the marks of the block"},
		{"two beginnings", includeBoth + includeMarks.begin + " -->" + includeMarks.begin + " -->" +
			includeMarks.end, "the marks of the block"},
		{"an include that is never closed", includeBoth + "\n<include>x",
			"line 2: the <include> that would be added to this <rules> could not be read there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conf := "<ossec_config>\n<rules>" + test.inside + "</rules>\n</ossec_config>\n"
			h := newRulesHome(t, conf)
			if _, err := h.run(withRules); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if h.text("etc/ossec.conf") != conf || len(h.backups()) > 0 {
				t.Error("it changed something")
			}
		})
	}
}

// FuzzInclude: what is put into a <rules> is found there again, a second time changes
// nothing, and taken out the file is as it was.
func FuzzInclude(f *testing.F) {
	for _, seed := range []string{"", "\n", includeBoth, "\r\n  ", "<!--", "-->", "</rules>", "<rules>",
		"\x00\xff\r", "<a>"} {
		f.Add(seed, "  ", "\n")
		f.Add("\n"+includeBoth+"\n", seed, seed)
	}
	f.Fuzz(func(t *testing.T, before, inside, after string) {
		data := []byte(before + "<ossec_config><rules>" + inside + "</rules>" + after + "</ossec_config>")
		if _, there, err := includeMarks.find(data); err != nil || there {
			return // marks of its own
		}
		if _, found := rulesIn(data); !found {
			return
		}
		with, err := setInclude(data, rulesName)
		if err != nil {
			return // refused
		}
		if again, err := setInclude(with, rulesName); err != nil || string(again) != string(with) {
			t.Errorf("again: %q, %v; was %q", again, err, with)
		}
		if r, _ := rulesIn(with); !slices.Contains(r.includes, rulesName) {
			t.Errorf("not included by %q", with)
		}
		if got, err := setInclude(with, ""); err != nil || string(got) != string(data) {
			t.Errorf("taken out: %q, %v; was %q", got, err, data)
		}
	})
}
