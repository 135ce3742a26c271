package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// decode reads what is TOML in data. Statements that are not are skipped and reported with their
// lines, so that no setting is lost to an error in another one. It returns what was read.
func decode(path, data string) (meta toml.MetaData, tables map[string]toml.Primitive,
	read string, err error) {
	meta, err = toml.Decode(data, &tables)
	if err == nil {
		return meta, tables, data, nil
	}
	s := statements{path: path, lines: strings.SplitAfter(data, "\n")}
	s.dropBroken()
	for len(s.faults) < maxBroken {
		read, tables = strings.Join(s.lines, ""), nil
		if meta, err = toml.Decode(read, &tables); err == nil {
			return meta, tables, read, errors.Join(s.faults...)
		}
		s.drop(s.note(0, read, err)) // something is there twice
	}
	return toml.MetaData{}, nil, "", errors.Join(append(s.faults,
		fmt.Errorf("%s: too much of it is wrong: nothing in it counts", path))...)
}

// maxBroken is how many statements are skipped, less one.
const maxBroken = 20

// statements is a file that is looked through piece by piece.
type statements struct {
	path   string
	lines  []string // with their ends; those that are skipped are empty but for these
	faults []error
}

func beginsSetting(line string) bool { return isNameBefore(line, "=") }

func beginsTable(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "[") }

// meantAsTable reports whether only the bracket at the beginning is missing.
func meantAsTable(line string) bool { return isNameBefore(line, "]") }

func isNameBefore(line, sign string) bool {
	name, _, ok := strings.Cut(line, sign)
	name = strings.TrimSpace(name)
	return ok && name != "" && strings.Trim(name,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

// dropBroken skips each statement that is no TOML by itself.
func (s *statements) dropBroken() {
	for from := 0; from < len(s.lines) && len(s.faults) < maxBroken; {
		to := s.end(from)
		if text, err := s.check(from, to); err != nil {
			at := s.note(from, text, err)
			if _, err := s.check(from, at); err != nil {
				at = from
			}
			s.drop(at)
		}
		from = to
	}
}

// check returns what is wrong with some lines by themselves, and these.
func (s *statements) check(from, to int) (string, error) {
	text := strings.Join(s.lines[from:to], "")
	_, err := toml.Decode(text, new(map[string]any))
	return text, err
}

// end returns where the statement ends that the line is of.
func (s *statements) end(line int) int {
	for line++; line < len(s.lines); line++ {
		if beginsSetting(s.lines[line]) || beginsTable(s.lines[line]) {
			break
		}
	}
	return line
}

// drop skips the rest of a statement. If that was to be the head of a table, the
// settings under it are not given to the table before: they go, too.
func (s *statements) drop(from int) {
	to := s.end(from)
	if beginsTable(s.lines[from]) || meantAsTable(s.lines[from]) {
		for to < len(s.lines) && !beginsTable(s.lines[to]) {
			to++
		}
	}
	for i := from; i < to; i++ {
		s.lines[i] = "\n"
	}
}

// note records the error in a text that begins at line from, and returns the line of the error.
func (s *statements) note(from int, text string, err error) int {
	at, message := from, err.Error()
	if fault := (toml.ParseError{}); errors.As(err, &fault) {
		// Its Line is the next one where a line ends too early.
		at, message = from+strings.Count(text[:max(0, min(fault.Position.Start, len(text)))], "\n"),
			fault.Message
	}
	at = min(at, len(s.lines)-1)
	s.faults = append(s.faults, fmt.Errorf("%s:%d: %s", s.path, at+1, message))
	return at
}
