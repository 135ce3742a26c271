package stats

import (
	"math"
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
	warned     // what was asked for holds, something beside it is wrong
	unreadable // lines without meaning: their number is in the address's low half
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
	kind    kind
	// open is set for a request in Wazuh's dialect: the lines after it say whether it was
	// carried out.
	open bool
}

func (e *event) holder() holder { return holder{e.program, e.agent} }

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
	names *names
	// wanted reports whether events of that name count.
	wanted func(string) bool
	known  [256]*known // by a few bytes of the text
}

type known struct {
	text   string
	id     uint16
	wanted bool
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
	}
	return *k
}

// newDecoder returns a decoder for the query, whose names are those of t.
func (q *Query) newDecoder(t *tally) *decoder {
	return &decoder{
		parser:   arlog.Parser{Location: q.Now.Location(), AddressFields: q.AddressFields},
		filter:   &q.Filter,
		programs: cache{names: t.programs, wanted: q.Filter.wantsResponse},
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
	e.program = program.id
	if err != nil {
		switch f.Step {
		case "":
			e.kind, e.addr.low = unreadable, 1
			return true
		case arlog.Aborted:
			e.kind = aborted
		case arlog.Dialogue:
			e.kind = dialogue
		default:
			e.kind = boundary
		}
		return program.wanted
	}
	rule := d.rules.of(f.RuleID)
	e.rule = rule.id
	if f.Description != "" {
		d.rules.names.describe(rule.id, f.Description)
	}
	e.kind = kindOf(&f)
	e.addr = keyOf(f.Addr)
	e.open = f.Wazuh && len(f.JSON) > 0
	return program.wanted && rule.wanted && d.filter.wantsAddr(f.Addr)
}

func kindOf(f *arlog.Entry) kind {
	switch f.Status {
	case arlog.StatusAdd:
		return blocked
	case arlog.StatusDelete:
		return unblocked
	case arlog.StatusError:
		return failed
	case arlog.StatusWarn:
		return warned
	}
	switch {
	case strings.Contains(f.Message, ": whitelisted"):
		return whitelisted
	case strings.Contains(f.Message, ": still held"):
		return stillHeld
	}
	return skipped
}
