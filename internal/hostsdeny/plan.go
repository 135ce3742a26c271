package hostsdeny

import (
	"bytes"
	"net/netip"
)

// plan is what an edit does to the bytes of a file. The zero plan does nothing.
type plan struct {
	cuts   []span // lines to take out, in order
	at     int    // where insert goes
	insert []byte // whole lines; behind the last byte also what ends the last line
	tail   []byte // what ends the last line, where insert goes elsewhere
}

func (p plan) nothing() bool {
	return len(p.cuts) == 0 && len(p.insert) == 0 && len(p.tail) == 0
}

// apply returns the content after the edit.
func (p plan) apply(content []byte) []byte {
	out := make([]byte, 0, len(content)+len(p.insert)+len(p.tail))
	if len(p.insert) > 0 || len(p.tail) > 0 {
		out = append(out, content[:p.at]...)
		out = append(out, p.insert...)
		out = append(out, content[p.at:]...)
		return append(out, p.tail...)
	}
	from := 0
	for _, cut := range p.cuts {
		out = append(out, content[from:cut.start]...)
		from = cut.end
	}
	return append(out, content[from:]...)
}

// planAdd adds entries for all addrs that none denies, each once, and ends the last line.
func (f form) planAdd(content []byte, addrs []netip.Addr) plan {
	decided := f.decided(content)
	denied := make(map[netip.Addr]bool, len(addrs))
	for _, e := range f.matching(content, addrs) {
		if e.start < decided {
			denied[e.addr] = true
		}
	}
	missing := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		if !denied[addr] {
			denied[addr] = true
			missing = append(missing, addr)
		}
	}
	return f.planInsert(content, missing)
}

// planInsert adds entries and ends the last line.
func (f form) planInsert(content []byte, addrs []netip.Addr) plan {
	mend := missingEnd(content)
	if len(addrs) == 0 {
		return plan{at: len(content), insert: mend}
	}
	end := lineEnd(content)
	var lines []byte
	for _, addr := range addrs {
		lines = append(append(lines, f.line(addr)...), end...)
	}
	if at := f.place(content); at < len(content) {
		return plan{at: at, insert: lines, tail: mend}
	}
	return plan{at: len(content), insert: append(mend, lines...)}
}

// planRemove takes out the entries for any of addrs.
func (f form) planRemove(content []byte, addrs []netip.Addr) plan {
	return planCut(f.matching(content, addrs))
}

func planCut(entries []entry) plan {
	var p plan
	for _, e := range entries {
		p.cuts = append(p.cuts, e.span)
	}
	return p
}

// place returns where a new entry goes: behind everything, as the stock script
// puts it, or before the first rule in a file that allows as well as denies.
func (f form) place(content []byte) int {
	if !f.allow {
		return len(content)
	}
	return nextRule(content, 0)
}

// decided returns from where on an entry has no effect in a file that allows as well as denies:
// the start of the first rule that is not a plain entry. Elsewhere it is the length of the content.
func (f form) decided(content []byte) int {
	if !f.allow {
		return len(content)
	}
	for start := nextRule(content, 0); start < len(content); {
		line := lineAt(content, start)
		if _, ok := f.parse(content[line.start:line.end]); !ok {
			return line.start
		}
		start = nextRule(content, line.end)
	}
	return len(content)
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
	if last[len(last)-1] == '\n' && !continues(content, len(content)) {
		return nil
	}
	end := lineEnd(content)
	if last[len(last)-1] == '\n' {
		return end
	}
	if bytes.IndexByte(last, 0) >= 0 || (last[len(last)-1] == '\\' && len(end) == 1) {
		return append(end, end...)
	}
	return end
}
