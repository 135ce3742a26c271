package setup

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// The suite's rules are included by the <rules> that is there: a second one would make
// OSSEC forget the first, and analysisd not start. There they stand between marks of their
// own, which begin otherwise than those of the block.
const (
	includeBegin = "<!-- ossec-ar: rules begin"
	includeEnd   = "<!-- ossec-ar: rules end -->"
)

// span is where the include stands, with its marks and the whole lines if they are its own.
type span struct{ from, to int }

func findInclude(data []byte) (span, bool, error) {
	begin, end := bytes.Index(data, []byte(includeBegin)), bytes.Index(data, []byte(includeEnd))
	if begin < 0 && end < 0 {
		return span{}, false, nil
	}
	if begin < 0 || end < begin || bytes.Count(data, []byte(includeBegin)) != 1 ||
		bytes.Count(data, []byte(includeEnd)) != 1 {
		line := 1 + bytes.Count(data[:max(begin, end)], []byte{'\n'})
		return span{}, false, fmt.Errorf("line %d: %w: there must be one %q and one %q behind it", line,
			errMarks, includeBegin+" ...", includeEnd)
	}
	s := span{begin, end + len(includeEnd)}
	start := lineStart(data, begin)
	rest, newline := bytes.CutPrefix(bytes.TrimPrefix(data[s.to:], []byte{'\r'}), []byte{'\n'})
	if blank(data[start:begin]) && newline {
		s = span{start, len(data) - len(rest)}
	}
	return s, true, nil
}

func lineStart(data []byte, at int) int { return bytes.LastIndexByte(data[:at], '\n') + 1 }

func blank(text []byte) bool { return len(bytes.Trim(text, " \t")) == 0 }

// without returns the document without what stands there.
func (s span) without(data []byte) []byte { return slices.Concat(data[:s.from], data[s.to:]) }

// masked returns the document as it would be read without the include. Every line keeps its
// number. Marks that are no pair are reported by load.
func masked(data []byte) []byte {
	s, there, err := findInclude(data)
	if err != nil || !there {
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

// rules is the <rules> by which OSSEC goes: the last one that includes something, for that
// makes it forget what those before include.
type rules struct {
	ossec.Section
	includes []string
	any      bool // includes files or folders
	earlier  int  // line of the first of those that are forgotten, 0 for none
}

// rulesIn finds it; false when there is no <rules> at all.
func rulesIn(data []byte) (rules, bool) {
	var found rules
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
	s, there, err := findInclude(data)
	if err != nil {
		return nil, err
	}
	rest := data
	if there {
		rest = s.without(data)
	}
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
	text := before + includeBegin + " (written by install.sh, which also takes it out again) -->" + between +
		strings.TrimSuffix(w.String(), "\n") + between + includeEnd + after
	if crlf(rest) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	next := slices.Concat(rest[:at], []byte(text), rest[at:])
	if now, _ := rulesIn(next); !slices.Equal(now.includes, append(slices.Clone(place.includes), file)) {
		return nil, fmt.Errorf("line %d: the <include> that would be added to this <rules> could not be read there; mend the file first",
			place.Line)
	}
	return next, nil
}
