package arlog

import (
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

// maxStamp is the longest date that is read, in bytes.
const maxStamp = 64

// otherStamp reads a date that a stock script wrote in its locale's form. The path that
// follows, the first word that begins with a slash, ends it.
func (p *Parser) otherStamp(line string) (int64, string, bool) {
	cut := strings.Index(line[:min(len(line), maxStamp)], " /")
	if cut < 0 {
		return 0, "", false
	}
	text := strings.Join(strings.Fields(line[:cut]), " ")
	for _, layout := range otherStamps {
		if t, ok := p.inZone(layout, text); ok {
			return t.Unix(), line[cut+1:], true
		}
	}
	return 0, "", false
}

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
