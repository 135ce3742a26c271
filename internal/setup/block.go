package setup

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// marks are the two comments that enclose what the suite writes. There is no "--" in them: XML
// forbids it.
type marks struct {
	begin, end string
	indented   bool // blanks before the first are of the suite, too
}

// Those of the suite's own block, and of the <include> in the <rules> that is there.
var (
	blockMarks   = marks{"<!-- ossec-ar: begin", "<!-- ossec-ar: end -->", false}
	includeMarks = marks{"<!-- ossec-ar: rules begin", "<!-- ossec-ar: rules end -->", true}
)

// errMarks says that the marks of what was set up before are not a pair.
var errMarks = errors.New("the marks of the block that was set up before are damaged")

// span is where something stands: data[from:to].
type span struct{ from, to int }

// find returns where the marks and what is between them stand, as whole lines where nothing else is
// on these. Without any it is the end of the file.
func (m marks) find(data []byte) (s span, found bool, err error) {
	begin, end := bytes.Index(data, []byte(m.begin)), bytes.Index(data, []byte(m.end))
	if begin < 0 && end < 0 {
		return span{len(data), len(data)}, false, nil
	}
	if begin < 0 || end < begin || bytes.Count(data, []byte(m.begin)) != 1 ||
		bytes.Count(data, []byte(m.end)) != 1 {
		return s, false, fmt.Errorf("line %d: %w: there must be one %q and one %q behind it",
			lineOf(data, max(begin, end)), errMarks, m.begin+" ...", m.end)
	}
	s = span{begin, end + len(m.end)}
	start := lineStart(data, begin)
	rest, newline := bytes.CutPrefix(bytes.TrimPrefix(data[s.to:], []byte{'\r'}), []byte{'\n'})
	if newline && (start == begin || m.indented && blank(data[start:begin])) {
		s = span{start, len(data) - len(rest)}
	}
	return s, true, nil
}

// without returns the data without what stands there.
func (s span) without(data []byte) []byte { return slices.Concat(data[:s.from], data[s.to:]) }

// lineOf returns the number of the line of a place, from 1.
func lineOf(data []byte, at int) int { return 1 + bytes.Count(data[:at], []byte{'\n'}) }

func lineStart(data []byte, at int) int { return bytes.LastIndexByte(data[:at], '\n') + 1 }

func blank(text []byte) bool { return len(bytes.Trim(text, " \t")) == 0 }

// document is an ossec.conf, split at the suite's block, which is empty when there is none.
type document struct{ before, block, after []byte }

// split finds the suite's block.
func split(data []byte) (document, error) {
	s, _, err := blockMarks.find(data)
	return document{data[:s.from], data[s.from:s.to], data[s.to:]}, err
}

// rest is the document without the block.
func (d document) rest() []byte { return slices.Concat(d.before, d.after) }

// with returns the document with another block in the place of the one it has, or at the end. Every
// other byte stays: a block in the middle of a line, because the file had no newline at its end,
// gets none either.
func (d document) with(block string) []byte {
	if len(d.before) > 0 && d.before[len(d.before)-1] != '\n' {
		block = strings.TrimRight(block, "\r\n")
	}
	return slices.Concat(d.before, []byte(lineEnds(block, slices.Concat(d.before, d.block, d.after))), d.after)
}

// lineEnds gives a text the line ends that most lines of the data have.
func lineEnds(text string, data []byte) string {
	if 2*bytes.Count(data, []byte("\r\n")) > bytes.Count(data, []byte{'\n'}) {
		return strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

// marked puts the marks around the contents, with the names of the profiles, which the
// next run keeps when it is given no others.
func marked(profiles []string, c contents, d Dialect) string {
	names := strings.Join(profiles, ",")
	return fmt.Sprintf("%s profiles=%s (written by install.sh, which also takes it out again) -->\n%s%s\n",
		blockMarks.begin, names, c.write(d), blockMarks.end)
}

// profilesOf returns the profiles that a block was made of, nil when it does not say.
func profilesOf(block []byte) []string {
	text, found := bytes.CutPrefix(block, []byte(blockMarks.begin+" profiles="))
	names, _, ended := bytes.Cut(text, []byte{' '})
	if !found || !ended || len(names) == 0 {
		return nil
	}
	return strings.Split(string(names), ",")
}

// readable makes sure that OSSEC will see what was put into a file: behind a comment or a
// tag that is never closed it would not.
func readable(data []byte, c contents) error {
	at, _, err := blockMarks.find(data)
	if err != nil {
		return err
	}
	before := data[:at.from]
	if open := bytes.LastIndex(before, []byte("<!--")); open >= 0 &&
		!bytes.Contains(before[open:], []byte("-->")) {
		return fmt.Errorf("line %d: the comment is never closed; mend the file first", lineOf(data, open))
	}
	all, broken := blocks(data)
	want := map[string]int{"command": len(c.commands), "localfile": len(c.localfile),
		"active-response": len(c.responses)}
	for _, b := range all {
		if b.line >= lineOf(data, at.from) && b.line <= lineOf(data, at.to-1) {
			want[b.name]--
		}
	}
	for name, n := range want {
		if n > 0 {
			return errors.Join(broken,
				fmt.Errorf("the <%s> that would be added could not be read there; mend the file first", name))
		}
	}
	return nil
}
