package stats

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// kind is what an event tells.
type kind uint8

const (
	blocked     kind = iota
	unblocked        // the block is gone
	whitelisted      // not blocked: the whitelist covers it
	stillHeld        // not unblocked: another response holds it
	skipped          // nothing done for another reason
	failed
	unreadable // a line that tells nothing
	// Lines that Wazuh's programs log beside a request:
	aborted  // the request before it, of the same program, was not carried out
	dialogue // whether it is, is still open
	boundary // a run of the program began or ended
)

// event is one line, boiled down. Names are numbers: see names.
type event struct {
	addr    key
	when    int64 // seconds
	rule    uint16
	agent   uint16
	program uint16
	kind    kind
	doubt   doubt
}

// doubt is what a line alone does not tell.
type doubt uint8

const (
	noDoubt doubt = iota
	// request is a request in Wazuh's dialect. Whether it was carried out, the lines
	// after it tell.
	request
	// unchecked is a line whose address may be none: see check.
	unchecked
)

func (e *event) holder() holder { return holder{e.program, e.agent} }

// names numbers texts, so that an event holds no pointer. Number 0 is "". It is safe for
// concurrent use.
type names struct {
	mu     sync.Mutex
	number map[string]uint16
	texts  []string
	most   int // how many, at most 65,535; what comes later is "(other)"
	// about holds what is known beside: the descriptions of rules.
	about map[uint16]string
}

const otherName = "(other)"

func newNames(most int) *names {
	return &names{number: map[string]uint16{"": 0}, texts: []string{""}, most: most, about: map[uint16]string{}}
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
	// name makes the name out of the text in the line; nil is the text itself.
	name func([]byte) []byte
	// wanted tells whether events of that name count; nil wants all.
	wanted func(string) bool
	slots  [256]slot
}

type slot struct {
	text  string
	id    uint16
	ok    bool // wanted
	used  bool
	about bool // a description has been noted
}

func (c *cache) of(text []byte) *slot {
	var h uint64
	if n := len(text); n >= 8 {
		h = binary.LittleEndian.Uint64(text[n-8:]) + uint64(n)
	} else {
		for _, c := range text {
			h = h<<8 | uint64(c)
		}
	}
	s := &c.slots[h*0x9e3779b97f4a7c15>>56]
	if s.used && string(text) == s.text {
		return s
	}
	name := text
	if c.name != nil {
		name = c.name(text)
	}
	*s = slot{text: string(text), id: c.names.of(name), ok: c.wanted == nil || c.wanted(string(name)), used: true}
	return s
}

// decoder makes events out of lines. It is one goroutine's own.
type decoder struct {
	parser   arlog.Parser
	fields   arlog.Fields
	programs cache
	rules    cache
	filter   *Filter
	piece    piece
	brief
}

// newDecoder returns a decoder for the query, of whose names those are that are counted.
func (q *Query) newDecoder(t *tally) *decoder {
	return &decoder{
		parser:   arlog.Parser{Location: q.Location, AddressFields: q.AddressFields},
		filter:   &q.Filter,
		programs: cache{names: t.programs, name: baseName, wanted: q.Filter.wantsResponse},
		rules:    cache{names: t.rules, wanted: q.Filter.wantsRule},
	}
}

// The beginnings of what a skip line's message says after the address.
var (
	whitelistedBy = []byte(": whitelisted")
	stillHeldBy   = []byte(": still held")
)

func unDash(rule []byte) []byte {
	if len(rule) == 1 && rule[0] == '-' {
		return nil
	}
	return rule
}

// decode reads one line into e, which is all zeros. It reports false for an event that
// the filter does not want.
func (d *decoder) decode(line []byte, e *event) bool {
	f := &d.fields
	err := d.parser.Parse(line, f)
	e.when = f.Unix
	program := d.programs.of(f.Program)
	e.program = program.id
	if err != nil {
		switch f.Step {
		case "":
			e.kind = unreadable
			return true
		case arlog.Aborted:
			e.kind = aborted
		case arlog.Dialogue:
			e.kind = dialogue
		default:
			e.kind = boundary
		}
		return program.ok
	}
	rule := d.rules.of(f.RuleID)
	e.rule = rule.id
	if len(f.Description) > 0 && !rule.about {
		rule.about = true
		d.rules.names.describe(rule.id, string(f.Description))
	}
	switch f.Status {
	case arlog.StatusAdd:
		e.kind = blocked
	case arlog.StatusDelete:
		e.kind = unblocked
	case arlog.StatusError:
		e.kind = failed
	case arlog.StatusSkip:
		e.kind = skipped
		if bytes.Contains(f.Message, whitelistedBy) {
			e.kind = whitelisted
		} else if bytes.Contains(f.Message, stillHeldBy) {
			e.kind = stillHeld
		}
	}
	e.addr = keyOf(f.Addr)
	if f.Wazuh && len(f.JSON) > 0 {
		e.doubt = request
	}
	return program.ok && rule.ok && d.filter.wantsAddr(f.Addr)
}

// baseName is what stands after the last slash.
func baseName(path []byte) []byte { return path[bytes.LastIndexByte(path, '/')+1:] }
