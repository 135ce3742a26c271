package check

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// report is the whole as JSON.
type report struct {
	Responses []string  `json:"responses"`
	Home      string    `json:"home"`
	Role      string    `json:"role"` // server or agent
	Version   string    `json:"version"`
	Faults    int       `json:"faults"`
	Warnings  int       `json:"warnings"`
	Rows      []Finding `json:"rows"`
}

// words are the verdicts as a person reads them, and colours as ANSI codes for a terminal.
var (
	words = map[enforcer.Verdict]string{
		enforcer.OK: "ok", enforcer.Skip: "skip", enforcer.Warn: "warn", enforcer.Fault: "FAULT"}
	colours = map[enforcer.Verdict]string{
		enforcer.OK: "32", enforcer.Skip: "90", enforcer.Warn: "33", enforcer.Fault: "31"}
)

func (h *host) print(rows []Finding, asJSON bool) error {
	r := report{Home: string(h.Home), Role: "server", Version: app.Version, Rows: rows}
	for _, s := range h.subjects {
		if !s.FromCron {
			r.Responses = append(r.Responses, s.Name)
		}
	}
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
		enc := json.NewEncoder(printable.JSONWriter{Writer: h.Stdout})
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(r)
	}
	var b strings.Builder
	for _, f := range rows {
		word := fmt.Sprintf("%-5s", words[f.Verdict])
		if h.StdoutTerminal && !h.NoColor {
			word = "\x1b[" + colours[f.Verdict] + "m" + word + "\x1b[0m"
		}
		found := clean(f.Found)
		if whole := len("FAULT  ") + width + len("  -  ") + len(found); h.Width > 0 && whole > h.Width {
			found = fold(found, h.Width)
		}
		fmt.Fprintf(&b, "%s  %-*s  -  %s\n", word, width, clean(f.What), found)
		if f.Mend != "" {
			fmt.Fprintf(&b, "       mend: %s\n", clean(f.Mend))
		}
	}
	if !h.Home.Installed() {
		b.WriteString("to try a block now:\n")
		for _, words := range []string{"block 192.0.2.1 --for 1m", "list", "unban 192.0.2.1"} {
			b.WriteString("    " + h.tool(words) + "\n")
		}
	}
	fmt.Fprintf(&b, "%s, %s\n", count(r.Faults, "fault"), count(r.Warnings, "warning"))
	_, err := h.Stdout.Write([]byte(b.String()))
	return err
}

// fold puts a text that does not fit behind its subject on indented lines of its own, of at most
// width bytes. What has no blank in it is not cut, and neither are the commands that mend: people
// copy them.
func fold(text string, width int) string {
	const indent = "\n      "
	var b strings.Builder
	column := width
	for word := range strings.FieldsSeq(text) {
		if column+1+len(word) > width {
			b.WriteString(indent)
			column = len(indent) - 1
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	return b.String()
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 0 {
		return "no " + what
	}
	return printable.Count(n, what)
}

// clean keeps text from outside from moving a terminal's cursor or making lines of its own.
func clean(s string) string {
	return printable.Lines(strings.ReplaceAll(s, "\n", "; ")) // errors.Join puts each on a line
}
