package setup

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// The suite's rules are included by the <rules> that is there: a second one would make OSSEC forget
// the first, and analysisd not start.

// masked returns the document as it would be read without the include. Every line keeps its
// number. Marks that are no pair are reported by load.
func masked(data []byte) []byte {
	s, _, err := includeMarks.find(data)
	if err != nil {
		return data
	}
	data = bytes.Clone(data)
	for i := s.from; i < s.to; i++ {
		if data[i] != '\n' && data[i] != '\r' {
			data[i] = ' '
		}
	}
	return data
}

// section is the <rules> by which OSSEC goes: the last one that includes something, for that
// makes it forget what those before include.
type section struct {
	ossec.Section
	includes []string
	any      bool // includes files or folders
	earlier  int  // line of the first of those that are forgotten, 0 for none
}

// rulesIn finds it; false when there is no <rules> at all.
func rulesIn(data []byte) (section, bool) {
	var found section
	sections := ossec.Sections(data, "rules")
	for _, s := range sections {
		includes, any := includesIn(data[s.From:s.To])
		if found.any && !any {
			continue
		}
		if found.any && found.earlier == 0 {
			found.earlier = found.Line
		}
		found.Section, found.includes, found.any = s, includes, any
	}
	return found, len(sections) > 0
}

// includesIn returns the files that the inside of a <rules> includes, and whether it includes
// any or a folder.
func includesIn(inside []byte) (files []string, any bool) {
	_ = ossec.WalkConf(inside, func(e ossec.Element) { // what is broken is for OSSEC to say
		switch strings.Join(e.Path, "/") {
		case "include", "rule", "rule_include":
			files, any = append(files, e.Text), true
		case "rule_dir":
			any = true
		}
	})
	return files, any
}

// setInclude makes the <rules> that is there include a file, between the marks and at its
// end, and includes it nowhere else; "" takes it out. Where it stands already it stays.
func setInclude(data []byte, file string) ([]byte, error) {
	s, there, err := includeMarks.find(data)
	if err != nil {
		return nil, err
	}
	rest := s.without(data)
	if file == "" {
		return rest, nil
	}
	place, _ := rulesIn(rest)
	if there && s.from >= place.From && s.from <= place.To {
		if files, _ := includesIn(data[s.from:s.to]); slices.Equal(files, []string{file}) {
			return data, nil
		}
	}
	at, before, between, after := place.To, "", "", ""
	if start := lineStart(rest, place.To); blank(rest[start:place.To]) { // then in lines of its own
		indent := string(rest[start:place.To]) + "  "
		at, before, between, after = start, indent, "\n"+indent, "\n"
	}
	w := &writer{}
	w.element("", "include", file)
	text := before + includeMarks.begin + " (written by install.sh, which also takes it out again) -->" +
		between + strings.TrimSuffix(w.String(), "\n") + between + includeMarks.end + after
	next := slices.Concat(rest[:at], []byte(lineEnds(text, rest)), rest[at:])
	if now, _ := rulesIn(next); !slices.Equal(now.includes, append(slices.Clone(place.includes), file)) {
		return nil, fmt.Errorf("line %d: the <include> that would be added to this <rules> could not be "+
			"read there; mend the file first", place.Line)
	}
	return next, nil
}
