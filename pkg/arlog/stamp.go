package arlog

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
)

// hour is a beginning of stamps: all that share it differ in minutes and seconds only.
type hour struct {
	// "Mon Nov 23 03:" or "2026/11/23 03:": its first eight bytes and its last.
	left, right uint64
	// The first eight bytes of tail and its last, if it is that long.
	tailLeft, tailRight uint64
	tail                string // " UTC 2026 " or " ", what follows the seconds
	start               int64
	brief               bool // tailLeft and tailRight are all of the tail
}

// Both forms of stamps have hour, minute and second in the same places.
const (
	headLen  = len("Mon Nov 23 03:")
	clockLen = len("27:57")
	// maxTail is the length of what the last two words of an hour hold.
	maxTail = 16
)

// stamp reads the time that the line begins with and returns what follows it.
func (p *Parser) stamp(line []byte) (unix int64, rest []byte, ok bool) {
	if len(line) < headLen+clockLen+1 {
		return 0, nil, false
	}
	clock := line[headLen : headLen+clockLen]
	within, ok := seconds(clock)
	if !ok {
		return p.otherStamp(line)
	}
	after := line[headLen+clockLen:]
	left, right := binary.LittleEndian.Uint64(line), binary.LittleEndian.Uint64(line[headLen-8:])
	for i := range p.hours {
		h := &p.hours[i]
		if left == h.left && right == h.right && len(after) >= len(h.tail) && string(after[:len(h.tail)]) == h.tail {
			if h.brief {
				p.recent = i
			}
			return h.start + within, after[len(h.tail):], true
		}
	}
	return p.newStamp(line, after)
}

// seconds reads MM:SS.
func seconds(clock []byte) (int64, bool) {
	_ = clock[clockLen-1]
	m1, m2, s1, s2 := clock[0]-'0', clock[1]-'0', clock[3]-'0', clock[4]-'0'
	if m1 > 5 || m2 > 9 || clock[2] != ':' || s1 > 6 || s2 > 9 {
		return 0, false
	}
	s := int64(s1)*10 + int64(s2)
	return (int64(m1)*10+int64(m2))*60 + s, s <= 60
}

// newStamp reads a stamp whose hour has not been seen, and remembers the hour.
func (p *Parser) newStamp(line, after []byte) (int64, []byte, bool) {
	if start, tail, ok := p.laterHour(line, after); ok {
		within, _ := seconds(line[headLen : headLen+clockLen]) // checked by the caller
		p.remember(line, tail, start)
		return start + within, after[len(tail):], true
	}
	layout, tail := wazuhStamp, " "
	if line[4] != '/' {
		layout = ossecStamp
		zone := bytes.IndexByte(after[1:], ' ') + 1
		if end := zone + len(" 2006 "); zone > 0 && len(after) >= end && after[0] == ' ' && after[end-1] == ' ' {
			tail = string(after[:end])
		} else {
			return p.otherStamp(line)
		}
	} else if after[0] != ' ' {
		return 0, nil, false
	}
	t, ok := p.inZone(layout, strings.TrimSuffix(string(line[:headLen+clockLen])+tail, " "))
	if !ok {
		return p.otherStamp(line)
	}
	unix := t.Unix()
	within, _ := seconds(line[headLen : headLen+clockLen]) // checked by the caller
	first := unix - within
	if p.steady(first) {
		p.remember(line, tail, first)
	}
	return unix, after[len(tail):], true
}

// laterHour knows an hour by one before it, from one to three hours later on the same
// day: the clock is steady for four hours around that one.
func (p *Parser) laterHour(line, after []byte) (start int64, tail string, ok bool) {
	const digits = 0xffff << 40 // of the hour, in right
	left, right := binary.LittleEndian.Uint64(line), binary.LittleEndian.Uint64(line[headLen-8:])
	for i := range p.hours {
		h := &p.hours[i]
		if h.tail == "" || left != h.left || (right^h.right)&^digits != 0 || len(after) < len(h.tail) || string(after[:len(h.tail)]) != h.tail {
			continue
		}
		hours, was := twoDigits(right>>40), twoDigits(h.right>>40)
		start := h.start + int64(hours-was)*3600
		if hours > was && hours <= was+3 && hours < 24 && p.steady(start) {
			return start, h.tail, true
		}
	}
	return 0, "", false
}

// twoDigits reads two digits; what are none make more than 99.
func twoDigits(x uint64) int {
	tens, units := int(byte(x))-'0', int(byte(x>>8))-'0'
	if tens < 0 || tens > 9 || units < 0 || units > 9 {
		return 100
	}
	return 10*tens + units
}

// steady reports whether the location's clock is not changed in the hours around a time:
// near a change, the same stamp may mean one of two times. Where another clock counts, its
// zone is in the stamp.
func (p *Parser) steady(unix int64) bool {
	const around = 4 * 3600
	_, before := time.Unix(unix-around, 0).In(p.location()).Zone()
	_, after := time.Unix(unix+around, 0).In(p.location()).Zone()
	return before == after
}

// remember keeps an hour in the place of the oldest.
func (p *Parser) remember(line []byte, tail string, start int64) {
	h := &p.hours[p.oldest]
	h.left, h.right = binary.LittleEndian.Uint64(line), binary.LittleEndian.Uint64(line[headLen-8:])
	h.tail, h.start = tail, start
	if h.brief = len(tail) >= 8 && len(tail) <= maxTail; h.brief {
		p.recent = p.oldest
		h.tailLeft, h.tailRight = binary.LittleEndian.Uint64([]byte(tail)), binary.LittleEndian.Uint64([]byte(tail[len(tail)-8:]))
	}
	p.oldest = (p.oldest + 1) % len(p.hours)
}

func (p *Parser) location() *time.Location {
	if p.Location == nil {
		return time.Local
	}
	return p.Location
}

// The forms that date(1) gives in the locales that servers run in, beside C, POSIX and
// en_US up to coreutils 8.30.
var otherStamps = []string{
	"Mon Jan 2 15:04:05 MST 2006",    // with other blanks
	"Mon 2 Jan 15:04:05 MST 2006",    // en_GB
	"Mon Jan 2 03:04:05 PM MST 2006", // en_US, glibc 2.29 and later
	"Mon 2 Jan 2006 03:04:05 PM MST", // en_US of other distributions
	"Mon 2 Jan 2006 15:04:05 MST",
}

// maxStamp is the longest date that is looked at, in bytes.
const maxStamp = 64

// otherStamp reads a date that a stock script wrote in its locale's form. The path that
// follows, the first word that begins with a slash, ends it.
func (p *Parser) otherStamp(line []byte) (int64, []byte, bool) {
	cut := bytes.Index(line[:min(len(line), maxStamp)], []byte(" /"))
	if cut < 0 {
		return 0, nil, false
	}
	text := string(bytes.Join(bytes.Fields(line[:cut]), []byte(" ")))
	for _, layout := range otherStamps {
		if t, ok := p.inZone(layout, text); ok {
			return t.Unix(), line[cut+1:], true
		}
	}
	return 0, nil, false
}

// inZone parses a time. A zone that neither the location nor the world knows by its
// abbreviation counts as the location's own: Go would take it for UTC.
func (p *Parser) inZone(layout, text string) (time.Time, bool) {
	loc := p.location()
	if strings.ContainsAny(text, "+-") { // "+03" and "+0545": zones that have no letters
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
