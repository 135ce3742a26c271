package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// form runs the sample's report of the day in a form; the home in its paths is
// replaced by the usual one.
func form(t *testing.T, args ...string) string {
	t.Helper()
	h := newHost(t).sample()
	return strings.ReplaceAll(h.must(args...), h.home, "/var/ossec")
}

func TestForms(t *testing.T) {
	golden(t, "week.txt", form(t, "--week"))
	golden(t, "all.txt", form(t, "--all"))
	golden(t, "filtered.txt", form(t, "--all", "--response", "firewall-drop", "--rule", "5712", "--rule", "5763", "--address", "203.0.113.0/24"))
	golden(t, "today.csv", form(t, "--date", "today", "--csv"))
	golden(t, "today.json", form(t, "--date", "today", "--json"))
	golden(t, "week.html", form(t, "--week", "--html"))
	golden(t, "today.html", form(t, "--date", "today", "--html"))
	golden(t, "today.prom", form(t, "--metrics"))
}

func TestJSONReads(t *testing.T) {
	var r stats.Report
	if err := json.Unmarshal([]byte(form(t, "--date", "today", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != 1 || r.Totals.Blocks != 8 || len(r.TopAddresses) != 3 || r.TopAddresses[0].Address.String() != "203.0.113.7" {
		t.Errorf("%+v", r)
	}
	text, err := os.ReadFile("../../docs/response-stats-json.md")
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	_ = json.Unmarshal([]byte(form(t, "--date", "today", "--json")), &fields)
	walkFields(fields, func(name string) {
		if !bytes.Contains(text, []byte("`"+name+"`")) {
			t.Errorf("docs/response-stats-json.md does not describe %s", name)
		}
	})
}

func walkFields(v any, visit func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			visit(name)
			walkFields(inner, visit)
		}
	case []any:
		for _, inner := range v {
			walkFields(inner, visit)
		}
	}
}

// hostile is a log and alerts whose texts try to break out of every form.
func hostile(t *testing.T) *host {
	h := newHost(t)
	const text = `=cmd|'/c calc'!A1<script>alert(1)</script>"},{\" & "` + "\x1b[2J\u202e"
	rule := fmt.Sprintf("%q", text)
	h.write("logs/active-responses.log", `2026/11/23 10:00:00 active-response/bin/<b>x</b>"\{evil}: `+
		`{"version":1,"command":"add","parameters":{"alert":{"rule":{"id":"1\"><script>","description":`+rule+`},"data":{"srcip":"203.0.113.9"}}}}`+"\n", time.Time{})
	return h
}

func TestHostileTexts(t *testing.T) {
	h := hostile(t)
	for _, args := range [][]string{{"--date", "today"}, {"--html"}, {"--csv"}, {"--metrics"}, {"--json"}} {
		out := h.must(args...)
		if strings.ContainsAny(out, "\x1b\x00") || strings.Contains(out, "\u202e") && args[0] != "--json" {
			t.Errorf("%s: control characters in %q", args, out)
		}
		if args[0] == "--html" && (strings.Contains(out, "<script") || strings.Contains(out, "<b>x")) {
			t.Errorf("not escaped: %s", out)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(h.must("--csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.HasPrefix(cell, "=") {
				t.Errorf("%q is a formula", cell)
			}
		}
	}
	r := &stats.Report{Rules: []stats.RuleCount{{ID: "1", Description: "</td><script>"}}}
	letter, err := fill(mailText, newPageData(r))
	if err != nil || bytes.Contains(letter, []byte("<script")) {
		t.Errorf("%v: %s", err, letter)
	}
	sample := regexp.MustCompile(`^[a-z_]+(\{[a-z]+="([^"\\\n]|\\[\\"n])*"(,[a-z]+="([^"\\\n]|\\[\\"n])*")*\})? \d+$`)
	for line := range strings.Lines(h.must("--metrics")) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "# ") && !sample.MatchString(line) {
			t.Errorf("no sample: %q", line)
		}
	}
}

