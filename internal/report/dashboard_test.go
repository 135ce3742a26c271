package report

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

// TestDashboard: what contrib's dashboard and alert rules ask for is what is written, labels included.
func TestDashboard(t *testing.T) {
	h := newHost(t).sample()
	home := ossec.Home(h.home)
	box, err := outbox.Make(notice.Mail.Queue(home))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(box.Add(outbox.Item{First: h.now, Body: json.RawMessage(`{}`)}, nil),
		os.WriteFile(home.LastMaintain(), []byte("{}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	written := h.must("--metrics")
	if !strings.Contains(written, "\nossec_ar_notices_waiting 1\n") ||
		!strings.Contains(written, "\nossec_ar_maintained_timestamp_seconds ") {
		t.Errorf("no notices or no run of maintain in\n%s", written)
	}
	name, label := regexp.MustCompile(`ossec_ar_\w+`), regexp.MustCompile(`by \(([\w, ]+)\) \((ossec_ar_\w+)`)
	for _, path := range []string{"grafana/ossec-ar.json", "prometheus/ossec-ar.rules.yml"} {
		text, err := os.ReadFile(filepath.Join("../../contrib", path))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, ".json") && !json.Valid(text) {
			t.Errorf("%s is no JSON", path)
		}
		asked := name.FindAllString(string(text), -1)
		if len(asked) < 5 {
			t.Errorf("%s asks for %q", path, asked)
		}
		for _, metric := range asked {
			if !strings.Contains(written, "# TYPE "+metric+" gauge\n") {
				t.Errorf("%s asks for %s, which is not written", path, metric)
			}
		}
		for _, by := range label.FindAllStringSubmatch(string(text), -1) {
			for _, label := range strings.Split(by[1], ", ") { // the scraper adds instance
				found := regexp.MustCompile(`\n` + by[2] + `\{[^}]*\b` + label + `="`).MatchString(written)
				if label != "instance" && !found {
					t.Errorf("%s: %s has no label %s", path, by[2], label)
				}
			}
		}
	}
}
