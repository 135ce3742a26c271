package arlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// ErrNoEntry says that a line tells of no outcome: it is empty, garbage, or one of
// the steps that Wazuh's own programs log beside the request (Starting, Ended, the
// check_keys dialogue).
var ErrNoEntry = errors.New("no entry in this line")

// Step is what a line without an outcome tells all the same, mostly those that Wazuh's
// own programs log beside the request.
type Step string

// The steps. A request that is followed by Aborted was not carried out.
const (
	Starting Step = "Starting"
	Aborted  Step = "Aborted" // also the daemon's answer "abort"
	Ended    Step = "Ended"
	Dialogue Step = "dialogue" // check_keys, and its other answer
	// NoAddress is a request, or a stock script's line, that is about a user or a host
	// name: it blocked no address.
	NoAddress Step = "no address"
)

// Parse reads one line, with or without its newline, in any form that stands in an
// active-responses.log: this package's two dialects, the stock scripts' lines and
// those of Wazuh's own programs. A time without a known zone counts as local.
// Whoever reads many lines uses a Parser.
func Parse(line []byte) (Entry, error) {
	var p Parser
	var f Fields
	err := p.Parse(line, &f)
	return f.Entry(), err
}

// Fields is what one line tells, in pieces of that line: they hold as long as it does
// and the Parser is not used again.
type Fields struct {
	Unix    int64  // seconds
	Program []byte // as in the line
	Status  Status
	Addr    netip.Addr // unmapped, without a zone; the zero Addr for none
	AlertID []byte     // empty for none
	RuleID  []byte     // empty for none
	Message []byte
	Wazuh   bool   // the line is in Wazuh's dialect
	JSON    []byte // the request, where the line holds one
	// Description is the rule's, as the alert in JSON has it.
	Description []byte
	// Step is set where Parse returns ErrNoEntry for a line that is known all the same.
	Step Step
}

// reset empties the fields. It is written out because clearing all at once takes as long
// as reading half a line.
func (f *Fields) reset() {
	f.Unix, f.Status, f.Step, f.Wazuh = 0, "", "", false
	f.Program, f.AlertID, f.RuleID, f.Message = nil, nil, nil, nil
	f.Addr = netip.Addr{}
	if f.JSON != nil || f.Description != nil {
		f.JSON, f.Description = nil, nil
	}
}

// Entry copies the fields into an Entry, whose time is local.
func (f *Fields) Entry() Entry {
	return Entry{
		Time: time.Unix(f.Unix, 0), Program: string(f.Program), Status: f.Status, Addr: f.Addr,
		AlertID: string(f.AlertID), RuleID: string(f.RuleID), Message: string(f.Message),
		Wazuh: f.Wazuh, JSON: bytes.Clone(f.JSON),
	}
}

// Parser reads lines without allocating, in about 0.1 microseconds for one that is no
// JSON. It is not safe for concurrent use.
type Parser struct {
	// Location is where a time without a known zone is; nil is time.Local.
	Location *time.Location
	// AddressFields are where requests in JSON have the address, as arproto.ParseJSON takes
	// them: nil is arproto's own list. They must not change once a line was read.
	AddressFields []string

	hours  [4]hour // the hours of the last stamps, in no order
	oldest int
	recent int // the last one that was found
	known  known
	fields *fields
	json   fastjson.Parser
}

// Program is the path of a program that Brief knows by its number.
func (p *Parser) Program(number int) []byte { return p.known.programs[number].path }

// Parse reads one line, with or without its newline, into f. For a line that tells of
// no outcome it returns ErrNoEntry, with f.Unix and f.Step set where it tells them.
func (p *Parser) Parse(line []byte, f *Fields) error {
	f.reset()
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	if len(line) > 0 && line[0] == 0 {
		line = bytes.TrimLeft(line, "\x00") // a crash can leave a run of them before what comes next
	}
	unix, rest, ok := p.stamp(line)
	if !ok {
		return ErrNoEntry
	}
	f.Unix = unix
	if line[4] == '/' {
		return p.parseWazuh(rest, f)
	}
	return p.parseOSSEC(rest, f)
}

// Time reads only the time of a line, in seconds.
func (p *Parser) Time(line []byte) (int64, bool) {
	if len(line) > 0 && line[0] == 0 {
		line = bytes.TrimLeft(line, "\x00")
	}
	unix, _, ok := p.stamp(line)
	return unix, ok
}

// parseOSSEC reads PATH STATUS USER ADDRESS [ALERT RULE [- MESSAGE]].
func (p *Parser) parseOSSEC(line []byte, f *Fields) error {
	var rest []byte
	f.Program, rest = word(line)
	switch {
	case bytes.HasPrefix(rest, []byte("add - ")):
		p.known.learn(f.Program, line)
		f.Status, rest = StatusAdd, rest[len("add - "):]
	case bytes.HasPrefix(rest, []byte("delete - ")):
		p.known.learn(f.Program, line)
		f.Status, rest = StatusDelete, rest[len("delete - "):]
	default:
		var status []byte
		status, rest = word(rest)
		if f.Status = knownStatus(status); f.Status == "" {
			return ErrNoEntry
		}
		_, rest = word(rest) // the user's place
	}
	if four, n, ok := parseAddr4(rest); ok {
		f.Addr, rest = addrFrom4(four), rest[n:]
	} else {
		var text []byte
		text, rest = word(rest)
		f.Addr, _ = parseAddr(text)
	}
	if !f.Addr.IsValid() && (f.Status == StatusAdd || f.Status == StatusDelete) {
		f.Status, f.Step = "", NoAddress
		return ErrNoEntry
	}
	f.AlertID, rest = word(rest)
	f.RuleID, rest = word(rest)
	f.AlertID, f.RuleID = unDash(f.AlertID), unDash(f.RuleID)
	if len(rest) >= 2 && rest[0] == '-' && rest[1] == ' ' {
		f.Message = rest[2:]
	}
	return nil
}

