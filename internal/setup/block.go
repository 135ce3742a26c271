package setup

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// The suite's block stands between two comments. There is no "--" in them: XML forbids it.
const (
	beginMark = "<!-- ossec-ar: begin"
	endMark   = "<!-- ossec-ar: end -->"
)

// errMarks says that the marks of the suite's block are not a pair.
var errMarks = errors.New("the marks of the block that was set up before are damaged")

// document is an ossec.conf, split at the suite's block.
type document struct {
	before, block, after []byte // block is nil when there is none
	// joined: the block begins in the middle of a line, because the file had no newline
	// at its end.
	joined bool
	crlf   bool
}

// split finds the suite's block.
func split(data []byte) (document, error) {
	d := document{before: data, joined: len(data) > 0 && data[len(data)-1] != '\n', crlf: crlf(data)}
	begin := bytes.Index(data, []byte(beginMark))
	end := bytes.Index(data, []byte(endMark))
	if begin < 0 && end < 0 {
		return d, nil
	}
	if begin < 0 || end < begin || bytes.Count(data, []byte(beginMark)) != 1 ||
		bytes.Count(data, []byte(endMark)) != 1 {
		line := 1 + bytes.Count(data[:max(begin, end)], []byte{'\n'})
		return d, fmt.Errorf("line %d: %w: there must be one %q and one %q behind it", line, errMarks,
			beginMark+" ...", endMark)
	}
	end += len(endMark)
	d.joined = begin > 0 && data[begin-1] != '\n'
	d.before, d.block, d.after = data[:begin], data[begin:end], data[end:]
	if !d.joined { // then the newline behind it is its own
		rest := bytes.TrimPrefix(d.after, []byte{'\r'})
		rest, found := bytes.CutPrefix(rest, []byte{'\n'})
		if found {
			d.block, d.after = data[begin:len(data)-len(rest)], rest
		}
	}
	return d, nil
}

// crlf reports whether most lines end in CRLF.
func crlf(data []byte) bool {
	return 2*bytes.Count(data, []byte("\r\n")) > bytes.Count(data, []byte{'\n'})
}

// rest is the document without the block.
func (d document) rest() []byte { return append(bytes.Clone(d.before), d.after...) }

// with returns the document with another block in the place of the one it has, or at the
// end. Every other byte stays.
func (d document) with(block string) []byte {
	if d.crlf {
		block = strings.ReplaceAll(block, "\n", "\r\n")
	}
	if d.joined {
		block = strings.TrimRight(block, "\r\n")
	}
	return append(append(bytes.Clone(d.before), block...), d.after...)
}

// marked puts the marks around the contents, with the names of the profiles, which the
// next run keeps when it is given no others.
func marked(profiles []string, c contents, d Dialect) string {
	names := strings.Join(profiles, ",")
	return fmt.Sprintf("%s profiles=%s (written by install.sh, which also takes it out again) -->\n%s%s\n",
		beginMark, names, c.write(d), endMark)
}

// profilesOf returns the profiles that a block was made of, nil when it does not say.
func profilesOf(block []byte) []string {
	text, found := bytes.CutPrefix(block, []byte(beginMark+" profiles="))
	names, _, ended := bytes.Cut(text, []byte{' '})
	if !found || !ended || len(names) == 0 {
		return nil
	}
	return strings.Split(string(names), ",")
}

// readable makes sure that OSSEC will see what was put into a file: behind a comment or a
// tag that is never closed it would not.
func readable(data []byte, c contents) error {
	before := data[:bytes.Index(data, []byte(beginMark))]
	if open := bytes.LastIndex(before, []byte("<!--")); open >= 0 &&
		!bytes.Contains(before[open:], []byte("-->")) {
		return fmt.Errorf("line %d: the comment is never closed; mend the file first",
			1+bytes.Count(before[:open], []byte{'\n'}))
	}
	all, broken := blocks(data)
	want := map[string]int{"command": len(c.commands), "localfile": len(c.localfile),
		"active-response": len(c.responses)}
	begin := 1 + bytes.Count(before, []byte{'\n'})
	end := 1 + bytes.Count(data[:bytes.Index(data, []byte(endMark))], []byte{'\n'})
	for _, b := range all {
		if b.line >= begin && b.line <= end {
			want[b.name]--
		}
	}
	for name, n := range want {
		if n > 0 {
			return errors.Join(fmt.Errorf("the <%s> that would be added could not be read there; mend the file first", name),
				broken)
		}
	}
	return nil
}
