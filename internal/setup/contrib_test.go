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
	chosen, err := chosen([]string{name}, d)
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
