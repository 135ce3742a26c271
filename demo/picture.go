package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The size of a letter in the picture, in pixels.
const (
	letterWidth  = 8.4
	letterHeight = 18
	margin       = 16
)

// picture draws the text of a terminal as an SVG. Lines that begin with # are bold: they are what
// was typed.
func picture(text string) []byte {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	columns := 0
	for _, line := range lines {
		columns = max(columns, utf8.RuneCountInString(line))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" `+
		`font-family="monospace" font-size="14">`+"\n",
		2*margin+float64(columns)*letterWidth, 2*margin+len(lines)*letterHeight)
	b.WriteString(`<rect width="100%" height="100%" rx="8" fill="#1e1e2e"/>` + "\n")
	for i, line := range lines {
		style := `fill="#cdd6f4"`
		if strings.HasPrefix(line, "# ") {
			style = `fill="#a6e3a1" font-weight="bold"`
		}
		fmt.Fprintf(&b, `<text xml:space="preserve" x="%d" y="%d" %s>`, margin, margin+(i+1)*letterHeight-4, style)
		_ = xml.EscapeText(&b, []byte(line)) // a buffer has no error
		b.WriteString("</text>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
