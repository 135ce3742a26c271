package stats

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// kind is what an event is.
type kind uint8

const (
	blocked     kind = iota
	unblocked        // the block is gone
	whitelisted      // not blocked: the whitelist covers it
	stillHeld        // not unblocked: another response holds it
	skipped          // nothing done for another reason
	failed
	warned // what was asked for holds, something beside it is wrong
	locked // an account
	unlocked
	ran        // a program that neither blocks nor locks
	imported   // addresses, by one line: their number is in the address's low half
	unreadable // lines without meaning, numbered likewise
	// Lines that Wazuh's programs log beside a request:
	aborted  // the request before it, of the same program, was not carried out
	dialogue // whether it is, is still open
	boundary // a run of the program began or ended
)

// event is one line. Names are numbers: see names.
type event struct {
	addr    key
	when    int64 // seconds
	rule    uint16
	agent   uint16
	program uint16
	// response is the name that all programs of one response share.
	response uint16
	kind     kind
	byHand   bool // a person asked for it
	// open is set for a request in Wazuh's dialect: the lines after it say whether it was
	// carried out.
	open bool
}

func (e *event) holder() holder { return holder{e.response, e.agent} }

// names numbers texts, so that an event holds no pointer. Number 0 is "". It is safe for
// concurrent use.
type names struct {
	mu     sync.Mutex
	number map[string]uint16
	texts  []string
	about  []string // descriptions, "" for none
	most   int      // how many, at most 65,535; what comes later is "(other)"
}

func newNames(most int) *names {
	return &names{number: map[string]uint16{"": 0}, texts: []string{""}, about: []string{""}, most: most}
}

func (n *names) of(text string) uint16 {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, ok := n.number[text]
	if !ok && len(n.texts) >= n.most-1 {
		text = "(other)"
		id, ok = n.number[text]
	}
	if ok {
		return id
	}
	text = strings.Clone(text)
	id = uint16(len(n.texts))
	n.texts, n.about = append(n.texts, text), append(n.about, "")
	n.number[text] = id
	return id
}

func (n *names) text(id uint16) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.texts[id]
}

// rule is text for rules.
func (n *names) rule(id uint16) string { return cmp.Or(n.text(id), NoRule) }

// describe keeps the first description of a name.
func (n *names) describe(id uint16, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.about[id] == "" {
		n.about[id] = strings.Clone(text)
	}
}

// decoder makes events out of lines. It is one goroutine's own.
type decoder struct {
	parser          arlog.Parser
	programs, rules cache
	filter          *Filter
	// Chunks have no events before from or from until on, in seconds.
	from, until int64
}

// cache spares most calls of names.of.
type cache struct {
	names    *names
	programs bool // not rules
	// wanted reports whether events of that name count.
	wanted func(string) bool
	known  [256]*known // by a few bytes of the text
}

type known struct {
	text   string
	id     uint16
	wanted bool
	// Of programs:
	response uint16
	class    class
}

// of looks up the name that the text, a path or a word, ends with.
func (c *cache) of(text string) *known {
	h := len(text)
	if n := len(text); n >= 2 {
		h = h*31 + int(text[n-1])*7 + int(text[n-2])*3 + int(text[n*3/4])
	}
	k := &c.known[uint8(h)]
	if *k == nil || (*k).text != text {
		name := text[strings.LastIndexByte(text, '/')+1:]
		*k = &known{text: strings.Clone(text), id: c.names.of(name), wanted: c.wanted(name)}
		if c.programs {
			(*k).response, (*k).class = c.names.of(responseOf(name)), classOf(name)
		}
	}
	return *k
}

// newDecoder returns a decoder for the query, whose names are those of t.
func (q *Query) newDecoder(t *tally) *decoder {
	return &decoder{
		parser:   arlog.Parser{Location: q.Now.Location(), AddressFields: q.AddressFields},
		filter:   &q.Filter,
		programs: cache{names: t.programs, programs: true, wanted: q.Filter.wantsResponse},
		rules:    cache{names: t.rules, wanted: q.Filter.wantsRule},
		from:     math.MinInt64, until: math.MaxInt64,
	}
}

// decode reads one line into e, which is all zeros. It reports false for an event that
// the filter does not want.
func (d *decoder) decode(line string, e *event) bool {
	f, err := d.parser.Parse(line)
	if !f.Time.IsZero() {
		e.when = f.Time.Unix()
	}
	program := d.programs.of(f.Program)
	e.program, e.response = program.id, program.response
	if err != nil {
		switch {
		case f.Step == "":
			e.kind, e.addr.low = unreadable, 1
			return true
		case f.Step == arlog.Aborted:
			e.kind = aborted
		case f.Step == arlog.Dialogue:
			e.kind = dialogue
		case f.Step == arlog.NoAddress && program.class == other:
			e.kind = ran
		default:
			e.kind = boundary
		}
		return program.wanted
	}
	isRequest := f.Wazuh && f.Message == ""
	// Of what a person asked for, by ossec-ar, agent_control or Wazuh's API, there is no rule.
	if e.byHand = strings.HasSuffix(f.Message, "by hand)") || f.AlertID == "(from_the_server)" ||
		isRequest && f.AlertID == "" && f.RuleID == ""; e.byHand {
		f.RuleID = ""
	}
	rule := d.rules.of(f.RuleID)
	e.rule = rule.id
	if f.Description != "" {
		d.rules.names.describe(rule.id, f.Description)
	}
	e.kind, e.addr = kindOf(&f, program.class), keyOf(f.Addr)
	if e.kind == imported {
		number, _, _ := strings.Cut(strings.TrimPrefix(f.Message, importedBy), " ")
		e.addr.low, _ = strconv.ParseUint(number, 10, 64) // 0 is as good
	}
	e.open = isRequest
	if e.kind == boundary {
		return program.wanted
	}
	return program.wanted && rule.wanted && d.filter.wantsAddr(f.Addr)
}

// importedBy is what ossec-ar logs of an import.
const importedBy = "Imported "

func kindOf(f *arlog.Entry, program class) kind {
	switch {
	case program == other:
		return ran
	case f.Status == arlog.StatusError:
		return failed
	case f.Status == arlog.StatusWarn:
		return warned
	case f.Status == arlog.StatusSkip && strings.Contains(f.Message, ": whitelisted"):
		return whitelisted
	case f.Status == arlog.StatusSkip && strings.Contains(f.Message, ": still held"):
		return stillHeld
	case f.Status == arlog.StatusSkip:
		return skipped
	case program == locks && f.Status == arlog.StatusAdd:
		return locked
	case program == locks:
		return unlocked
	case !f.Addr.IsValid() && strings.HasPrefix(f.Message, importedBy):
		return imported
	case !f.Addr.IsValid(): // it was asked to block a user
		return boundary
	case f.Status == arlog.StatusAdd:
		return blocked
	}
	return unblocked
}
