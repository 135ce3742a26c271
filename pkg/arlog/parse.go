package arlog

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// ErrNoEntry says that a line has no outcome: it is empty, garbage, or one of those that
// have a Step.
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
	// NoAddress is a request, or a program's line, that is about a host name or nothing of
	// the kind: it blocked no address and locked no account.
	NoAddress Step = "no address"
)

// Parse reads one line, with or without its newline, in any form that stands in an
// active-responses.log: this package's two dialects, the stock scripts' lines and
// those of Wazuh's own programs. A time without a known zone counts as local.
func Parse(line string) (Entry, error) {
	var p Parser
	return p.Parse(line)
}

// Parser reads many lines. It is not safe for concurrent use.
type Parser struct {
	// Location is where a time without a known zone is; nil is time.Local.
	Location *time.Location
	// AddressFields are where requests in JSON have the address, as arproto.ParseJSON takes
	// them: nil is arproto's own list.
	AddressFields []string

	last hour
	json fastjson.Parser
}

// Parse reads one line, with or without its newline. The texts of the entry are pieces of it,
// the address is unmapped and has no zone. For a line without an outcome it returns
// ErrNoEntry, and in the entry time, program and step, where the line has them.
func (p *Parser) Parse(line string) (Entry, error) {
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	line = strings.TrimLeft(line, "\x00") // a crash can leave some
	unix, rest, ok := p.stamp(line)
	if !ok {
		return Entry{}, ErrNoEntry
	}
	e := Entry{Time: time.Unix(unix, 0), Wazuh: line[4] == '/'}
	if e.Wazuh {
		return e, p.parseWazuh(rest, &e)
	}
	return e, parseOSSEC(rest, &e)
}

// Time returns the time of a line alone.
func (p *Parser) Time(line string) (time.Time, bool) {
	unix, _, ok := p.stamp(strings.TrimLeft(line, "\x00"))
	return time.Unix(unix, 0), ok
}

// parseOSSEC reads PATH STATUS USER ADDRESS [ALERT RULE [- MESSAGE]].
func parseOSSEC(line string, e *Entry) error {
	var status, addr string
	e.Program, line, _ = strings.Cut(line, " ")
	status, line, _ = strings.Cut(line, " ")
	user, line, _ := strings.Cut(line, " ")
	addr, line, _ = strings.Cut(line, " ")
	switch Status(status) {
	case StatusAdd, StatusDelete, StatusSkip, StatusError, StatusWarn:
	default: // such as Wazuh's "restart.sh agent"
		if strings.Contains(e.Program, programs) {
			e.Step = NoAddress
		}
		return ErrNoEntry
	}
	e.Addr = parseAddr(addr)
	e.AlertID, line, _ = strings.Cut(line, " ")
	e.RuleID, line, _ = strings.Cut(line, " ")
	e.AlertID, e.RuleID = unDash(e.AlertID), unDash(e.RuleID)
	e.Message, _ = strings.CutPrefix(line, "- ")
	if !e.Addr.IsValid() && (status == string(StatusAdd) || status == string(StatusDelete)) {
		e.User = unDash(user)
		if e.Message == "" && e.User == "" {
			e.Step = NoAddress
			return ErrNoEntry
		}
	}
	if kind, account, ok := strings.Cut(e.Message, " account: "); ok && slices.Contains(accountMessages, kind) {
		account, _, _ = strings.Cut(account, " ")
		e.User = strings.TrimSuffix(account, ":")
	}
	e.Status = Status(status)
	return nil
}

// accountMessages are how messages about accounts begin.
var accountMessages = []string{"Locked", "Unlocked", "Skipped"}

func unDash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// parseAddr returns the zero Addr for what is none.
func parseAddr(s string) netip.Addr {
	addr, _ := netip.ParseAddr(s) // the zero Addr says it
	return addr.Unmap().WithZone("")
}

// parseWazuh reads PROGRAM: followed by a step, a message or JSON.
func (p *Parser) parseWazuh(line string, e *Entry) error {
	program, rest, ok := strings.Cut(strings.TrimLeft(line, " "), ": ")
	if !ok {
		return ErrNoEntry
	}
	e.Program = program
	if strings.HasPrefix(rest, "{") {
		return p.parseJSON(rest, e)
	}
	e.Message = rest
	switch step := Step(rest); step {
	case Starting, Ended, Aborted:
		e.Step = step
		return ErrNoEntry
	}
	return parseMessage(e)
}

// parseMessage reads a message that stands in the place of a request.
func parseMessage(e *Entry) error {
	kind, rest, _ := strings.Cut(e.Message, ": ")
	addr, after, _ := strings.Cut(rest, " ")
	switch kind {
	case "Failed":
		e.Status = StatusError
	case "Warning":
		e.Status = StatusWarn
	case "Skipped IP":
		e.Status, e.Addr = StatusSkip, parseAddr(strings.TrimSuffix(addr, ":"))
	case "Blocked IP", "Unblocked IP":
		if e.Addr = parseAddr(addr); !e.Addr.IsValid() {
			return ErrNoEntry
		}
		e.Status = StatusAdd
		if kind == "Unblocked IP" {
			e.Status = StatusDelete
		}
		if rule, ok := strings.CutPrefix(after, "(Rule: "); ok {
			rule, _, _ = strings.Cut(rule, ")")
			e.RuleID = unDash(rule)
		}
	default:
		return ErrNoEntry
	}
	return nil
}
