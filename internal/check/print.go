package check

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// report is the whole as JSON.
type report struct {
	Response string    `json:"response"`
	Home     string    `json:"home"`
	Role     string    `json:"role"` // server or agent
	Version  string    `json:"version"`
	Faults   int       `json:"faults"`
	Warnings int       `json:"warnings"`
	Rows     []Finding `json:"rows"`
}

// words are the verdicts as a person reads them.
var words = map[enforcer.Verdict]string{
	enforcer.OK: "ok", enforcer.Skip: "skip", enforcer.Warn: "warn", enforcer.Fault: "FAULT",
}

func (h *host) print(rows []Finding, asJSON bool) error {
	r := report{Response: h.subject.Name, Home: string(h.Home), Role: "server", Version: app.Version, Rows: rows}
	if h.conf.agent() {
		r.Role = "agent"
	}
	width := 0
	for _, f := range rows {
		width = max(width, len(clean(f.What)))
		switch f.Verdict {
		case enforcer.Fault:
			r.Faults++
		case enforcer.Warn:
			r.Warnings++
		}
	}
	if asJSON {
		enc := json.NewEncoder(h.Stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(r)
	}
	var b strings.Builder
	for _, f := range rows {
		fmt.Fprintf(&b, "%-5s  %-*s  -  %s\n", words[f.Verdict], width, clean(f.What), clean(f.Found))
		if f.Mend != "" {
			fmt.Fprintf(&b, "       mend: %s\n", clean(f.Mend))
		}
	}
	fmt.Fprintf(&b, "%s, %s\n", count(r.Faults, "fault"), count(r.Warnings, "warning"))
	_, err := h.Stdout.Write([]byte(b.String()))
	return err
}

// count writes a number of things.
func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clean keeps text from outside from moving a terminal's cursor or making lines of its
// own: a byte that is not printable ASCII becomes \xNN.
func clean(s string) string {
	s = strings.ReplaceAll(s, "\n", "; ") // errors.Join puts each on a line
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
