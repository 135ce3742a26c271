package config

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const exampleFile = "../../contrib/active-response.toml"

// TestExampleFileIsTheDefaults: the documented example says what holds without it.
func TestExampleFileIsTheDefaults(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(exampleFile, string(text), Default())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Wazuh.AddressFields = arproto.DefaultAddressFields()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("the example file differs from the defaults (-default +example):\n%s", d)
	}
}

// TestExampleFileHasEveryKey: whatever can be set is in the example, under its table.
func TestExampleFileHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n[")
	tables := map[string]string{}
	for part := range strings.SplitSeq(rest, "\n[") {
		name, body, _ := strings.Cut(part, "]")
		tables[name] = body
	}
	config := reflect.TypeFor[Config]()
	for i := range config.NumField() {
		table := config.Field(i)
		if table.Type.Kind() == reflect.Slice {
			if !strings.Contains(string(data), "# [["+table.Tag.Get("toml")+"]]") {
				t.Errorf("the example lacks [[%s]]", table.Tag.Get("toml"))
			}
			continue
		}
		for j := range table.Type.NumField() {
			key := table.Type.Field(j).Tag.Get("toml")
			if key == "" {
				continue
			}
			has := regexp.MustCompile(`(?m)^` + key + ` = `).MatchString(tables[table.Tag.Get("toml")])
			if !has && !strings.Contains(string(data), "# [["+table.Tag.Get("toml")+"."+key+"]]") {
				t.Errorf("table [%s] of the example lacks %s", table.Tag.Get("toml"), key)
			}
		}
	}
}

// TestManualPage: docs/man/active-response.toml.5 is the example, as a manual page.
// UPDATE_MAN=1 writes it.
func TestManualPage(t *testing.T) {
	const path = "../../docs/man/active-response.toml.5"
	want := manualPage(t)
	if os.Getenv("UPDATE_MAN") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("the page is not what the example says; run the test with UPDATE_MAN=1 (-want +got):\n%s", d)
	}
}

func manualPage(t *testing.T) string {
	t.Helper()
	file, err := os.Open(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	escape := strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace
	var b strings.Builder
	b.WriteString(`.TH ACTIVE\-RESPONSE.TOML 5 "" "ossec\-ar" "Active responses for OSSEC and Wazuh"
.SH NAME
active\-response.toml \- configuration of the active\-response suite
.SH DESCRIPTION
`)
	var comment []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "# active-response.toml:"):
		case strings.HasPrefix(line, "#"):
			comment = append(comment, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
			continue
		case line == "" && len(comment) > 0:
			fmt.Fprintf(&b, "%s\n", escape(strings.TrimSpace(strings.Join(comment, "\n"))))
		case strings.HasPrefix(line, "["):
			fmt.Fprintf(&b, ".SH %s\n%s\n", escape(line), escape(strings.Join(comment, "\n")))
		case line != "":
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", escape(line), escape(strings.Join(comment, "\n")))
		}
		comment = nil
	}
	if len(comment) > 0 {
		fmt.Fprintf(&b, ".PP\n.nf\n%s\n.fi\n", escape(strings.Join(comment, "\n")))
	}
	b.WriteString(
		".SH SEE ALSO\nossec\\-ar(8), firewall\\-drop(8), host\\-deny(8), route\\-null(8), email\\-notification(8), response\\-stats(8)\n",
	)
	return b.String()
}
