package stats

import (
	"encoding/binary"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// brief is how a decoder reads the lines that nearly all of a log consists of.
type brief struct {
	line arlog.Brief
	// known are the programs that arlog knows by number.
	known []known
	// ids are rules by their text, in places that a hash tells.
	ids [1024]ruleID
}

// known is what is known of a name.
type known struct {
	id uint16
	ok bool // wanted
}

type ruleID struct {
	text uint64
	known
	used bool
}

// brief adds the event of the line that d.line is about, if it counts. Whether its address
// is one is left to check.
func (c *chunk) brief(d *decoder, from, until int64) {
	b := &d.line
	for b.Program >= len(d.known) {
		s := d.programs.of(d.parser.Program(len(d.known)))
		d.known = append(d.known, known{s.id, s.ok})
	}
	program, rule := d.known[b.Program], d.rule(&b.Rule)
	// The event is made where it stays: it is copied in longer words than it is made of, and
	// the processor would wait until those are complete.
	c.events = append(c.events, event{})
	e := &c.events[len(c.events)-1]
	e.addr.Low, e.addr.High, e.when = b.Addr.Low, b.Addr.High, b.Unix
	kind := blocked // in a register, where no branch is needed for it
	if b.Delete {
		kind = unblocked
	}
	e.rule, e.program, e.kind, e.doubt = rule.id, program.id, kind, unchecked
	if b.Six {
		e.addr, e.doubt = sixKey(b.Addr6), noDoubt
	}
	c.time(e.when)
	if !program.ok || !rule.ok || e.when < from || e.when >= until || len(d.filter.Networks) > 0 && !d.filter.wantsAddr(e.addr.addr()) {
		// A line without an address counts as one of another kind, which has no rule.
		if _, is := e.check(); is || !program.ok {
			c.events = c.events[:len(c.events)-1]
		}
	}
}

// rule looks a rule id up.
func (d *decoder) rule(text *[8]byte) known {
	x := binary.LittleEndian.Uint64(text[:])
	r := &d.ids[x*0x9e3779b97f4a7c15>>54]
	if r.text != x || !r.used {
		d.learnRule(r, text)
	}
	return r.known
}

func (d *decoder) learnRule(r *ruleID, text *[8]byte) {
	n := 0
	for n < len(text) && text[n] != 0 {
		n++
	}
	s := d.rules.of(unDash(text[:n]))
	*r = ruleID{binary.LittleEndian.Uint64(text[:]), known{s.id, s.ok}, true}
}

// check makes an event that has no address what it is, and reports whether it has one: it
// returns the address where it had to read it.
func (e *event) check() (addr netip.Addr, ok bool) {
	if e.doubt != unchecked {
		return addr, true
	}
	e.doubt = noDoubt
	addr, ok = arlog.AddrText(e.addr).Addr()
	if !ok {
		e.kind, e.addr = boundary, key{}
	}
	return addr, ok
}
