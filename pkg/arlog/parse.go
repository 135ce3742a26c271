package arlog

import (
	"bytes"
	"errors"
	"net/netip"
	"time"

	"github.com/valyala/fastjson"
)

// ErrNoEntry says that a line has no outcome: it is empty, garbage, or one of the steps
// that Wazuh's own programs log beside the request (Starting, Ended, the check_keys
// dialogue).
var ErrNoEntry = errors.New("no entry in this line")

// Step is what a known line without an outcome says, mostly one that Wazuh's own programs
// log beside the request.
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

// Fields is what one line says, in pieces of that line: they are valid as long as the line
// is, and until the Parser is used again.
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
	// Step is set where Parse returns ErrNoEntry for a line that it knows.
	Step Step
}

// Entry copies the fields into an Entry, whose time is local.
func (f *Fields) Entry() Entry {
	return Entry{
		Time: time.Unix(f.Unix, 0), Program: string(f.Program), Status: f.Status, Addr: f.Addr,
		AlertID: string(f.AlertID), RuleID: string(f.RuleID), Message: string(f.Message),
		Wazuh: f.Wazuh, JSON: bytes.Clone(f.JSON),
	}
}

// Parser reads lines without allocating for nearly all of them. It is not safe for
// concurrent use.
type Parser struct {
	// Location is where a time without a known zone is; nil is time.Local.
	Location *time.Location
	// AddressFields are where requests in JSON have the address, as arproto.ParseJSON takes
	// them: nil is arproto's own list. They must not change once a line was read.
	AddressFields []string

	hours  [2]hour // the last one of each dialect
	fields *fields
	json   fastjson.Parser
}

// Parse reads one line, with or without its newline, into f. For a line without an
// outcome it returns ErrNoEntry, with f.Unix and f.Step set where the line has them.
func (p *Parser) Parse(line []byte, f *Fields) error {
	*f = Fields{}
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	if len(line) > 0 && line[0] == 0 {
		line = bytes.TrimLeft(line, "\x00") // a crash can leave some before the next line
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
	var status, addr []byte
	f.Program, line = word(line)
	status, line = word(line)
	if f.Status = knownStatus(status); f.Status == "" {
		return ErrNoEntry
	}
	if bytes.HasPrefix(line, []byte("- ")) {
		line = line[2:]
	} else {
		_, line = word(line) // the user's place
	}
	if four, n := leadingAddr4(line); n > 0 && (n == len(line) || line[n] == ' ') {
		f.Addr, line = four, line[min(n+1, len(line)):]
	} else {
		addr, line = word(line)
		f.Addr = parseAddr(addr)
	}
	if !f.Addr.IsValid() && (f.Status == StatusAdd || f.Status == StatusDelete) {
		f.Status, f.Step = "", NoAddress
		return ErrNoEntry
	}
	f.AlertID, line = word(line)
	f.RuleID, line = word(line)
	f.AlertID, f.RuleID = unDash(f.AlertID), unDash(f.RuleID)
	if len(line) >= 2 && line[0] == '-' && line[1] == ' ' {
		f.Message = line[2:]
	}
	return nil
}

// word cuts off what stands before the first blank.
func word(s []byte) (first, rest []byte) {
	if i := bytes.IndexByte(s, ' '); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, nil
}

func knownStatus(text []byte) Status {
	for _, status := range []Status{StatusAdd, StatusDelete, StatusSkip, StatusError, StatusWarn} {
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

// maxAddr is the length of the longest address with a zone that is read, in bytes.
const maxAddr = 64

// parseAddr reads an address as netip does. It returns the zero Addr for what is none.
func parseAddr(s []byte) netip.Addr {
	if addr, n := leadingAddr4(s); n == len(s) || len(s) > maxAddr {
		return addr
	}
	addr, _ := netip.ParseAddr(string(s)) // the zero Addr says it
	return addr.Unmap().WithZone("")
}

// leadingAddr4 reads the IPv4 address that s begins with, and returns its length; 0 for
// none. netip would need a string.
func leadingAddr4(s []byte) (netip.Addr, int) {
	var octets [4]byte
	at := 0
	for i := range octets {
		if i > 0 {
			if at >= len(s) || s[at] != '.' {
				return netip.Addr{}, 0
			}
			at++
		}
		begin, value := at, 0
		for ; at < len(s) && at < begin+3 && s[at]-'0' <= 9; at++ {
			value = value*10 + int(s[at]-'0')
		}
		if at == begin || value > 255 || s[begin] == '0' && at > begin+1 {
			return netip.Addr{}, 0
		}
		octets[i] = byte(value)
	}
	return netip.AddrFrom4(octets), at
}

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

// parseMessage reads a message that stands in the place of a request.
func parseMessage(f *Fields) error {
	kind, rest, _ := bytes.Cut(f.Message, []byte(": "))
	switch string(kind) {
	case "Failed":
		f.Status = StatusError
	case "Warning":
		f.Status = StatusWarn
	case "Skipped IP":
		f.Status = StatusSkip
		text, _, _ := bytes.Cut(rest, []byte(": "))
		f.Addr = parseAddr(text)
	case "Blocked IP":
		return parseBlock(f, StatusAdd, rest)
	case "Unblocked IP":
		return parseBlock(f, StatusDelete, rest)
	default:
		return ErrNoEntry
	}
	return nil
}

// parseBlock reads ADDRESS [(Rule: ID)].
func parseBlock(f *Fields, status Status, rest []byte) error {
	text, rest := word(rest)
	addr := parseAddr(text)
	if !addr.IsValid() {
		return ErrNoEntry
	}
	f.Status, f.Addr = status, addr
	if rule, ok := bytes.CutPrefix(rest, []byte("(Rule: ")); ok {
		rule, _, _ = bytes.Cut(rule, []byte(")"))
		f.RuleID = unDash(rule)
	}
	return nil
}
