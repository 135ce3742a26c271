package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What contrib has for cron and for systemd is all that the jobs ask for.
func TestContrib(t *testing.T) {
	subjects := []Subject{
		{Name: "ossec-ar", FromCron: true, Jobs: []Job{{Command: "maintain"}}},
		{Name: "response-stats", FromCron: true, Jobs: []Job{{}}},
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
				data, err := os.ReadFile(file)
				p.check(err)
				text, name := strings.ReplaceAll(string(data), "/var/ossec", "{HOME}"), filepath.Base(file) // as install.sh fills it in
				if with == "cron" {
					p.write("etc/cron.d/"+name, text)
					continue
				}
				p.write("etc/systemd/system/"+name, text)
				if strings.Contains(text, "[Install]") {
					p.write("etc/systemd/system/some.target.wants/"+name, "")
				}
			}
			p.write("var/ossec/active-response/bin/response-stats", "")
			p.link("response-stats", "var/ossec/active-response/bin/response-stats.sh")
			for _, s := range subjects {
				if s.Name == p.tool.Name {
					s.Path = p.tool.Path
				}
				h := p.made()
				h.subject = &s
				var rows sheet
				schedule{h}.jobs(t.Context(), &rows)
				for _, f := range rows.rows {
					if f.Verdict != isOK {
						t.Errorf("%s %s: %s", f.Verdict, f.What, f.Found)
					}
				}
			}
		})
	}
}
