// Package arlog writes and reads the lines of logs/active-responses.log. A line
// says what is now true, not what was tried: StatusAdd only when the block is in force,
// StatusDelete only when it is gone.
//
// Lines come in two dialects. OSSEC's is
//
//	Mon Nov 23 03:27:57 UTC 2026 /var/ossec/active-response/bin/firewall-drop.sh add - 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)
//
// which OSSEC's stock decoder and rules 601 to 606 read up to the rule id (checked
// with ossec-logtest of OSSEC 4.3). Wazuh's, used for a request that came as JSON, is
//
//	2026/11/23 03:27:57 active-response/bin/firewall-drop: {"version":1,...}
//
// with the request itself when it succeeded, which Wazuh's ar_log_json decoder reads.
//
// The package refuses to let anything from outside shape a line: blanks, line
// breaks and all that is not printable ASCII are escaped as \xNN.
package arlog

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Status is the outcome that a line logs.
type Status string

// The outcomes. A stock script's line has only the first two, and they mean what it
// tried.
const (
	StatusAdd    Status = "add"    // the block is in force
	StatusDelete Status = "delete" // the block is gone
	StatusSkip   Status = "skip"   // nothing was done, on purpose
	StatusError  Status = "error"  // it failed; the message says why
	StatusWarn   Status = "warn"   // what was asked for holds; something beside it is wrong
)

// MaxLine bounds a line in bytes, its newline included. The JSON of a Wazuh
// request is not bounded by it.
const MaxLine = 4096

// Bounds in bytes: of an alert id, a rule id and a user name, and of a program.
const (
	maxWord = 64
	maxPath = 1024
)

// Entry is one line.
type Entry struct {
	Time    time.Time
	Program string // full path as invoked
	Status  Status
	Addr    netip.Addr // the zero Addr is written as "-"
	AlertID string     // "" is written as "-"
	RuleID  string     // "" is written as "-"
	Message string     // made by Blocked, Unblocked, Skipped, Failed or Warning

	// Wazuh selects Wazuh's dialect.
	Wazuh bool
	// JSON is the request on one line of printable ASCII (Wazuh's dialect, when it succeeded). Parse
	// does not set it: it is the entry that has no message.
	JSON []byte

	// Parse sets these too. Description is that of the rule, as a request in JSON has it, User
	// the account that a line without an address is about.
	Description string
	User        string
	Step        Step
}

// Blocked is the message of a StatusAdd line. user may be "".
func Blocked(addr netip.Addr, ruleID, user string) string {
	return withUser(fmt.Sprintf("Blocked IP: %s (Rule: %s)", addr, Word(ruleID)), user)
}

// Unblocked is the message of a StatusDelete line. user may be "".
func Unblocked(addr netip.Addr, user string) string {
	return withUser(fmt.Sprintf("Unblocked IP: %s", addr), user)
}

// Locked is the message of a StatusAdd line about an account.
func Locked(account, ruleID string) string {
	return fmt.Sprintf("Locked account: %s (Rule: %s)", Word(account), Word(ruleID))
}

// Unlocked is the message of a StatusDelete line about an account.
func Unlocked(account string) string { return "Unlocked account: " + Word(account) }

// SkippedAccount is the message of a StatusSkip line about an account.
func SkippedAccount(account, why string) string {
	return fmt.Sprintf("Skipped account: %s: %s", Word(account), why)
}

// Skipped is the message of a StatusSkip line.
func Skipped(addr netip.Addr, why string) string {
	return fmt.Sprintf("Skipped IP: %s: %s", addr, why)
}

// Failed is the message of a StatusError line.
func Failed(err error) string { return "Failed: " + oneLine(err) }

// Warning is the message of a StatusWarn line.
func Warning(err error) string { return "Warning: " + oneLine(err) }

// oneLine joins what errors.Join puts on lines of their own.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func withUser(message, user string) string {
	if user == "" {
		return message
	}
	return message + " user=" + Word(user)
}

// Format returns the line, newline included.
func (e Entry) Format() []byte {
	if e.Wazuh {
		return e.formatWazuh()
	}
	addr := "-"
	if e.Addr.IsValid() {
		addr = Word(e.Addr.String()) // a zone in it can hold anything
	}
	var b bytes.Buffer
	b.WriteString(stamp(e.Time))
	for _, s := range []string{word(e.Program, maxPath), Word(string(e.Status)), "-", addr,
		Word(e.AlertID), Word(e.RuleID), "-"} {
		b.WriteByte(' ')
		b.WriteString(s)
	}
	b.WriteByte(' ')
	b.WriteString(escape(e.Message, MaxLine-1-b.Len(), true))
	b.WriteByte('\n')
	return b.Bytes()
}

// formatWazuh writes the program as Wazuh's decoder wants it: relative, whatever
// it was called as.
func (e Entry) formatWazuh() []byte {
	name := e.Program[strings.LastIndexByte(e.Program, '/')+1:]
	head := e.Time.Format(wazuhStamp) + " active-response/bin/" + word(name, maxPath) + ": "
	if len(e.JSON) > 0 && (e.Status == StatusAdd || e.Status == StatusDelete) {
		return append(append([]byte(head), e.JSON...), '\n')
	}
	return []byte(head + escape(e.Message, MaxLine-1-len(head), true) + "\n")
}

const (
	ossecStamp = "Mon Jan _2 15:04:05 MST 2006" // what date(1) prints in the C locale
	wazuhStamp = "2006/01/02 15:04:05"
)

// stamp writes the time as OSSEC's decoder can read it: a zone with another
// character than a letter, digit, '_', '@' or '-' breaks it, so it becomes UTC. So does
// one without a name, which Go writes as "+0300", or with one that is no abbreviation.
func stamp(t time.Time) string {
	zone, _ := t.Zone()
	if zone == "" || len(zone) > maxWord {
		return t.UTC().Format(ossecStamp)
	}
	for _, c := range zone {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '_' || c == '@' || c == '-') {
			return t.UTC().Format(ossecStamp)
		}
	}
	return t.Format(ossecStamp)
}

// Word makes one short printable word out of a text from outside, as it stands in a
// log line: "-" for an empty one.
func Word(s string) string { return word(s, maxWord) }

func word(s string, limit int) string {
	if s == "" {
		return "-"
	}
	return escape(s, limit, false)
}

// escape keeps printable ASCII, and blanks if allowed, and writes any other byte as
// \xNN. What would go beyond limit bytes is replaced by "...".
func escape(s string, limit int, blanks bool) string {
	var b strings.Builder
	fits := 0 // bytes before "..."
	for i := range len(s) {
		if s[i] > ' ' && s[i] < 0x7f || s[i] == ' ' && blanks {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		}
		switch {
		case b.Len() > limit:
			return b.String()[:fits] + "..."
		case b.Len() <= limit-len("..."):
			fits = b.Len()
		}
	}
	return b.String()
}
