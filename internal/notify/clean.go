package notify

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxWord bounds a text of one line in a mail, in bytes, as it came in.
	maxWord = 512
	// maxLog bounds the log lines in a mail, in bytes, as they came in.
	maxLog = 16 << 10
)

// cleanLine makes one printable line of a text from outside, no longer than maxWord.
func cleanLine(s string) string {
	cut := len(s) > maxWord
	if cut {
		s = s[:maxWord]
	}
	s = clean(s, false)
	if cut {
		s += "..."
	}
	return s
}

// cleanLog makes printable lines of log lines from outside.
func cleanLog(s string) string { return clean(strings.TrimRight(s, "\r\n"), true) }

// clean keeps what can be seen and shows the rest as an escape: control characters (a
// line break too, unless lines is set), bytes that are no UTF-8, and the characters that
// turn the direction of writing or take up no room, with which one text can look like
// another.
func clean(s string, lines bool) string {
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
		case !unicode.IsGraphic(r) || hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// hidden reports characters that IsGraphic lets pass though nobody can see them.
func hidden(r rune) bool {
	const blankBraille = 0x2800 // it takes up room, and is empty
	return unicode.Is(unicode.Zs, r) && r != ' ' && r != '\u00a0' || r == blankBraille ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// clip cuts s to at most n bytes, not within a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
