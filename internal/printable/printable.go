// Package printable makes text from outside safe to show: on a terminal, in a report, a mail or JSON.
// Control characters, bytes that are no UTF-8, and characters that change the direction of
// writing or take up no room, with which one text can look like another, become escapes.
package printable

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxLine bounds what Line keeps of a text, in bytes, before escaping.
const MaxLine = 512

// Line makes one printable line of s, no longer than MaxLine.
func Line(s string) string { return Short(s, MaxLine) }

// Short makes one printable line of at most so many bytes of s.
func Short(s string, most int) string {
	if len(s) > most {
		return escape(Clip(s, most), false) + "..."
	}
	return escape(s, false)
}

// maxCell bounds what Cell keeps of a text, in bytes, before escaping.
const maxCell = 1000

const (
	// separators of cells are others where the comma is for decimals.
	separators = ",;|\t"
	// formulaSigns begin a formula, some after a spreadsheet has made the usual ones of them.
	formulaSigns = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
	blanks       = " \u00a0\"'"
)

// Cell makes one printable line that no spreadsheet takes for a formula: where one may begin, in the text or
// behind what separates cells, an apostrophe stands before it.
func Cell(s string) string {
	var cell []byte
	start, begins := 0, true
	for _, r := range Short(s, maxCell) {
		switch {
		case begins && strings.ContainsRune(formulaSigns, r):
			cell, begins = slices.Insert(cell, start, '\''), false
		case !strings.ContainsRune(blanks+separators, r):
			begins = false
		}
		cell = utf8.AppendRune(cell, r)
		if strings.ContainsRune(separators, r) {
			start, begins = len(cell), true
		}
	}
	return string(cell)
}

// Error returns the text of err on one printable line.
func Error(err error) string { return Line(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// Lines makes printable lines of s.
func Lines(s string) string { return escape(strings.TrimRight(s, "\r\n"), true) }

// JSON writes valid JSON in printable ASCII. Outside of its texts it is that already, so
// whatever else there is becomes a \u escape, which every reader takes for the same text.
func JSON(valid []byte) []byte {
	out := make([]byte, 0, len(valid))
	for _, c := range string(valid) {
		switch {
		case c < 0x7f:
			out = append(out, byte(c))
		case c <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			high, low := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
	}
	return out
}

// JSONWriter writes what a json.Encoder encodes as JSON does.
type JSONWriter struct{ io.Writer }

func (w JSONWriter) Write(valid []byte) (int, error) {
	_, err := w.Writer.Write(JSON(valid))
	return len(valid), err
}

// escape escapes line breaks, too, unless lines is set.
func escape(s string, lines bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' && lines, r == ' ':
			b.WriteRune(r)
		case r == '\t':
			b.WriteString("    ")
		case r == '\r' && lines && strings.HasPrefix(s[i+1:], "\n"):
		case r < 0x80 && (r < ' ' || r == 0x7f):
			fmt.Fprintf(&b, `\x%02x`, r)
		case !unicode.IsGraphic(r) || invisible(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// invisible reports characters that IsGraphic accepts though nobody can see them.
func invisible(r rune) bool {
	const blankBraille = 0x2800 // it takes up room, and is empty
	return unicode.Is(unicode.Zs, r) && r != ' ' && r != '\u00a0' || r == blankBraille ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Clip cuts s to at most n bytes, not within a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Count writes a number of things, as "1 address", "2 addresses", "3 entries" or "0 days".
func Count[N int | uint64](n N, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		what += "e"
	case strings.HasSuffix(what, "y") && !strings.HasSuffix(what, "ay"):
		what = strings.TrimSuffix(what, "y") + "ie"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
