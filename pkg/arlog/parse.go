package arlog

import (
	"bytes"
	"errors"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// ErrNoEntry says that a line tells of no outcome: it is empty, garbage, or one of
// the steps that Wazuh's own programs log beside the request (Starting, Ended, the
// check_keys dialogue).
var ErrNoEntry = errors.New("no entry in this line")

// Step is what a line of Wazuh's own programs tells beside the request.
type Step string

// The steps. A request that is followed by Aborted was not carried out.
const (
	Starting Step = "Starting"
	Aborted  Step = "Aborted"
	Ended    Step = "Ended"
	Dialogue Step = "dialogue" // check_keys and its answer
)

// Parse reads one line, with or without its newline, in any form that stands in an
// active-responses.log: this package's two dialects, the stock scripts' lines and
// those of Wazuh's own programs. A time without a known zone counts as local.
func Parse(line []byte) (Entry, error) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) > len(wazuhStamp) && line[4] == '/' && line[7] == '/' {
		return parseWazuh(line)
	}
	return parseOSSEC(line)
}

// parseOSSEC reads DATE PATH STATUS USER ADDRESS [ALERT RULE [- MESSAGE]]. The stock
// scripts write the date in the locale's form, so the path, the first word that
// begins with a slash, divides the line.
func parseOSSEC(line []byte) (Entry, error) {
	var e Entry
	cut := bytes.Index(line, []byte(" /"))
	if cut < 0 {
		return e, ErrNoEntry
	}
	var ok bool
	if e.Time, ok = parseStamp(string(bytes.Join(bytes.Fields(line[:cut]), []byte(" ")))); !ok {
		return e, ErrNoEntry
	}
	rest := line[cut+1:]
	word := func() string {
		w, after, _ := bytes.Cut(rest, []byte(" "))
		rest = after
		return string(w)
	}
	e.Program = word()
	e.Status = Status(word())
	switch e.Status {
	case StatusAdd, StatusDelete, StatusSkip, StatusError:
	default:
		return e, ErrNoEntry
	}
	word() // the user's place
	addr, err := netip.ParseAddr(word())
	if err == nil {
		e.Addr = addr.Unmap().WithZone("")
	} else if e.Status == StatusAdd || e.Status == StatusDelete {
		// A stock script was called for a user or a host name: it blocked no address.
		return e, ErrNoEntry
	}
	e.AlertID, e.RuleID = unDash(word()), unDash(word())
	if len(rest) >= 2 && rest[0] == '-' && rest[1] == ' ' {
		e.Message = string(rest[2:])
	}
	return e, nil
}

func unDash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// The forms that date(1) gives in the locales that servers run in.
var stamps = []string{
	"Mon Jan 2 15:04:05 MST 2006",    // C, POSIX, and en_US up to coreutils 8.30
	"Mon 2 Jan 15:04:05 MST 2006",    // en_GB
	"Mon Jan 2 03:04:05 PM MST 2006", // en_US, glibc 2.29 and later
	"Mon 2 Jan 2006 03:04:05 PM MST", // en_US of other distributions
	"Mon 2 Jan 2006 15:04:05 MST",
}

func parseStamp(s string) (time.Time, bool) {
	for _, layout := range stamps {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func parseWazuh(line []byte) (Entry, error) {
	e := Entry{Wazuh: true}
	t, err := time.ParseInLocation(wazuhStamp, string(line[:len(wazuhStamp)]), time.Local)
	if err != nil {
		return e, ErrNoEntry
	}
	e.Time = t
	program, rest, ok := bytes.Cut(bytes.TrimLeft(line[len(wazuhStamp):], " "), []byte(": "))
	if !ok {
		return e, ErrNoEntry
	}
	e.Program = string(program)
	if step := Step(rest); step == Starting || step == Ended || step == Aborted {
		e.Message = string(rest)
		return e, ErrNoEntry
	}
	if len(rest) == 0 || rest[0] != '{' {
		return e.fromMessage(rest)
	}
	return e.fromJSON(rest)
}

// fromMessage reads what this package writes instead of a request.
func (e Entry) fromMessage(rest []byte) (Entry, error) {
	e.Message = string(rest)
	switch {
	case bytes.HasPrefix(rest, []byte("Failed: ")):
		e.Status = StatusError
	case bytes.HasPrefix(rest, []byte("Skipped IP: ")):
		e.Status = StatusSkip
		text, _, _ := bytes.Cut(rest[len("Skipped IP: "):], []byte(": "))
		e.Addr, _ = netip.ParseAddr(string(text))
	default:
		return e, ErrNoEntry
	}
	return e, nil
}

// fromJSON reads a request. The check_keys dialogue is JSON too, but no request.
func (e Entry) fromJSON(rest []byte) (Entry, error) {
	e.JSON = rest
	r, err := arproto.ParseJSON(rest, nil)
	if err != nil || !r.Addr.IsValid() {
		e.Message = string(Dialogue)
		return e, ErrNoEntry
	}
	e.Status, e.Addr, e.AlertID, e.RuleID = Status(r.Action), r.Addr, r.AlertID, r.RuleID
	return e, nil
}
