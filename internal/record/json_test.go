package record

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/app"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/printable/printabletest"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

var when = time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC)

func TestLine(t *testing.T) {
	addr := netip.MustParseAddr("203.0.113.7")
	got, err := Line(arlog.Entry{
		Time: when, Program: "/var/ossec/active-response/bin/firewall-drop.sh", Status: arlog.StatusAdd,
		Addr: addr, AlertID: "1304756247.60385", RuleID: "5712", Message: arlog.Blocked(addr, "5712", "root"),
	}, arproto.Request{User: "root"}, "web")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"@timestamp":"2026-11-23T03:27:57Z","ecs":{"version":"8.17.0"},` +
		`"event":{"kind":"event","category":["intrusion_detection","network"],"type":["denied"],"action":"block","outcome":"success","module":"ossec","dataset":"ossec.active_response"},` +
		`"message":"Blocked IP: 203.0.113.7 (Rule: 5712) user=root","host":{"name":"web"},` +
		`"process":{"name":"firewall-drop.sh","executable":"/var/ossec/active-response/bin/firewall-drop.sh"},` +
		`"rule":{"id":"5712"},"source":{"ip":"203.0.113.7"},"related":{"ip":["203.0.113.7"]},"user":{"name":"root"},` +
		`"ossec":{"status":"add","alert_id":"1304756247.60385","dialect":"ossec"}}` + "\n"
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("document (-want +got):\n%s", d)
	}
}

// What agent_control does by hand has no alert and no rule, and OSSEC's decoder wants numbers.
func TestByHandDecodes(t *testing.T) {
	home := t.TempDir()
	p := app.New(app.Env{Args: []string{home + "/active-response/bin/firewall-drop.sh"}, Now: func() time.Time { return when }}, "firewall-drop")
	request, err := arproto.ParseArgs([]string{"add", "-", "203.0.113.7", "(from_the_server)", "(no_rule_id)"})
	if err != nil {
		t.Fatal(err)
	}
	(&Log{Program: &p}).Write(Entry{Status: arlog.StatusAdd, Message: arlog.Blocked(request.Addr, "", "") + " (by hand)", About: *request})
	text, err := os.ReadFile(p.Home.ResponseLog())
	if err != nil || !regexp.MustCompile(`/active-response/bin/(\S+) (\S+) - (\S+) (\d+.\d+) (\d+) - Blocked IP: 203\.0\.113\.7 \(Rule: -\) \(by hand\)\n$`).Match(text) {
		t.Errorf("%v, %q", err, text)
	}
}

func TestLineOfHostileRequest(t *testing.T) {
	got, err := Line(arlog.Entry{Time: when, Status: arlog.StatusError, Message: "Failed: x\n\"}\xff", RuleID: strings.Repeat("r", 1<<20)},
		arproto.Request{User: "a\"},\n{\"forged\":1", Description: printabletest.Hostile}, printabletest.Hostile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(got), "\n") != 1 || len(got) > 8192 || !json.Valid(got) {
		t.Errorf("not one bounded line of JSON: %d bytes %.200q", len(got), got)
	}
	printabletest.Check(t, "the document", string(got))
	var doc map[string]any
	if err := json.Unmarshal(got, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["forged"] != nil || doc["source"] != nil {
		t.Errorf("forged or made-up fields in %v", doc)
	}
}

// TestIndexTemplate: contrib's index template has a type for each field of a document, and for no other.
func TestIndexTemplate(t *testing.T) {
	text, err := os.ReadFile("../../contrib/indexer/template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Template struct {
			Mappings struct{ Properties map[string]mapping }
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	flatten(got, "", template.Template.Mappings.Properties)
	want := map[string]string{}
	fieldsOf(want, "", reflect.TypeFor[document]())
	want["@timestamp"], want["message"], want["source.ip"], want["related.ip"] = "date", "text", "ip", "ip"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
}

type mapping struct {
	Type       string
	Properties map[string]mapping
}

func flatten(into map[string]string, above string, fields map[string]mapping) {
	for name, field := range fields {
		if field.Type != "" {
			into[above+name] = field.Type
		}
		flatten(into, above+name+".", field.Properties)
	}
}

func fieldsOf(into map[string]string, above string, of reflect.Type) {
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		kind := field.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch kind.Kind() {
		case reflect.Struct:
			fieldsOf(into, above+name+".", kind)
		case reflect.Int:
			into[above+name] = "integer"
		default:
			into[above+name] = "keyword"
		}
	}
}
