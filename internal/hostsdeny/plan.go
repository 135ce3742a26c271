package hostsdeny

import (
	"bytes"

	"github.com/ossec-ar/ossec-ar/internal/target"
	"slices"
)

// plan is what an edit does to the bytes of a file. The zero plan does nothing.
type plan struct {
	cuts  []span // lines to take out, in order; with them nothing is added
	at    int    // where lines go
	lines []byte // whole entries
	mend  []byte // what ends the last line of the file as it is, before lines that go behind it
}

func (p plan) nothing() bool {
	return len(p.cuts) == 0 && len(p.lines) == 0 && len(p.mend) == 0
}

// apply returns the content after the edit.
func (p plan) apply(content []byte) []byte {
	switch {
	case len(p.cuts) > 0:
		out := make([]byte, 0, len(content))
		from := 0
		for _, cut := range p.cuts {
			out = append(out, content[from:cut.start]...)
			from = cut.end
		}
		return append(out, content[from:]...)
	case p.at < len(content):
		return slices.Concat(content[:p.at], p.lines, content[p.at:], p.mend)
	}
	return slices.Concat(content, p.mend, p.lines)
}

// planAdd adds entries for all addrs that none denies, each once, and ends the last line. They go
// behind everything, as the stock script puts them, or before the first rule in a file that allows
// as well as denies.
func (f form) planAdd(content []byte, addrs []target.Target) plan {
	p := plan{at: len(content), mend: missingEnd(content)}
	if f.allow {
		p.at = nextRule(content, 0)
	}
	decided := f.decided(content)
	denied := make(map[target.Target]bool, len(addrs))
	for _, e := range f.matching(content, addrs) {
		if e.start < decided {
			denied[e.addr] = true
		}
	}
	end := lineEnd(content)
	for _, addr := range addrs {
		if !denied[addr] {
			denied[addr] = true
			p.lines = append(append(p.lines, f.line(addr)...), end...)
		}
	}
	return p
}

// planRemove takes out the entries for any of addrs.
func (f form) planRemove(content []byte, addrs []target.Target) plan {
	return planCut(f.matching(content, addrs))
}

func planCut(entries []entry) plan {
	var p plan
	for _, e := range entries {
		p.cuts = append(p.cuts, e.span)
	}
	return p
}

// decided returns from where on an entry has no effect in a file that allows as well as denies:
// the start of the first rule that is not a plain entry. Elsewhere it is the length of the content.
func (f form) decided(content []byte) int {
	if !f.allow {
		return len(content)
	}
	start := nextRule(content, 0)
	for start < len(content) {
		line := lineAt(content, start)
		if _, ok := f.parse(content[line.start:line.end]); !ok {
			break
		}
		start = nextRule(content, line.end)
	}
	return start
}

// nextRule returns the start of the first line at or after start that is
// neither blank nor a comment nor part of one, or the length of the content.
func nextRule(content []byte, start int) int {
	for start < len(content) {
		line := lineAt(content, start)
		text := bytes.Trim(content[line.start:line.end], " \t\r\n")
		blank := len(text) == 0 || content[line.start] == '#'
		if !blank && !continues(content, line.start) {
			return line.start
		}
		start = line.end
	}
	return len(content)
}

// lineEnd returns the line end that the file uses, going by its last one.
// libwrap copes with CRLF, in options too (7.6.q, asked through tcpdmatch).
func lineEnd(content []byte) []byte {
	if last := bytes.LastIndexByte(content, '\n'); last > 0 && content[last-1] == '\r' {
		return []byte("\r\n")
	}
	return []byte("\n")
}

// missingEnd returns what must follow the content so that a line behind it is
// one of its own. More than one line end is needed when the first only makes a
// backslash into a continuation.
func missingEnd(content []byte) []byte {
	if len(content) == 0 {
		return nil
	}
	last := content[lineAt(content, len(content)-1).start:]
	end := lineEnd(content)
	switch {
	case last[len(last)-1] == '\n' && !continues(content, len(content)):
		return nil
	case last[len(last)-1] == '\n':
		return end
	case bytes.IndexByte(last, 0) >= 0 || (last[len(last)-1] == '\\' && len(end) == 1):
		return append(end, end...)
	}
	return end
}