// The page needs nothing from anywhere, and holds nothing that runs.
func TestPageIsSelfContained(t *testing.T) {
	page := form(t, "--week", "--html")
	for _, bad := range []string{"http://", "https://", "<script", "src=", "url(", "@import", "<link"} {
		if strings.Contains(page, bad) {
			t.Errorf("it has %q in it", bad)
		}
	}
	for _, want := range []string{"<svg", "prefers-color-scheme: dark", `name="viewport"`, "default-src 'none'"} {
		if !strings.Contains(page, want) {
			t.Errorf("it lacks %q", want)
		}
	}
}

// An IPv4 network as IPv6 writes it is that network.
func TestMappedNetwork(t *testing.T) {
	h := newHost(t)
	h.write("logs/active-responses.log", line(h.now, "203.0.113.1")+line(h.now, "198.51.100.1"), h.now)
	for network, want := range map[string]int{"::ffff:203.0.113.0/120": 1, "::ffff:0.0.0.0/96": 2, "::/0": 0} {
		if out := h.must("--date", "today", "--network", network); blocksIn(t, out) != want {
			t.Errorf("%s: want %d in\n%s", network, want, out)
		}
	}
}

func TestOutputFile(t *testing.T) {
	h := newHost(t).sample()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "m.prom"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("m.prom", link); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{link, "/dev/null"} {
		status, _, stderr := h.run("--metrics", "--output", other)
		if status != 1 || !strings.Contains(stderr, other+" is a link or no plain file: it is not written to") {
			t.Errorf("status %d, %q", status, stderr)
		}
	}
	if out := h.must("--metrics", "--output", path); out != "" {
		t.Errorf("printed %q", out)
	}
	data, err := os.ReadFile(path)
	info, statErr := os.Lstat(path)
	if err != nil || statErr != nil || !bytes.Contains(data, []byte("ossec_ar_blocks{")) || info.Mode() != 0o640 {
		t.Errorf("%v %v: mode %v, %q", err, statErr, info.Mode(), data)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	status, _, stderr := h.run("--json", "-o", filepath.Join(dir, "no/such"))
	if status != 1 || !strings.Contains(stderr, "writing the report: ") {
		t.Errorf("status %d, %q", status, stderr)
	}
}

func TestUsage(t *testing.T) {
	h := newHost(t).sample()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--week", "--month"}, "only one period"},
		{[]string{"--json", "--html"}, "only one form"},
		{[]string{"--since", "soon"}, `--since: "soon" is no time`},
		{[]string{"--address", "1.2.3"}, `"1.2.3" is neither an address nor a network`},
		{[]string{"--top", "-1"}, "--top -1"},
		{[]string{"--agent", "db"}, "--agent needs --alerts"},
		{[]string{"--alerts", "--log", "x"}, "only one can be given"},
		{[]string{"--look-back", "soon"}, "--look-back"},
		{[]string{"--append", "--json"}, "cannot be mailed, sent or appended"},
		{[]string{"today"}, `unknown command "today"`},
		{[]string{"--nope"}, `unknown option "--nope"`},
		{[]string{"--since", "2026-11-26", "--until", "2026-11-25"}, "the period ends (--until 2026-11-25) before it begins (--since 2026-11-26)"},
		{[]string{"check"}, `unknown command "check"`},
	} {
		status, stdout, stderr := h.run(test.args...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, test.want) || !strings.HasPrefix(stderr, "response-stats.sh: ") {
			t.Errorf("%q: status %d, stdout %q, stderr %q", test.args, status, stdout, stderr)
		}
	}
	for _, word := range []string{"--help", "help"} {
		if out := h.must(word); !strings.Contains(out, "--yesterday") {
			t.Errorf("%s:\n%s", word, out)
		}
	}
	if out := h.must("version"); !strings.HasPrefix(out, "response-stats.sh version ") {
		t.Errorf("version: %s", out)
	}
}
