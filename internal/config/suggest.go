package config

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// unknown says that a name means nothing, and which one may have been meant.
func unknown(kind, name string, known map[string]reflect.Value) error {
	nearest := Nearest(name, maps.Keys(known))
	if nearest == "" {
		return fmt.Errorf("unknown %s", kind)
	}
	return fmt.Errorf("unknown %s; did you mean %q?", kind, nearest)
}

// Nearest returns the known name that was most likely meant, "" when none is like it.
func Nearest(name string, known iter.Seq[string]) string {
	nearest, best := "", max(2, len(name)/3)+1
	for candidate := range known {
		if d := distance(name, candidate); d < best || d == best && candidate < nearest {
			nearest, best = candidate, d
		}
	}
	return nearest
}

// distance counts the insertions, deletions and changes that make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = slices.Min([]int{cost, row[j] + 1, diagonal + 1})
		}
	}
	return row[len(b)]
}

// lineOf finds the line on which a key of a table stands, or the table itself when key
// is ""; 1 when it cannot be found (a dotted or quoted spelling).
func lineOf(data, table, key string) int {
	current := ""
	n := 0
	for line := range strings.Lines(data) {
		n++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			current, _, _ = strings.Cut(strings.Trim(line, "[ "), "]")
			current = strings.TrimSpace(current)
			if key == "" && current == table {
				return n
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); ok &&
			(current == table && name == key || current == "" && name == table+"."+key) {
			return n
		}
	}
	return 1
}
