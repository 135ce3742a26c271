package report

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// See xterm's "Control Sequences": the alternate screen, so that the first one comes back
// at the end; no cursor; home; clear to the end of the line, and of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	goHome      = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// leasesEvery is how often the leases are read.
const leasesEvery = 5 * time.Second

// shownAddresses is how many of the most blocked addresses are shown.
const shownAddresses = 5

// draw writes the screen in one go, from its upper left corner, so that nothing
// flickers.
func (w *watcher) draw() {
	width, height := w.screenSize()
	report := w.live.Report()
	now := w.c.Now()
	if now.Sub(w.checked) >= leasesEvery {
		w.checked = now
		w.inForce = -1
		in, err := stats.ReadInForce(w.c.Home.State(), &w.c.query.Filter)
		if !errors.Is(err, os.ErrPermission) {
			w.inForce = in.Addresses
		}
	}
	head := "Active responses"
	if w.c.query.Host != "" {
		head += " on " + printable.Short(w.c.query.Host, 64)
	}
	lines := []string{head + " - " + now.Format(headStamp), summary(report)}
	if w.inForce >= 0 {
		lines[1] += fmt.Sprintf("; %d in force now", w.inForce)
	}
	if only := w.c.query.Filter.String(); only != "" {
		lines = append(lines, "Only: "+printable.Short(only, 200))
	}
	if w.fault != nil {
		lines = append(lines, "The log cannot be read: "+printable.Short(w.fault.Error(), 200))
	}
	lines = append(lines, "", "Most blocked today:")
	lines = append(lines, mostBlocked(report)...)
	lines = append(lines, "", "Last events (Ctrl-C ends):")
	if room := height - len(lines); room > 0 {
		for _, e := range w.events[max(len(w.events)-room, 0):] {
			lines = append(lines, eventLine(e))
		}
	}
	var b strings.Builder
	b.WriteString(goHome)
	for i, line := range lines[:min(len(lines), height)] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cut(line, width))
		b.WriteString(clearLine)
	}
	b.WriteString(clearRest)
	fmt.Fprint(w.c.Stdout, b.String())
}

// mostBlocked lists addresses, always as many lines so that the screen stands still.
func mostBlocked(r *stats.Report) []string {
	lines := make([]string, shownAddresses)
	for i, a := range r.TopAddresses {
		lines[i] = fmt.Sprintf("%7d %-15s  last %s  rule %s", a.Blocks, a.Address,
			a.Last.Format(time.TimeOnly), cmp.Or(printable.Short(a.Rule, 64), "-"))
	}
	return lines
}

// cut shortens a line to width characters.
func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width])
}
