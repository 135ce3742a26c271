// Package arproto reads the calls that OSSEC and Wazuh make to an active
// response, and answers them. It knows three protocols and distinguishes them by
// what arrives, not by configuration:
//
//   - OSSEC: arguments `add|delete USER IP ALERTID RULEID LOCATION FILENAME`;
//   - Wazuh 4.2 and later: no arguments, one line of JSON on standard input, and
//     the check_keys question before an add;
//   - Wazuh 5: the same with another shape of JSON.
//
// All three end in one Request. The package resolves no names, never runs
// anything, and refuses an address that is not exactly one host: every value
// in a Request except its address was chosen by whoever wrote the log line, so
// it must be treated as hostile wherever it goes.
package arproto

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Action is what the daemon asks for.
type Action string

// The two actions. The texts are those of the OSSEC protocol.
const (
	Add    Action = "add"
	Delete Action = "delete"
)

// Dialect is the protocol that a request came in.
type Dialect int

// The protocols.
const (
	OSSEC Dialect = iota
	Wazuh4
	Wazuh5
)

func (d Dialect) String() string {
	return [...]string{"ossec", "wazuh4", "wazuh5"}[d]
}

// JSON reports whether the dialect is one of Wazuh's.
func (d Dialect) JSON() bool { return d != OSSEC }

// Request is one call. Except for Addr, its texts are as they arrived.
type Request struct {
	Dialect Dialect
	Action  Action
	// Addr is unmapped and has no zone. It is the zero Addr when the caller gave
	// none ("-"), which is right for a response that expects none.
	Addr netip.Addr
	User string // "" when not given
	// UserActs reports that User did what the alert is about, and is not the account that it was done
	// to: such a user is named in the log, and never locked.
	UserActs bool
	AlertID  string // "" when not given
	RuleID   string // "" when not given

	// OSSEC only. ByHand is set when agent_control or OSSEC's API made the request: then there is
	// no alert and no rule.
	ByHand   bool
	Location string
	Filename string

	// Wazuh only. What the alert did not hold is empty.
	Level       int
	Description string    // of the rule
	Groups      []string  // of the rule
	Time        time.Time // of the alert
	AgentID     string
	AgentName   string
	FullLog     string
	ExtraArgs   []string
	Timeout     time.Duration // for how long, where the request says so (Wazuh 5); else 0
	Program     string        // "active-response/bin/NAME" as the daemon wrote it
	// JSON is the request itself on one line, pure printable ASCII.
	JSON []byte
}

// Key is what the daemon remembers a request by: the text of its address.
func (r *Request) Key() string {
	if !r.Addr.IsValid() {
		return "-"
	}
	return r.Addr.String()
}

// Account returns the account that the alert is about, "" for none.
func (r *Request) Account() string {
	if r.UserActs {
		return ""
	}
	return AccountName(r.User)
}

// AccountName returns the name of an account without what pam_unix(8) of Linux-PAM 1.4 and later logs behind
// it, as in "mallory(uid=1001)", and decoders take for a part of it (wazuh/wazuh#32523).
func AccountName(user string) string {
	start, closed := strings.CutSuffix(user, ")")
	name, number, _ := strings.Cut(start, "(uid=")
	if _, err := strconv.ParseUint(number, 10, 32); !closed || err != nil {
		return user
	}
	return name
}

// ErrNoRequest says that nothing arrived: no arguments and an empty standard input.
var ErrNoRequest = errors.New("no request: neither arguments nor a line of JSON on standard input")

// AddressError is an address that cannot be acted on.
type AddressError struct {
	Text   string
	Reason string
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("address %s: %s", Quote(e.Text), e.Reason)
}

// maxArg bounds one argument in bytes. Linux lets an argument be 128 KiB long.
const maxArg = 128 << 10

// ParseArgs reads the arguments of an OSSEC call, without the program's name.
// On an error the Request holds what could be read all the same, for the log.
func ParseArgs(args []string) (*Request, error) {
	r := &Request{Dialect: OSSEC}
	if len(args) == 0 {
		return r, ErrNoRequest
	}
	field := func(i int) string {
		if i >= len(args) || args[i] == "-" || args[i] == "(null)" || args[i] == "(no_rule_id)" {
			return ""
		}
		return args[i]
	}
	r.User, r.AlertID, r.RuleID = field(1), field(3), field(4)
	if r.AlertID == "(from_the_server)" {
		r.ByHand, r.AlertID = true, ""
	}
	if len(args) > 5 {
		// LOCATION may hold spaces and is then several arguments; FILENAME is the last.
		end := max(6, len(args)-1)
		r.Location = strings.Join(args[5:end], " ")
		r.Filename = field(end)
	}
	action, err := parseAction(args[0])
	if err != nil {
		return r, err
	}
	r.Action = action
	if len(args) < 3 {
		return r, fmt.Errorf("too few arguments (%d): want add|delete USER IP [ALERTID RULEID ...]",
			len(args))
	}
	for i, arg := range args {
		if len(arg) > maxArg {
			return r, fmt.Errorf("argument %d is longer than %d bytes", i+1, maxArg)
		}
	}
	if args[2] != "-" {
		if r.Addr, err = ParseAddr(args[2]); err != nil {
			return r, err
		}
	}
	return r, nil
}

func parseAction(text string) (Action, error) {
	switch a := Action(text); a {
	case Add, Delete:
		return a, nil
	}
	return "", fmt.Errorf("unknown action %s: want add or delete", Quote(text))
}

// quoteMax is how many bytes of a foreign text Quote shows.
const quoteMax = 64

// Quote makes a text from outside safe to show in one word: without blanks,
// without anything that is not printable ASCII, and short. Characters that it
// escapes become \xNN.
func Quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		if i == quoteMax {
			b.WriteString("...")
			break
		}
		if c := text[i]; c > ' ' && c < 0x7f && c != '"' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
