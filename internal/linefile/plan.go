package linefile

import (
	"bytes"
	"slices"
)

// Plan is what an edit does to the bytes of a file. The zero Plan does nothing.
type Plan struct {
	Cuts  []Span // lines to take out, in order; with them nothing is added
	At    int    // where lines go
	Lines []byte // whole entries
	Mend  []byte // what ends the last line of the file as it is, before lines that go behind it
}

// Nothing reports whether it does nothing.
func (p Plan) Nothing() bool {
	return len(p.Cuts) == 0 && len(p.Lines) == 0 && len(p.Mend) == 0
}

// Apply returns the content after the edit.
func (p Plan) Apply(content []byte) []byte {
	switch {
	case len(p.Cuts) > 0:
		out := make([]byte, 0, len(content))
		from := 0
		for _, cut := range p.Cuts {
			out = append(out, content[from:cut.Start]...)
			from = cut.End
		}
		return append(out, content[from:]...)
	case p.At < len(content):
		return slices.Concat(content[:p.At], p.Lines, content[p.At:], p.Mend)
	}
	return slices.Concat(content, p.Mend, p.Lines)
}

// Span is a whole line with its end: content[start:end].
type Span struct{ Start, End int }

// LineEnd returns the line end that the file uses, going by its last one.
// libwrap copes with CRLF, in options too (7.6.q, asked through tcpdmatch).
func LineEnd(content []byte) []byte {
	if last := bytes.LastIndexByte(content, '\n'); last > 0 && content[last-1] == '\r' {
		return []byte("\r\n")
	}
	return []byte("\n")
}

// MissingEnd returns what must follow the content so that a line behind it is
// one of its own. More than one line end is needed when the first only makes a
// backslash into a continuation.
func MissingEnd(content []byte) []byte {
	if len(content) == 0 {
		return nil
	}
	last := content[LineAt(content, len(content)-1).Start:]
	end := LineEnd(content)
	switch {
	case last[len(last)-1] == '\n' && !Continues(content, len(content)):
		return nil
	case last[len(last)-1] == '\n':
		return end
	case bytes.IndexByte(last, 0) >= 0 || (last[len(last)-1] == '\\' && len(end) == 1):
		return append(end, end...)
	}
	return end
}

// LineAt returns the line that the byte at place stands in.
func LineAt(content []byte, place int) Span {
	start := bytes.LastIndexByte(content[:place], '\n') + 1
	end := bytes.IndexByte(content[place:], '\n')
	if end < 0 {
		return Span{start, len(content)}
	}
	return Span{start, place + end + 1}
}

// Continues reports whether the line at start is read as part of the line before it. A
// backslash at the very end does that, for libwrap also in a comment; so does a NUL byte
// anywhere, since xgets() of libwrap then misses the line end.
func Continues(content []byte, start int) bool {
	if start == 0 {
		return false
	}
	before := content[LineAt(content, start-1).Start:start]
	return bytes.HasSuffix(before, []byte("\\\n")) || bytes.IndexByte(before, 0) >= 0
}
