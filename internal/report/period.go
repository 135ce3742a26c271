package report

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// lastDays is the days up to today.
func lastDays(now time.Time, days int) stats.Period {
	from := stats.DayStart(now, 1-days)
	return stats.Period{From: from, Until: stats.DayStart(now, 1), Label: "from " +
		from.Format(time.DateOnly) + " to " + now.Format(time.DateOnly)}
}

// bounds is what a person asked for, as texts.
type bounds struct {
	date, since, until          string
	yesterday, week, month, all bool
}

// period makes a period out of what was asked for.
func (b bounds) period(now time.Time) (stats.Period, error) {
	var asked []string
	for name, is := range map[string]bool{
		"--date": b.date != "", "--yesterday": b.yesterday, "--week": b.week,
		"--month": b.month, "--all": b.all,
		"--since/--until": b.since != "" || b.until != "",
	} {
		if is {
			asked = append(asked, name)
		}
	}
	switch {
	case len(asked) > 1:
		return stats.Period{},
			errors.New("only one period can be asked for: one of --date, --yesterday, --week, --month, " +
				"--all, or --since with --until")
	case b.all:
		return stats.Period{Label: "in all logs"}, nil
	case b.yesterday:
		return stats.Day(stats.DayStart(now, -1), "yesterday"), nil
	case b.week:
		return lastDays(now, 7), nil
	case b.month:
		return lastDays(now, 30), nil
	case b.date != "":
		return oneDay(b.date, now)
	case b.since != "" || b.until != "":
		return between(b.since, b.until, now)
	}
	return stats.Today(now), nil
}

func oneDay(text string, now time.Time) (stats.Period, error) {
	from, until, err := parseWhen(text, now)
	if err != nil {
		return stats.Period{}, fmt.Errorf("--date: %w", err)
	}
	if from.Equal(until) {
		return stats.Period{}, fmt.Errorf("--date: %q is no day such as 2026-11-23, today or yesterday", text)
	}
	label := "on " + from.Format(time.DateOnly)
	if text == "today" || text == "yesterday" {
		label = text
	}
	return stats.Period{From: from, Until: until, Label: label}, nil
}

func between(since, until string, now time.Time) (stats.Period, error) {
	var p stats.Period
	var err, uerr error
	var labels []string
	if since != "" {
		if p.From, _, err = parseWhen(since, now); err != nil {
			err = fmt.Errorf("--since: %w", err)
		}
		labels = append(labels, "from "+shortTime(p.From))
	}
	if until != "" {
		var from time.Time
		if from, p.Until, uerr = parseWhen(until, now); uerr != nil {
			uerr = fmt.Errorf("--until: %w", uerr)
		}
		if from.Equal(p.Until) {
			labels = append(labels, "to "+shortTime(p.Until))
		} else {
			labels = append(labels, "to "+from.Format(time.DateOnly))
		}
	}
	if err := errors.Join(err, uerr); err != nil {
		return p, err
	}
	if !p.Until.IsZero() && !p.From.Before(p.Until) {
		return p, fmt.Errorf("the period ends (--until %s) before it begins (--since %s)", until, since)
	}
	p.Label = strings.Join(labels, " ")
	return p, nil
}

// shortTime writes a time, or only its day when it is the beginning of one.
func shortTime(t time.Time) string {
	if t.Equal(stats.DayStart(t, 0)) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04:05")
}

// parseWhen reads a day, which has a beginning and an end, or a moment, where both are
// the same: "2026-11-23", "today", "yesterday"; "2026-11-23 08:30", "now", or "36h" and
// "7d", which is that long ago.
func parseWhen(text string, now time.Time) (from, until time.Time, err error) {
	switch text {
	case "now":
		return now, now, nil
	case "today":
		return stats.DayStart(now, 0), stats.DayStart(now, 1), nil
	case "yesterday":
		return stats.DayStart(now, -1), stats.DayStart(now, 0), nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		day = time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, now.Location())
		return stats.DayStart(day, 0), stats.DayStart(day, 1), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05",
		"2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			t = t.In(now.Location())
			return t, t, nil
		}
	}
	if ago, ok := parseLength(text); ok && text != "" {
		return now.Add(-ago), now.Add(-ago), nil
	}
	return now, now, fmt.Errorf(`%q is no time such as 2026-11-23, "2026-11-23 08:30", yesterday, 36h or 7d`,
		text)
}

// parseLength reads a length of time such as 48h or 90d, negative for "".
func parseLength(text string) (time.Duration, bool) {
	if text == "" {
		return -1, true
	}
	var length config.Duration
	err := length.UnmarshalText([]byte(text))
	return length.Duration, err == nil && length.Duration >= 0
}
