// Package alerts reads what OSSEC's and Wazuh's analysisd wrote of its alerts, alerts.log and
// alerts.json, the current ones and those of past days: one after the other, or the one
// of an id with a few reads. It is no part of package ossec because the blocking
// responses, which need that one, have no use for it.
package alerts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// Alert is one alert as OSSEC or Wazuh wrote it to alerts.log or alerts.json. All of
// its texts but ID were shaped by whoever wrote the log line: they are hostile wherever
// they go, and may hold any byte.
type Alert struct {
	ID          string // "SECONDS.NUMBER"
	Time        time.Time
	Groups      []string // of the rule
	Host        string   // of the log: the agent's name, or the host's own
	Agent       string   // its name when it came from one, else ""
	Location    string   // the file or command that the log came from
	RuleID      string
	Level       int
	Description string // of the rule
	SrcIP       string // as logged: mostly an address, a host name now and then
	User        string
	// Log is the log line and, from alerts.log, what stands below it: more lines of it, what
	// Wazuh decoded from it as "key: value", and the events before it that a composite rule
	// counted.
	Log []string
	// Truncated reports that the alert was longer than maxAlert and lost its end.
	Truncated bool
	// Partial reports that the file ends within it: its writer may not have finished.
	Partial bool
}

// maxAlert is how much of one alert is kept, in bytes. The rest is skipped.
const maxAlert = 128 << 10

const (
	alertMark = "** Alert "
	// maxID bounds "SECONDS.NUMBER" in bytes: two numbers of 64 bits.
	maxID = 41
)

// Scanner reads one alert after the other from the text of alerts.log or from the
// lines of alerts.json, which it distinguishes by the first byte. It reads once, keeps one
// alert, and skips what is no alert: a torn beginning, garbage, a line that is no
// JSON.
type Scanner struct {
	in      *bufio.Reader
	json    bool
	started bool
	raw     []byte // of the alert at hand
	next    []byte // header line that ended the alert before
	cut     bool   // raw lost its end
	midLine bool   // what is read next does not begin a line
	alert   Alert
	err     error
}

// NewScanner returns a scanner that reads from r.
func NewScanner(r io.Reader) *Scanner {
	return &Scanner{in: bufio.NewReaderSize(r, 64<<10)}
}

// Alert returns the alert that Scan found. The next Scan overwrites it and its slices;
// the texts stay good (they share one piece of memory: strings.Clone what is kept).
func (s *Scanner) Alert() *Alert { return &s.alert }

// Err returns what ended the reading, nil for the end of the input.
func (s *Scanner) Err() error {
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// Scan goes on to the next alert and reports whether there is one.
func (s *Scanner) Scan() bool {
	if !s.started {
		s.started = true
		first, _ := s.in.Peek(1) // an error comes back from the first read
		s.json = len(first) == 1 && first[0] == '{'
	}
	if s.json {
		return s.scanJSON()
	}
	for s.err == nil || len(s.next) > 0 {
		s.collect()
		if len(s.raw) > 0 && s.alert.parse(string(s.raw)) {
			s.alert.Truncated = s.cut
			s.alert.Partial = len(s.next) == 0 && !bytes.HasSuffix(s.raw, []byte("\n\n"))
			return true
		}
	}
	return false
}

// collect puts the lines from one header up to the next into raw.
func (s *Scanner) collect() {
	s.raw = append(s.raw[:0], s.next...)
	s.next = s.next[:0]
	s.cut = false
	for s.err == nil {
		piece, err := s.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil
		}
		s.err = err
		begins := false
		if !s.midLine {
			_, begins = headerID(piece)
		}
		s.midLine = len(piece) > 0 && piece[len(piece)-1] != '\n'
		if begins {
			if len(s.raw) > 0 {
				s.next = append(s.next, piece...)
				return
			}
			s.keep(piece)
		} else if len(s.raw) > 0 {
			s.keep(piece)
		}
	}
}

func (s *Scanner) keep(piece []byte) {
	if room := maxAlert - len(s.raw); len(piece) > room {
		piece, s.cut = piece[:room], true
	}
	s.raw = append(s.raw, piece...)
}

// headerID returns the id in an alert's first line.
func headerID(line []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(alertMark))
	if !ok {
		return nil, false
	}
	end := bytes.IndexByte(rest[:min(len(rest), maxID+1)], ':')
	if end < 0 || !validID(rest[:end]) {
		return nil, false
	}
	return rest[:end], true
}

