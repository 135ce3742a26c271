package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What contrib has for cron and for systemd is all that the jobs ask for.
func TestContrib(t *testing.T) {
	subjects := map[string][]Job{
		"firewall-drop":      {{Command: "expire"}, {Command: "restore"}},
		"host-deny":          {{Command: "expire"}, {Command: "restore"}},
		"route-null":         {{Command: "expire"}, {Command: "restore"}},
		"email-notification": {{Command: "flush"}},
		"response-stats":     {{Vital: true}},
	}
	for _, with := range []string{"cron", "systemd"} {
		t.Run(with, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join("../../contrib", with, "*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("nothing in contrib/%s: %v", with, err)
			}
			p := newPlace(t)
			p.remove("etc/cron.d/ossec-ar")
			for _, file := range files {
				text, err := os.ReadFile(file)
				p.check(err)
				name := filepath.Base(file)
				if with == "cron" {
					p.write("etc/cron.d/"+name, string(text))
					continue
				}
				p.write("etc/systemd/system/"+name, string(text))
				if strings.Contains(string(text), "[Install]") {
					p.write("etc/systemd/system/some.target.wants/"+name, "")
				}
			}
			for name, jobs := range subjects {
				p.subject.Name, p.subject.Jobs = name, jobs
				h := p.made()
				for _, f := range h.schedule(t.Context()) {
					if f.Verdict != isOK {
						t.Errorf("%s %s: %s", f.Verdict, f.What, f.Found)
					}
				}
			}
		})
	}
}
