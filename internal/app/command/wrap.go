package command

import (
	"bytes"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

// helpWidth is that of a help text where there is no terminal, in columns.
const helpWidth = 80

func init() {
	flag := cli.FlagStringer
	cli.FlagStringer = func(f cli.Flag) string {
		names, usage, _ := strings.Cut(flag(f), "\t")
		names, _, _ = strings.Cut(names, " [ ") // that it may be repeated; the usage says so
		return names + "\t" + usage
	}
	plain := cli.HelpPrinter
	cli.HelpPrinter = func(w io.Writer, text string, data any) {
		var b bytes.Buffer
		plain(&b, text, data)
		width := app.Columns(w)
		if width == 0 {
			width = helpWidth
		}
		_, _ = io.WriteString(w, Wrap(b.String(), width)) // the library reports no error of a help text either
	}
}

// Wrap breaks lines between words so that they fit into width columns, 0 for any. What follows is
// indented as the second column of the line, which two blanks or more part from the first; else as
// the line itself. Colours take no room.
func Wrap(text string, width int) string {
	if width == 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		indent, column, inSecond := 0, 0, false
		for rest := strings.TrimRight(line, " \n"); rest != ""; {
			word := strings.TrimLeft(rest, " ")
			blanks := len(rest) - len(word)
			word, _, _ = strings.Cut(word, " ")
			rest = rest[blanks+len(word):]
			switch {
			case column == 0:
				indent = blanks
			case blanks > 1 && !inSecond && column+blanks < width*3/4:
				indent, inSecond = column+blanks, true
			}
			if column > indent && column+blanks+columns(word) > width {
				b.WriteByte('\n')
				column, blanks = 0, indent
			}
			b.WriteString(strings.Repeat(" ", blanks) + word)
			column += blanks + columns(word)
		}
		if strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// columns is the room that a word takes, without its ANSI codes of colours.
func columns(word string) (n int) {
	inCode := false
	for _, r := range word {
		switch {
		case r == '\x1b':
			inCode = true
		case inCode:
			inCode = r != 'm'
		default:
			n++
		}
	}
	return n
}
