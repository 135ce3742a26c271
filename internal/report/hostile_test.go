package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/printable/printabletest"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// hostileHost has a log and alerts in which every text that a writer can choose is hostile.
func hostileHost(t *testing.T) *host {
	h := newHost(t)
	quoted := func(text string) string { // cJSON escapes what is below a blank, and nothing else
		var b strings.Builder
		for i := range len(text) {
			if c := text[i]; c < ' ' || c == '"' || c == '\\' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	word := strings.NewReplacer(" ", "_", "\n", "", "\r", "", "/", "").Replace(printabletest.Hostile)
	text := quoted(printabletest.Hostile)
	h.write("logs/active-responses.log", fmt.Sprintf("%s /var/ossec/active-response/bin/%s add - 203.0.113.7 1.2 %s\n",
		h.now.Format("Mon Jan _2 15:04:05 MST 2006"), word, word)+
		fmt.Sprintf("%s /var/ossec/active-response/bin/=1 add - 203.0.113.8 1.2 @2\n", h.now.Format("Mon Jan _2 15:04:05 MST 2006"))+
		fmt.Sprintf(`%s active-response/bin/firewall-drop: {"command":"add","parameters":{"alert":{"id":"1.2","rule":{"id":"%s","description":"%s"},"data":{"srcip":"203.0.113.9"}}}}`+"\n",
			h.now.Format("2006/01/02 15:04:05"), text, text), time.Time{})
	h.write("logs/alerts/alerts.json", fmt.Sprintf(`{"timestamp":"%s","rule":{"level":3,"description":"%s","id":"651"},"agent":{"id":"002","name":"%s"},"id":"%d.1","full_log":"%s","location":"/var/ossec/logs/active-responses.log"}`+"\n",
		h.now.Format("2006-01-02T15:04:05.000-0700"), text, text, h.now.Unix(), quoted(strings.TrimSuffix(line(h.now, "203.0.113.7"), "\n"))), h.now)
	return h
}

// Whatever stands in a log, no form of the report lets it be more than text.
func TestHostileText(t *testing.T) {
	for _, source := range [][]string{{"--date", "today"}, {"--date", "today", "--alerts"}} {
		for _, form := range []string{"", "--json", "--csv", "--html", "--metrics"} {
			h := hostileHost(t)
			args := source
			if form != "" {
				args = append(args[:len(args):len(args)], form)
			}
			out := h.must(args...)
			printabletest.Check(t, fmt.Sprint(args), out)
			if !strings.Contains(out, "script") || strings.Contains(out, "\nForged") || form == "--html" && strings.Contains(out, "<script") {
				t.Errorf("%q:\n%s", args, out)
			}
			switch form {
			case "--csv":
				rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range rows {
					for _, cell := range row {
						for piece := range strings.SplitSeq(cell, ";") {
							if strings.HasPrefix(piece, "=") || strings.HasPrefix(piece, "@") {
								t.Errorf("%q is a formula", cell)
							}
						}
					}
				}
			case "--json":
				var r stats.Report
				if err := json.Unmarshal([]byte(out), &r); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Nor do the mail and the errors.
func TestHostileMail(t *testing.T) {
	h := hostileHost(t)
	var subjects, texts []string
	send := func(subject, text, html string) error {
		subjects, texts = append(subjects, subject), append(texts, text, html)
		return nil
	}
	if status := run(app.New(h.env(&h.stdout, "--date", "today", "--mail"), Name), Sending{Mail: send}, printabletest.Hostile); status != 0 {
		t.Fatal(h.stderr.String())
	}
	for _, text := range append(subjects, texts...) {
		printabletest.Check(t, "the mail", text)
	}
	if strings.Contains(subjects[0], "\n") || strings.Contains(texts[1], "<script") {
		t.Errorf("%q", append(subjects, texts...))
	}
	status, _, stderr := h.run("--since", printabletest.Hostile)
	if printabletest.Check(t, "the error", stderr); status != 1 || !strings.Contains(stderr, "is no time such as") {
		t.Errorf("%d %q", status, stderr)
	}
}
