package linefile

import (
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Entry is a line that stands for a target.
type Entry struct {
	Span
	Target target.Target
}

// Entries returns the lines that parse knows and that do not continue another, in the order of the
// file. parse is given each with its end.
func Entries(content []byte, parse func(line []byte) (target.Target, bool)) (found []Entry) {
	for start := 0; start < len(content); {
		line := LineAt(content, start)
		if t, ok := parse(content[line.Start:line.End]); ok && !Continues(content, line.Start) {
			found = append(found, Entry{line, t})
		}
		start = line.End
	}
	return found
}

// Of returns those of entries that stand for any of the targets.
func Of(targets []target.Target, entries []Entry) []Entry {
	wanted := make(map[target.Target]bool, len(targets))
	for _, t := range targets {
		wanted[t] = true
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return !wanted[e.Target] })
}

// Cut returns the plan that takes entries out.
func Cut(entries []Entry) (p Plan) {
	for _, e := range entries {
		p.Cuts = append(p.Cuts, e.Span)
	}
	return p
}
