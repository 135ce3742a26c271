package arlog

import (
	"strconv"
	"strings"
	"time"
)

// hour is a beginning of stamps: all that share it differ in minutes and seconds only.
type hour struct {
	head  string // "Mon Nov 23 03:" or "2026/11/23 03:"
	tail  string // what follows the seconds: " UTC 2026 " or " "
	start int64
}

// Both forms of stamps have hour, minute and second in the same places.
const (
	headLen  = len("Mon Nov 23 03:")
	clockLen = len("27:57")
)

// stamp reads the time that the line begins with, in seconds, and returns what follows it.
func (p *Parser) stamp(line string) (unix int64, rest string, ok bool) {
	if len(line) < headLen+clockLen+1 {
		return 0, "", false
	}
	within, isClock := minutes(line[headLen : headLen+clockLen])
	after := line[headLen+clockLen:]
	if last := &p.last; isClock && line[:headLen] == last.head && strings.HasPrefix(after, last.tail) {
		return last.start + within, after[len(last.tail):], true
	}
	layout, tail := wazuhStamp, 1
	if line[4] != '/' {
		layout, tail = ossecStamp, strings.IndexByte(after[1:], ' ')+len("  2006 ")
	}
	if !isClock || tail > len(after) || after[0] != ' ' || after[tail-1] != ' ' {
		return p.otherStamp(line)
	}
	t, ok := p.inZone(layout, line[:headLen+clockLen+tail-1])
	if !ok {
		return p.otherStamp(line)
	}
	unix = t.Unix()
	if p.steady(unix) {
		p.last = hour{strings.Clone(line[:headLen]), strings.Clone(after[:tail]), unix - within}
	}
	return unix, after[tail:], true
}

// minutes reads MM:SS, in seconds.
func minutes(clock string) (int64, bool) {
	_ = clock[clockLen-1]
	m1, m2, s1, s2 := clock[0]-'0', clock[1]-'0', clock[3]-'0', clock[4]-'0'
	s := int64(s1)*10 + int64(s2)
	return (int64(m1)*10+int64(m2))*60 + s, m1 <= 5 && m2 <= 9 && clock[2] == ':' && s2 <= 9 && s <= 60
}

// steady reports whether the location's clock does not change in the hours around a time:
// near a change, the same stamp may mean one of two times.
func (p *Parser) steady(unix int64) bool {
	const around = 4 * 3600
	_, before := time.Unix(unix-around, 0).In(p.location()).Zone()
	_, after := time.Unix(unix+around, 0).In(p.location()).Zone()
	return before == after
}

func (p *Parser) location() *time.Location {
	if p.Location == nil {
		return time.Local
	}
	return p.Location
}

// The forms that date(1) prints in English, beside that of C, POSIX and en_US up to
// coreutils 8.30.
var otherStamps = []string{
	"Mon Jan 2 15:04:05 MST 2006",    // with other blanks
	"Mon 2 Jan 15:04:05 MST 2006",    // en_GB
	"Mon Jan 2 03:04:05 PM MST 2006", // en_US, glibc 2.29 and later
	"Mon 2 Jan 2006 03:04:05 PM MST", // en_US of other distributions
	"Mon 2 Jan 2006 15:04:05 MST",
}

// programs is what stands in the path of a stock script, which ends its date.
const programs = "active-response/bin/"

// maxStamp is the longest date that is read, in bytes.
const maxStamp = 128

// otherStamp reads a date that a stock script wrote in its locale's form. In one that is not
// English, the line's own clock counts within the twelve hours from the alert on, whose second
// stands in its id: some clocks have twelve hours.
func (p *Parser) otherStamp(line string) (int64, string, bool) {
	at := strings.Index(line[:min(len(line), maxStamp+maxPath)], programs)
	cut := strings.LastIndexByte(line[:max(at, 0)], ' ') + 1
	if cut == 0 || cut > maxStamp {
		return 0, "", false
	}
	words, rest := strings.Fields(line[:cut]), line[cut:]
	for _, layout := range otherStamps {
		if t, ok := p.inZone(layout, strings.Join(words, " ")); ok {
			return t.Unix(), rest, true
		}
	}
	called := strings.SplitN(rest, " ", 6) // PATH STATUS USER ADDRESS ALERT
	if len(called) < 5 {
		return 0, "", false
	}
	second, _, _ := strings.Cut(called[4], ".")
	alert, err := strconv.ParseInt(second, 10, 64)
	if err != nil || alert <= 0 || alert > maxSecond {
		return 0, "", false
	}
	const hour, half = 3600, 12 * 3600
	for _, word := range words {
		if t, err := time.ParseInLocation(time.TimeOnly, word, p.location()); err == nil {
			of := time.Unix(alert, 0).In(p.location())
			passed := t.Hour()*hour + t.Minute()*60 + t.Second() - of.Hour()*hour - of.Minute()*60 - of.Second()
			if passed = (passed + 2*half) % half; passed < half-hour { // else the manager's clock is ahead
				return alert + int64(passed), rest, true
			}
			return alert + int64(passed) - half, rest, true
		}
	}
	return 0, "", false // without a clock it is no date
}

// maxSecond is in the year 9999.
const maxSecond = 253402300799

// inZone parses a time. A zone that neither the location nor the world knows by its
// abbreviation counts as the location's own: Go would take it for UTC.
func (p *Parser) inZone(layout, text string) (time.Time, bool) {
	loc := p.location()
	if strings.ContainsAny(text, "+-") { // "+03" and "+0545": zones without letters
		for _, form := range []string{"-07", "-0700"} {
			if t, err := time.Parse(strings.Replace(layout, "MST", form, 1), text); err == nil {
				return t, true
			}
		}
	}
	t, err := time.ParseInLocation(layout, text, loc)
	if err != nil {
		return t, false
	}
	name, offset := t.Zone()
	if t.Location() == loc || t.Location() == time.UTC || offset != 0 || name == "GMT" || name == "WET" {
		return t, true
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, loc), true
}