// validID reports whether text is DIGITS.DIGITS.
func validID(text []byte) bool {
	dots := 0
	for i, c := range text {
		switch {
		case c == '.' && i > 0 && i < len(text)-1:
			dots++
		case c < '0' || c > '9':
			return false
		}
	}
	return dots == 1
}

// idSecond returns the second in an id.
func idSecond(id string) (second int64, ok bool) {
	if len(id) > maxID || !validID([]byte(id)) {
		return 0, false
	}
	left, _, _ := strings.Cut(id, ".")
	second, err := strconv.ParseInt(left, 10, 64)
	return second, err == nil
}

// parse reads the text of one alert, which begins with its header.
func (a *Alert) parse(text string) bool {
	*a = Alert{Groups: a.Groups[:0], Log: a.Log[:0]}
	header, rest, _ := strings.Cut(text, "\n")
	id, ok := headerID([]byte(header))
	if !ok {
		return false
	}
	a.ID = header[len(alertMark) : len(alertMark)+len(id)]
	second, ok := idSecond(a.ID)
	if !ok {
		return false
	}
	a.Time = time.Unix(second, 0)
	_, groups, _ := strings.Cut(header, "-")
	a.Groups = appendGroups(a.Groups, groups)
	origin, rest, _ := strings.Cut(rest, "\n")
	a.origin(origin)
	a.body(rest)
	return true
}

func appendGroups(groups []string, list string) []string {
	for group := range strings.SplitSeq(list, ",") {
		if group = strings.TrimSpace(group); group != "" {
			groups = append(groups, group)
		}
	}
	return groups
}

// origin reads "2026 Nov 23 08:33:59 web->/var/log/auth.log", where an agent stands as
// "(web) 192.0.2.5". The time is the id's, which needs no zone.
func (a *Alert) origin(line string) {
	const date = len("2026 Nov 23 08:33:59 ")
	if len(line) < date || line[date-1] != ' ' {
		return
	}
	a.place(strings.TrimSuffix(line[date:], "\r"))
}

// place reads what stands for "where from" in both kinds of file.
func (a *Alert) place(text string) {
	source, location, ok := strings.Cut(text, "->")
	if !ok {
		a.Location = text
		return
	}
	a.Location = location
	if name, address, ok := strings.Cut(source, ") "); ok && strings.HasPrefix(name, "(") && address != "" {
		a.Agent = name[1:]
		source = a.Agent
	}
	a.Host = source
}

// bodyFields are the rule and the lines between it and the log, in the order in which they
// stand there, so that a log line that looks like one cannot pass for a field that
// came before it.
var bodyFields = []string{"Rule: ", "Src IP: ", "Src Location: ", "Src Port: ", "Dst IP: ",
	"Dst Location: ", "Dst Port: ", "User: "}

func (a *Alert) body(text string) {
	field := 0
	for line := range strings.SplitSeq(strings.TrimRight(text, "\r\n"), "\n") {
		value, name := "", len(bodyFields)
		for i := field; i < len(bodyFields); i++ {
			if v, ok := strings.CutPrefix(line, bodyFields[i]); ok {
				value, name = v, i
				break
			}
		}
		if field == 0 && name != 0 {
			continue // a label of the agent's, which Wazuh puts before the rule
		}
		if field = name + 1; name == len(bodyFields) {
			a.Log = append(a.Log, line)
			continue
		}
		switch bodyFields[name] {
		case "Rule: ":
			a.rule(value)
		case "Src IP: ":
			a.SrcIP = presentText(value)
		case "User: ":
			a.User = presentText(value)
		}
	}
}

// rule reads "5712 (level 10) -> 'SSHD brute force trying to get access.'".
func (a *Alert) rule(text string) {
	id, rest, _ := strings.Cut(text, " ")
	a.RuleID = id
	level, rest, ok := strings.Cut(strings.TrimPrefix(rest, "(level "), ")")
	if !ok {
		return
	}
	a.Level, _ = strconv.Atoi(level) // none is level 0
	a.Description = strings.TrimPrefix(strings.TrimSpace(rest), "-> ")
	if d := a.Description; len(d) > 1 && d[0] == '\'' && d[len(d)-1] == '\'' {
		a.Description = d[1 : len(d)-1]
	}
}

// presentText turns the ways of writing "none" into "".
func presentText(text string) string {
	if text == "(none)" || text == "(null)" || text == "-" {
		return ""
	}
	return text
}
