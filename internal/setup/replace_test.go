package setup

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRunMakesLogs: logcollector gives up on a log that is not there when it starts.
func TestRunMakesLogs(t *testing.T) {
	h := newHome(t, "<ossec_config><localfile><location>logs/active-responses.json</location></localfile></ossec_config>")
	names := func() (out []string) {
		files, _ := filepath.Glob(h.path("logs/*"))
		for _, file := range files {
			if info, err := os.Lstat(file); err != nil || info.Mode() != 0o660 {
				t.Errorf("%s: %v, %v", file, info, err)
			}
			out = append(out, filepath.Base(file))
		}
		return out
	}
	h.mustRun(Options{DryRun: true})
	if got := names(); got != nil {
		t.Errorf("a dry run made %q", got)
	}
	h.mustRun(Options{Logs: true})
	if got := names(); !slices.Equal(got, []string{"active-responses.json"}) {
		t.Errorf("made %q, want what is followed", got)
	}
	h.mustRun(Options{})
	want := []string{"active-responses.json", "active-responses.log", "notifications.log", "response-stats.log"}
	if got := names(); !slices.Equal(got, want) {
		t.Errorf("made %q, want %q", got, want)
	}
}

// TestRunAsksTheDaemons: what they refuse is not put in place, and they say why.
func TestRunAsksTheDaemons(t *testing.T) {
	root := t.TempDir()
	const accepts = "<ossec_config>\n</ossec_config>\n"
	h := home{t, root}
	h.put("etc/ossec.conf", accepts)
	// A daemon that refuses what holds "5720", as one that does not know the rule.
	h.put("bin/ossec-analysisd",
		"#!/bin/sh\n"+`! grep -q "5720$WORD" "$3" || { echo "2026/11/27 14:44:48 ossec-analysisd(1303): ERROR: no 5720" >&2; exit 1; }`)
	if err := os.Chmod(h.path("bin/ossec-analysisd"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(o Options) (string, error) {
		var out bytes.Buffer
		o.Home, o.Now, o.Out = h.path(""), testTime, &out
		err := Run(o)
		return out.String(), err
	}
	_, err := run(Options{Profiles: []string{"ssh"}})
	if err == nil || !strings.Contains(err.Error(),
		"the daemon would not start: ossec-analysisd(1303): ERROR: no 5720") {
		t.Errorf("refused: %v", err)
	}
	if h.text("etc/ossec.conf") != accepts || len(h.backups()) > 0 {
		t.Error("it was changed all the same")
	}
	if out, err := run(Options{Profiles: []string{"web"}}); err != nil || !strings.Contains(out, "set up ") {
		t.Errorf("accepted: %q, %v", out, err)
	}
	h.put("etc/ossec.conf", h.text("etc/ossec.conf")+"<!-- 5720 -->\n")
	if _, err := run(Options{Profiles: []string{"mail"}}); err == nil || !strings.Contains(err.Error(),
		"nor would it with the file as it is") {
		t.Errorf("refused before: %v", err)
	}
	if out, err := run(Options{Remove: true}); err != nil || !strings.Contains(out, "nor would it have before") {
		t.Errorf("taken out: %q, %v", out, err)
	}
	if left, _ := filepath.Glob(h.path(".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
