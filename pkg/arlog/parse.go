package arlog

import (
	"bytes"
	"errors"
	"net/netip"
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
	recent int // the last one of OSSEC's dialect that was found
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
