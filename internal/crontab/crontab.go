// Package crontab reads the lines of cron's tables, crontab(5), and judges the times in
// them. It does not compute when a job is due next.
package crontab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Entry is a line that has something run.
type Entry struct {
	When    string // five fields, or a word such as @reboot
	User    string // in a table of the system, where every line names one
	Command string
}

// Parse reads a line; false for one that is empty, a comment or a setting. system: it is
// of /etc/crontab or /etc/cron.d, with a user between the time and the command. What is
// missing is empty.
func Parse(line string, system bool) (Entry, bool) {
	line = strings.TrimSpace(line)
	name, _, isSetting := strings.Cut(line, "=")
	if line == "" || line[0] == '#' || isSetting && len(strings.Fields(name)) == 1 {
		return Entry{}, false
	}
	line = strings.TrimLeft(strings.TrimPrefix(line, "-"), " \t") // cronie's: not to be logged
	times := 5
	if strings.HasPrefix(line, "@") {
		times = 1
	}
	var e Entry
	for range times {
		var field string
		field, line = cut(line)
		e.When = strings.TrimSpace(e.When + " " + field)
	}
	if system {
		e.User, line = cut(line)
	}
	e.Command = line
	return e, true
}

// cut returns the first word of a line, and the rest.
func cut(line string) (word, rest string) {
	end := strings.IndexAny(line, " \t")
	if end < 0 {
		return line, ""
	}
	return line[:end], strings.TrimLeft(line[end:], " \t")
}

// words stand in the place of the five fields.
var words = []string{"@reboot", "@yearly", "@annually", "@monthly", "@weekly",
	"@daily", "@midnight", "@hourly"}

// field is what one of the five fields can hold.
type field struct {
	name      string
	low, high int
	names     []string // of the values from low on
}

var fields = [...]field{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug",
		"sep", "oct", "nov", "dec"}},
	{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// ErrNever says that no date is such.
var ErrNever = errors.New("there is no such date: it never comes")

// Check says why cron does not take the time of an entry, or that it never comes.
func Check(when string) error {
	if strings.HasPrefix(when, "@") {
		if !slices.Contains(words, when) {
			return fmt.Errorf("%q is no word of cron's, such as @reboot", when)
		}
		return nil
	}
	given := strings.Fields(when)
	if len(given) != len(fields) {
		return fmt.Errorf("%d fields, of 5 that a time has", len(given))
	}
	var values [len(fields)][]int
	for i, f := range fields {
		var err error
		if values[i], err = f.values(given[i]); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	// With a day of the week beside it, it is enough that either fits.
	if days, weekdays := given[2], given[4]; !strings.HasPrefix(days, "*") &&
		!strings.HasPrefix(weekdays, "*") {
		return nil
	}
	longest := [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for _, month := range values[3] {
		if slices.Min(values[2]) <= longest[month-1] {
			return nil
		}
	}
	return ErrNever
}

// values reads a field: *, */5, 59, 1-5, 1,2, mon. cronie draws one of 1~5 by lot.
func (f field) values(text string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		span, every, stepped := strings.Cut(part, "/")
		step, err := strconv.ParseUint(every, 10, 16)
		if stepped && (err != nil || step == 0) {
			return nil, fmt.Errorf("%q is no step", every)
		}
		from, to := f.low, f.high
		if span != "*" {
			first, last, isRange := strings.Cut(strings.ReplaceAll(span, "~", "-"), "-")
			if !isRange {
				last = first
			}
			var okFrom, okTo bool
			from, okFrom = f.value(first)
			to, okTo = f.value(last)
			if !okFrom || !okTo || from > to {
				return nil, fmt.Errorf("%q is not within %d and %d", span, f.low, f.high)
			}
		}
		for n := from; n <= to; n += max(1, int(step)) {
			all = append(all, n)
		}
	}
	return all, nil
}

// value reads a number within the field's bounds, or a name.
func (f field) value(text string) (int, bool) {
	if at := slices.Index(f.names, strings.ToLower(text)); at >= 0 {
		return f.low + at, true
	}
	n, err := strconv.ParseUint(text, 10, 16) // no signs
	return int(n), err == nil && int(n) >= f.low && int(n) <= f.high
}
