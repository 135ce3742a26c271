package crontab_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/ossec-ar/ossec-ar/internal/crontab"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		line   string
		system bool
		want   crontab.Entry
		found  bool
	}{
		{"*/5 * * * *   root   /bin/a b  >/dev/null\n", true, crontab.Entry{When: "*/5 * * * *", User: "root",
			Command: "/bin/a b  >/dev/null"}, true},
		{"\t59 23\t* * *\troot\tA=b /bin/a", true, crontab.Entry{When: "59 23 * * *", User: "root",
			Command: "A=b /bin/a"}, true},
		{"@reboot root sleep 30; /bin/a", true, crontab.Entry{When: "@reboot", User: "root",
			Command: "sleep 30; /bin/a"}, true},
		{"*/5 * * * * /bin/a b", false, crontab.Entry{When: "*/5 * * * *", Command: "/bin/a b"}, true},
		{"-*/5 * * * * root /bin/a", true, crontab.Entry{When: "*/5 * * * *", User: "root", Command: "/bin/a"},
			true},
		{"*/5 * * * * /bin/a", true, crontab.Entry{When: "*/5 * * * *", User: "/bin/a"}, true},
		{"*/5 * * *", true, crontab.Entry{When: "*/5 * * *"}, true},
		{"", true, crontab.Entry{}, false},
		{"  # */5 * * * * root /bin/a", true, crontab.Entry{}, false},
		{"PATH=/sbin:/bin", true, crontab.Entry{}, false},
		{"MAILTO = root", true, crontab.Entry{}, false},
	} {
		if got, found := crontab.Parse(test.line, test.system); got != test.want || found != test.found {
			t.Errorf("%q: got %+v, %v, want %+v", test.line, got, found, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for when, want := range map[string]string{ // "" for none
		"* * * * *":            "",
		"*/5 0-6,12 1 jan SUN": "",
		"59 23 31 12 7":        "",
		"0 0 29 2 *":           "",
		"0 0 31 1-3 *":         "",
		"0~59 0 * * *":         "",
		"5/10 * * * *":         "",
		"@reboot":              "",
		"@daily":               "",
		"0 0 31 2 1":           "", // on Mondays of February
		"*/5x * * * *":         `minute: "5x" is no step`,
		"*/0 * * * *":          `minute: "0" is no step`,
		"61 * * * *":           `minute: "61" is not within 0 and 59`,
		"+5 * * * *":           `minute: "+5" is not within`,
		"* 24 * * *":           `hour: "24"`,
		"* * 0 * *":            `day of the month: "0"`,
		"* * * 13 *":           `month: "13"`,
		"* * * * 8":            `day of the week: "8"`,
		"30-10 * * * *":        `minute: "30-10"`,
		"1,,2 * * * *":         `minute: ""`,
		"* * * * root":         `day of the week: "root"`,
		"* * * *":              "4 fields",
		"@sometimes":           `"@sometimes" is no word of cron's`,
		"0 0 31 2 *":           "it never comes",
		"0 0 30-31 2 */2":      "it never comes",
		"0 0 31 4,jun,9,11 *":  "it never comes",
	} {
		err := crontab.Check(when)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", when, err, want)
		}
	}
}

// FuzzParse: a line that is read is one that is read again from what was found in it, and no time makes Check
// fail otherwise than by an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"* * * * * root true", "@reboot root x", "-*/5 1-5 * jan sun root  a b",
		"A=b", "# x", "1~5,7 * 31 2 * r c"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, line string, system bool) {
		e, found := crontab.Parse(line, system)
		if !found || strings.ContainsFunc(line, func(r rune) bool {
			return unicode.IsSpace(r) && r != ' ' &&
				r != '\t'
		}) {
			return
		}
		_ = crontab.Check(e.When)
		again, found := crontab.Parse(strings.TrimSpace(e.When+" "+e.User)+" "+e.Command, system)
		if e.Command != "" && !strings.HasPrefix(e.When, "-") && !strings.Contains(e.When, "=") && (!found ||
			again != e) {
			t.Errorf("%q reads as %+v, and that as %+v", line, e, again)
		}
	})
}
