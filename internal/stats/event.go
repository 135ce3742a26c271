package stats

import (
	"bytes"
	"math"
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
	most   int // how many, at most 65,535; what comes later is "(other)"
	// about holds the descriptions of rules.
	about map[uint16]string
}

const otherName = "(other)"

func newNames(most int) *names {
	return &names{number: map[string]uint16{"": 0}, texts: []string{""}, most: most,
		about: map[uint16]string{}}
}

func (n *names) of(text []byte) uint16 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.number[string(text)]; ok {
		return id
	}
	name := string(text)
	if len(n.texts) >= n.most-1 {
		name = otherName
		if id, ok := n.number[name]; ok {
			return id
		}
	}
	id := uint16(len(n.texts))
	n.texts = append(n.texts, name)
	n.number[name] = id
	return id
}

func (n *names) text(id uint16) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.texts[id]
}

func (n *names) describe(id uint16, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.about[id] == "" {
		n.about[id] = text
	}
}

func (n *names) description(id uint16) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.about[id]
}

// cache spares most calls of names.of. It is one goroutine's own.
type cache struct {
	names *names
	// wanted reports whether events of that name count.
	wanted func(string) bool
	known  [256]*known // by a few bytes of the text
}

type known struct {
	text      string
	id        uint16
	wanted    bool
	described bool
}

// of looks text up; name returns the part of it that is the name.
func (c *cache) of(text []byte, name func([]byte) []byte) *known {
	h := uint32(len(text))
	if n := len(text); n >= 2 {
		h = h*31 + uint32(text[n-1])*7 + uint32(text[n-2])*3 + uint32(text[n*3/4])
	}
	k := &c.known[uint8(h)]
	if *k == nil || (*k).text != string(text) {
		n := name(text)
		*k = &known{text: string(text), id: c.names.of(n), wanted: c.wanted(string(n))}
	}
	return *k
}

func baseName(path []byte) []byte { return path[bytes.LastIndexByte(path, '/')+1:] }
func whole(text []byte) []byte    { return text }

// decoder makes events out of lines. It is one goroutine's own.
type decoder struct {
	parser   arlog.Parser
	fields   arlog.Fields
	programs cache
	rules    cache
	filter   *Filter
	// Chunks have no events before from or from until on, in seconds.
	from, until int64
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

// The beginnings of what a skip line's message says after the address.
var (
	whitelistedBy = []byte(": whitelisted")
	stillHeldBy   = []byte(": still held")
)

// decode reads one line into e, which is all zeros. It reports false for an event that
// the filter does not want.
func (d *decoder) decode(line []byte, e *event) bool {
	f := &d.fields
	err := d.parser.Parse(line, f)
	e.when = f.Unix
	program := d.programs.of(f.Program, baseName)
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
	rule := d.rules.of(f.RuleID, whole)
	e.rule = rule.id
	if len(f.Description) > 0 && !rule.described {
		rule.described = true
		d.rules.names.describe(rule.id, string(f.Description))
	}
	e.kind = kindOf(f)
	e.addr = keyOf(f.Addr)
	e.open = f.Wazuh && len(f.JSON) > 0
	return program.wanted && rule.wanted && d.filter.wantsAddr(f.Addr)
}

func kindOf(f *arlog.Fields) kind {
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
	case bytes.Contains(f.Message, whitelistedBy):
		return whitelisted
	case bytes.Contains(f.Message, stillHeldBy):
		return stillHeld
	}
	return skipped
}
