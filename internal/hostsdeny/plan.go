package hostsdeny

import (
	"bytes"

	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// planAdd adds entries for all addrs that none denies, each once, and ends the last line. They go
// behind everything, as the stock script puts them, or before the first rule in a file that allows
// as well as denies.
func (f form) planAdd(content []byte, addrs []target.Target) linefile.Plan {
	p := linefile.Plan{At: len(content), Mend: linefile.MissingEnd(content)}
	if f.allow {
		p.At = nextRule(content, 0)
	}
	decided := f.decided(content)
	denied := make(map[target.Target]bool, len(addrs))
	for _, e := range f.matching(content, addrs) {
		if e.Start < decided {
			denied[e.Target] = true
		}
	}
	end := linefile.LineEnd(content)
	for _, addr := range addrs {
		if !denied[addr] {
			denied[addr] = true
			p.Lines = append(append(p.Lines, f.line(addr)...), end...)
		}
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
		line := linefile.LineAt(content, start)
		if _, ok := f.parse(content[line.Start:line.End]); !ok {
			break
		}
		start = nextRule(content, line.End)
	}
	return start
}

// nextRule returns the start of the first line at or after start that is
// neither blank nor a comment nor part of one, or the length of the content.
func nextRule(content []byte, start int) int {
	for start < len(content) {
		line := linefile.LineAt(content, start)
		text := bytes.Trim(content[line.Start:line.End], " \t\r\n")
		blank := len(text) == 0 || content[line.Start] == '#'
		if !blank && !linefile.Continues(content, line.Start) {
			return line.Start
		}
		start = line.End
	}
	return len(content)
}
