package ossec

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// What ossec.conf may have at most, in bytes: root's, and one that others can write, as Wazuh's account can:
// each call of a response reads it.
const (
	maxConf    = 32 << 20
	maxForeign = 512 << 10
)

// Element is a leaf of ossec.conf: a tag with text in it.
type Element struct {
	Path []string // names from the outermost tag to this one, in lower case; not kept after the call
	Text string   // entities decoded, blanks around it cut off
	Raw  string   // entities decoded, blanks around it as they stand
	Line int      // of the opening tag, from 1
	// Parent numbers the tag around this leaf, in the order in which such tags open, so
	// that leaves of one block can be distinguished from those of the next. Root numbers the
	// outermost tag in the same way.
	Parent, Root int
}

// ReadConf reads the file and hands every leaf to visit. A missing file is an error
// that errors.Is os.ErrNotExist.
func ReadConf(path string, visit func(Element)) error {
	file, err := state.Open(path)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	defer file.Close()
	most := maxConf
	if file.Shared() {
		most = maxForeign
	}
	data, err := file.All(most)
	if errors.Is(err, state.ErrLarge) {
		return fmt.Errorf("reading configuration %s: larger than %d KiB: %w", path, most>>10, state.ErrLarge)
	}
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	if err := WalkConf(data, visit); err != nil {
		return fmt.Errorf("reading configuration %s: %w", path, err)
	}
	return nil
}

// ErrBrokenConf says that something in a configuration was skipped.
var ErrBrokenConf = errors.New("not well-formed")

// maxDepth bounds how deep tags are followed; OSSEC's own files go to four.
const maxDepth = 32

// WalkConf hands every leaf of an ossec.conf to visit. It is no XML parser on
// purpose: the file may have several roots, bare ampersands and other things that a
// strict one refuses, and one bad tag must not hide a whitelist. What is broken is
// skipped and reported once the rest has been read.
func WalkConf(data []byte, visit func(Element)) error {
	w := walker{visit: visit}
	return w.walk(data)
}

func (w *walker) walk(data []byte) error {
	line, whole := 1, len(data)
	for {
		open := bytes.IndexByte(data, '<')
		if open < 0 {
			break
		}
		w.text = append(w.text, data[:open]...)
		line += bytes.Count(data[:open], []byte{'\n'})
		data = data[open:]
		length, tag := w.markup(data)
		if length == 0 {
			w.broken(line, "a '<' that opens no tag, comment or declaration, or does not close it")
			w.text = append(w.text, '<')
			data = data[1:]
			continue
		}
		if tag != "" {
			w.from = whole - len(data)
			w.to = w.from + length
			w.tag(tag, line)
		}
		line += bytes.Count(data[:length], []byte{'\n'})
		data = data[length:]
	}
	for _, open := range w.stack {
		w.broken(open.line, fmt.Sprintf("<%s> is never closed", clip(open.name)))
	}
	return errors.Join(w.faults...)
}

// markup returns the length of what begins at the '<' that data begins with, 0 when it
// is no markup, and the inside of the tag when it is one.
func (w *walker) markup(data []byte) (int, string) {
	// What is not in the rest of the file is not looked for again.
	upTo := func(end string) int {
		if !slices.Contains(w.missing, end) {
			if i := bytes.Index(data, []byte(end)); i >= 0 {
				return i + len(end)
			}
			w.missing = append(w.missing, end)
		}
		return 0
	}
	switch {
	case bytes.HasPrefix(data, []byte("<!--")):
		return upTo("-->"), ""
	case bytes.HasPrefix(data, []byte("<?")):
		return upTo("?>"), ""
	case bytes.HasPrefix(data, []byte("<![CDATA[")):
		return upTo("]]>"), ""
	case bytes.HasPrefix(data, []byte("<!")):
		return upTo(">"), ""
	case len(data) < 2 || !(data[1] == '/' || isLetter(data[1])):
		return 0, ""
	}
	end := bytes.IndexAny(data[1:], "<>") + 1
	if end == 0 || data[end] == '<' {
		return 0, ""
	}
	return end + 1, string(data[1:end])
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

type openTag struct {
	name   string
	line   int
	number int
	leaf   bool
	end    int // where what is in it begins
}

type walker struct {
	visit func(Element)
	stack []openTag
	opens int
	text  []byte // since the last tag
	// from and to are where the tag at hand begins and ends.
	from, to int
	// closed, when set, is called before the tag at hand closes the one that is still open.
	closed func()

	missing []string // ends of markup that the rest of the file does not hold

	faults []error
}

// maxFaults bounds how many faults of one file are reported.
const maxFaults = 5

func (w *walker) broken(line int, what string) {
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, fmt.Errorf("line %d: %w: %s", line, ErrBrokenConf, what))
	}
}

func (w *walker) tag(inside string, line int) {
	closing := strings.HasPrefix(inside, "/")
	empty := strings.HasSuffix(inside, "/")
	var name string
	if words := strings.Fields(strings.Trim(inside, "/")); len(words) > 0 {
		name = strings.ToLower(words[0])
	}
	switch {
	case closing:
		w.close(name, line)
	case !empty:
		if len(w.stack) >= maxDepth {
			w.broken(line, "tags nested too deep")
			return
		}
		if n := len(w.stack); n > 0 {
			w.stack[n-1].leaf = false
		}
		w.opens++
		w.stack = append(w.stack, openTag{name, line, w.opens, true, w.to})
	}
	w.text = w.text[:0]
}

// close ends the nearest open tag of that name, and with it all that were left open
// inside; one that was never opened is skipped.
func (w *walker) close(name string, line int) {
	at := len(w.stack) - 1
	for at >= 0 && w.stack[at].name != name {
		at--
	}
	if at < 0 {
		w.broken(line, fmt.Sprintf("</%s> closes nothing", clip(name)))
		return
	}
	for _, left := range w.stack[at+1:] {
		w.broken(left.line, fmt.Sprintf("<%s> is never closed", clip(left.name)))
	}
	if top := w.stack[at]; top.leaf {
		e := Element{Raw: decodeEntities(string(w.text)), Line: top.line, Root: w.stack[0].number}
		e.Text = decodeEntities(strings.TrimSpace(string(w.text)))
		for _, t := range w.stack[:at+1] {
			e.Path = append(e.Path, t.name)
		}
		if at > 0 {
			e.Parent = w.stack[at-1].number
		}
		w.visit(e)
	}
	w.stack = w.stack[:at+1]
	if w.closed != nil {
		w.closed()
	}
	w.stack = w.stack[:at]
}

var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

// decodeEntities replaces XML's own entities and character references; any other
// ampersand stands for itself.
func decodeEntities(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "&")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, rest, ended := strings.Cut(after, ";")
		plain, known := entities[name]
		if r, ok := characterReference(name); ok {
			plain, known = string(r), true
		}
		if !ended || !known {
			b.WriteByte('&')
			s = after
			continue
		}
		b.WriteString(plain)
		s = rest
	}
}

func characterReference(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return rune(n), err == nil && n <= utf8.MaxRune && utf8.ValidRune(rune(n))
}

func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
