package watch

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
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
	lines := w.head(report, w.p.Now(), width)
	lines = append(lines, "", "Most blocked today:")
	lines = append(lines, mostBlocked(report)...)
	lines = append(lines, "", "Last events (q ends):")
	if room := height - len(lines); room > 0 {
		for _, e := range w.events[max(len(w.events)-room, 0):] {
			lines = append(lines, fmt.Sprintf("%s %-11s %-15s %s%s", e.When.Format(time.TimeOnly), e.Outcome,
				address(e), short(e.Program), rule(" ", e)))
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
	w.print(b.String())
}

// head is what stands above the lists.
func (w *watcher) head(r *stats.Report, now time.Time, width int) []string {
	if now.Sub(w.checked) >= leasesEvery {
		w.checked = now
		w.inForce = -1
		in, err := stats.ReadInForce(w.p.Home.State(), &w.query.Filter)
		if !errors.Is(err, os.ErrPermission) {
			w.inForce = in.Addresses
		}
	}
	head := "Active responses"
	if w.query.Host != "" {
		head += " on " + short(w.query.Host)
	}
	text := head + " - " + now.Format(time.UnixDate) + "\n" + summary(r)
	if w.inForce >= 0 {
		text += fmt.Sprintf("; %d in force now", w.inForce)
	}
	if only := w.query.Filter.String(); only != "" {
		text += "\nOnly: " + printable.Line(only)
	}
	if _, err := os.Stat(w.query.Log); err != nil {
		text += "\nNo log yet: " + printable.Error(err)
	} else if w.fault != nil {
		text += "\nThe log cannot be read: " + printable.Error(w.fault)
	}
	return strings.Split(command.Wrap(text, width), "\n")
}

// mostBlocked lists addresses, always as many lines so that the screen stands still.
func mostBlocked(r *stats.Report) []string {
	lines := make([]string, shownAddresses)
	for i, a := range r.TopAddresses {
		lines[i] = fmt.Sprintf("%7d %-15s  last %s  rule %s", a.Blocks, a.Address,
			a.Last.Format(time.TimeOnly), cmp.Or(short(a.Rule), "-"))
	}
	return lines
}

// screenSize returns the size of the terminal, or a common one.
func (w *watcher) screenSize() (width, height int) {
	if file, ok := w.p.Stdout.(*os.File); ok {
		width, height, err := term.GetSize(int(file.Fd()))
		if err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}

// cut shortens a line to width characters.
func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width])
}