func knownStatus(text []byte) Status {
	for _, status := range []Status{StatusAdd, StatusDelete, StatusSkip, StatusError} {
		if string(text) == string(status) {
			return status
		}
	}
	return ""
}

func unDash(s []byte) []byte {
	if len(s) == 1 && s[0] == '-' {
		return nil
	}
	return s
}

// parseAddr reads an address as netip does.
func parseAddr(s []byte) (netip.Addr, bool) {
	if len(s) > maxAddr {
		return netip.Addr{}, false
	}
	if len(s) <= len("255.255.255.255") {
		var padded [24]byte
		padded[copy(padded[:], s)] = ' '
		if four, _, ok := parseAddr4(padded[:]); ok {
			return addrFrom4(four), true
		}
	}
	if six, ok := parseAddr6(s); ok {
		return netip.AddrFrom16(six).Unmap(), true
	}
	addr, err := netip.ParseAddr(string(s))
	return addr.Unmap().WithZone(""), err == nil
}

func addrFrom4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}

// maxAddr is the length of the longest address with a zone that is looked at, in bytes.
const maxAddr = 64

// parseWazuh reads PROGRAM: followed by a step, a message or JSON.
func (p *Parser) parseWazuh(rest []byte, f *Fields) error {
	f.Wazuh = true
	rest = bytes.TrimLeft(rest, " ")
	colon := bytes.Index(rest, []byte(": "))
	if colon < 0 {
		return ErrNoEntry
	}
	f.Program, rest = rest[:colon], rest[colon+2:]
	if len(rest) > 0 && rest[0] == '{' {
		return p.parseJSON(rest, f)
	}
	f.Message = rest
	switch step := Step(rest); step {
	case Starting, Ended, Aborted:
		f.Step = step
		return ErrNoEntry
	}
	return parseMessage(f)
}

// The beginnings of the messages that this package writes instead of a request.
var (
	failedHead    = []byte("Failed: ")
	skippedHead   = []byte("Skipped IP: ")
	blockedHead   = []byte("Blocked IP: ")
	unblockedHead = []byte("Unblocked IP: ")
)

func parseMessage(f *Fields) error {
	switch {
	case bytes.HasPrefix(f.Message, failedHead):
		f.Status = StatusError
	case bytes.HasPrefix(f.Message, skippedHead):
		f.Status = StatusSkip
		text, _, _ := bytes.Cut(f.Message[len(skippedHead):], []byte(": "))
		f.Addr, _ = parseAddr(text)
	case bytes.HasPrefix(f.Message, blockedHead):
		return parseBlock(f, StatusAdd, f.Message[len(blockedHead):])
	case bytes.HasPrefix(f.Message, unblockedHead):
		return parseBlock(f, StatusDelete, f.Message[len(unblockedHead):])
	default:
		return ErrNoEntry
	}
	return nil
}

// parseBlock reads ADDRESS [(Rule: ID)].
func parseBlock(f *Fields, status Status, rest []byte) error {
	text, rest := word(rest)
	addr, ok := parseAddr(text)
	if !ok {
		return ErrNoEntry
	}
	f.Status, f.Addr = status, addr
	if rule, ok := bytes.CutPrefix(rest, []byte("(Rule: ")); ok {
		rule, _, _ = bytes.Cut(rule, []byte(")"))
		f.RuleID = unDash(rule)
	}
	return nil
}

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
			p.recent = i
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

// laterHour knows an hour by the one before it, from one to three hours later on the same
// day: the clock is steady for four hours around that one.
func (p *Parser) laterHour(line, after []byte) (start int64, tail string, ok bool) {
	h := &p.hours[p.recent]
	const digits = 0xffff << 40 // of the hour, in right
	left, right := binary.LittleEndian.Uint64(line), binary.LittleEndian.Uint64(line[headLen-8:])
	if h.tail == "" || left != h.left || (right^h.right)&^digits != 0 || len(after) < len(h.tail) || string(after[:len(h.tail)]) != h.tail {
		return 0, "", false
	}
	hours, was := twoDigits(right>>40), twoDigits(h.right>>40)
	start = h.start + int64(hours-was)*3600
	return start, h.tail, hours > was && hours <= was+3 && hours < 24 && p.steady(start)
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
	p.recent = p.oldest
	p.oldest = (p.oldest + 1) % len(p.hours)
	h.left, h.right = binary.LittleEndian.Uint64(line), binary.LittleEndian.Uint64(line[headLen-8:])
	h.tail, h.start = tail, start
	if h.brief = len(tail) >= 8 && len(tail) <= maxTail; h.brief {
		h.tailLeft, h.tailRight = binary.LittleEndian.Uint64([]byte(tail)), binary.LittleEndian.Uint64([]byte(tail[len(tail)-8:]))
	}
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
