package control

import (
	"bufio"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// The columns of the table of addresses.
const (
	colAddress = iota
	colState
	colResponse
	colSince
	colUntil
	colHolder
	colRule
	colPackets
	colAlert
	colBytes
	colReason
	columns
)

var headings = cells{"ADDRESS", "STATE", "RESPONSE", "SINCE", "UNTIL", "HELD BY", "RULE", "PACKETS",
	"ALERT", "BYTES", "REASON"}

// extra are the columns that only a wide terminal shows, and spare those that a narrow one does
// without, the first one first.
var (
	extra = []int{colReason, colBytes, colAlert}
	spare = []int{colReason, colBytes, colAlert, colPackets, colUntil, colRule, colSince}
)

// gap is what stands between two columns.
const gap = 2

// cells are the texts of one line.
type cells [columns]string

// lines calls show with each line of a row in the cells: one for each lease, or one for a block without.
func (line *cells) lines(t *tool, r *row, show func()) {
	holds := r.Holds
	if len(holds) == 0 {
		holds = []held{{target: r.Target}}
	}
	*line = cells{colState: r.state(), colResponse: r.Response, colPackets: "-", colBytes: "-"}
	if r.Counted {
		line[colPackets], line[colBytes] = strconv.FormatUint(r.Packets, 10), strconv.FormatUint(r.Bytes, 10)
	}
	for i := range holds {
		h := &holds[i]
		line[colAddress] = h.text()
		line[colSince], line[colUntil] = t.when(moment(h.since)), t.when(moment(h.until))
		line[colHolder], line[colRule], line[colAlert] = arlog.Word(h.program),
			arlog.Word(h.rule), arlog.Word(h.alert)
		line[colReason] = "-"
		if h.reason != "" {
			line[colReason] = printable.Line(h.reason)
		}
		show()
	}
}

// printTable prints the rows in columns that fit the terminal; where there is none nothing is cut.
// It goes through them twice, for the widths first: a hundred thousand lines are much memory. It
// reports whether there are any.
func printTable(t *tool, out *bufio.Writer, all iter.Seq[row]) bool {
	l := layout{width: t.width()}
	l.add(&headings)
	var line cells // one for all, as it is much memory too
	measure := func() { l.add(&line) }
	for r := range all {
		line.lines(t, &r, measure)
	}
	if l.lines == 1 {
		return false
	}
	l.choose()
	l.print(out, &headings, func(_ int, text string) string { return t.colour(bold, text) })
	state := ""
	paint := func(column int, text string) string {
		if column != colState {
			return text
		}
		return t.colour(state, text)
	}
	show := func() { l.print(out, &line, paint) }
	for r := range all {
		state = r.colour()
		line.lines(t, &r, show)
	}
	return true
}

// layout is which columns are shown, and how wide.
type layout struct {
	width  int
	widths [columns]int
	filled [columns]bool // some line has more than "-" there
	shown  [columns]bool
	lines  int
}

func (l *layout) add(line *cells) {
	for i, text := range line {
		l.widths[i] = max(l.widths[i], utf8.RuneCountInString(text))
		l.filled[i] = l.filled[i] || l.lines > 0 && text != "-"
	}
	l.lines++
}

// choose drops columns until the rest fits, then cuts the longest texts.
func (l *layout) choose() {
	for i := range l.shown {
		l.shown[i] = true
	}
	if l.width == 0 {
		for _, i := range extra {
			l.shown[i] = false
		}
		return
	}
	for _, i := range spare {
		l.shown[i] = l.filled[i]
	}
	whole := l.widths // a few long texts are not to cost all lines a column
	for i, most := range cut {
		l.widths[i] = min(whole[i], most)
	}
	for _, i := range spare {
		if l.total() <= l.width {
			break
		}
		l.shown[i] = false
	}
	for _, i := range []int{colState, colHolder} {
		over := max(0, l.total()-l.width)
		l.widths[i] = max(l.widths[i]-over, min(l.widths[i], shortest))
	}
	for _, i := range []int{colState, colHolder} {
		l.widths[i] = min(whole[i], l.widths[i]+max(0, l.width-l.total()))
	}
}

// cut are the columns that are cut before others are dropped, and what is left of them; shortest is
// what is left when nothing can be dropped any more.
var cut = map[int]int{colState: 16, colHolder: 18}

const shortest = 9

func (l *layout) total() int {
	n := -gap
	for i, shown := range l.shown {
		if shown {
			n += l.widths[i] + gap
		}
	}
	return n
}

func (l *layout) print(out *bufio.Writer, line *cells, paint func(column int, text string) string) {
	pad := 0
	for i, text := range line {
		if !l.shown[i] {
			continue
		}
		n := utf8.RuneCountInString(text)
		if n > l.widths[i] {
			n, text = l.widths[i], string([]rune(text)[:l.widths[i]-2])+".."
		}
		if pad > 0 {
			out.WriteString(strings.Repeat(" ", pad))
		}
		out.WriteString(paint(i, text))
		pad = l.widths[i] - n + gap
	}
	out.WriteByte('\n')
}
