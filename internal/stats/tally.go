package stats

import (
	"math"
	"time"
)

// Counts is what happened, by outcome.
type Counts struct {
	Blocks      uint64 `json:"blocks"`
	Unblocks    uint64 `json:"unblocks"`
	Whitelisted uint64 `json:"whitelisted"`
	StillHeld   uint64 `json:"still_held"`
	Skipped     uint64 `json:"skipped_otherwise"`
	Failed      uint64 `json:"failed"`
	Warnings    uint64 `json:"warnings"`
	Locked      uint64 `json:"locked"` // accounts
	Unlocked    uint64 `json:"unlocked"`
}

// ByHand is what persons did: it is among the Counts, but for what was imported.
type ByHand struct {
	Blocks   uint64 `json:"blocks"`
	Unblocks uint64 `json:"unblocks"`
	Imported uint64 `json:"imported"`
}

// outcomes counts by kind.
type outcomes [imported]uint64

func (o *outcomes) counts() Counts {
	return Counts{o[blocked], o[unblocked], o[whitelisted], o[stillHeld], o[skipped], o[failed], o[warned],
		o[locked], o[unlocked]}
}

// Skips is the sum of what was left alone on purpose.
func (c *Counts) Skips() uint64 { return c.Whitelisted + c.StillHeld + c.Skipped }

// The bounds of the different names that are counted apart.
const (
	maxPrograms = 1_000
	maxRules    = 20_000
	maxAgents   = 20_000
)

// tally adds events up. They come in the order of the log; what comes before the period
// only shows which addresses are not new and since when they are blocked.
type tally struct {
	from, until int64 // the period in seconds, half-open
	programs    *names
	rules       *names
	agents      *names

	byProgram []outcomes
	byRule    []uint64
	byAgent   []*agentTally
	addrs     *table
	hours     *series
	lasted    lengths

	byHand            ByHand
	lines, unreadable uint64
	// first and last are the times of what counts in the period, in seconds.
	first, last int64
	// earliest is the time of the first line that was read at all.
	earliest int64
	// current is the time of the last line.
	current int64
	// high is the latest time so far, and back the most seconds that a line is behind it.
	high, back int64
	// waiting holds, by program, a request of Wazuh's until it is known not to be aborted.
	waiting map[uint16]event
	// counted, when set, is called with everything that counts, before the period too.
	counted func(*event)
	// agentRoom is by how much the agents' tables may still grow.
	agentRoom int
}

// total is what all programs did.
func (t *tally) total() Counts {
	var sum outcomes
	for i := range t.byProgram {
		for kind, n := range t.byProgram[i] {
			sum[kind] += n
		}
	}
	return sum.counts()
}

// agentTally is one agent's part.
type agentTally struct {
	outcomes
	addrs *table
	last  int64 // block, in seconds
}

func newTally(p Period, loc *time.Location) *tally {
	return &tally{
		from: p.fromUnix(), until: p.untilUnix(),
		programs: newNames(maxPrograms), rules: newNames(maxRules), agents: newNames(maxAgents),
		addrs: newTable(maxAddresses), hours: newSeries(loc),
		earliest: math.MaxInt64, high: math.MinInt64, waiting: map[uint16]event{}, agentRoom: agentRoom,
	}
}

// addChunk counts the events of a chunk.
func (t *tally) addChunk(c *chunk) {
	for i := range c.events {
		if i%warmed == 0 {
			t.addrs.warm(c.events[i:min(i+warmed, len(c.events))])
		}
		e := &c.events[i]
		if e.when == 0 {
			e.when = t.current // of the chunk before
		}
		t.add(e)
	}
	t.lines += uint64(c.lines)
	if c.low > c.high {
		return
	}
	t.current = c.current
	t.earliest = min(t.earliest, c.low)
	t.back = max(t.back, c.back)
	if t.high != math.MinInt64 {
		t.back = max(t.back, t.high-c.low)
	}
	t.high = max(t.high, c.high)
}

// add counts an event. A request in Wazuh's dialect first waits for the next line of its
// program, which may say that it was aborted.
func (t *tally) add(e *event) {
	if len(t.waiting) > 0 && e.kind != unreadable && e.kind != dialogue {
		if before, ok := t.waiting[e.program]; ok {
			delete(t.waiting, e.program)
			if e.kind != aborted {
				t.count(&before)
			}
		}
	}
	if e.open {
		t.waiting[e.program] = *e
		return
	}
	t.count(e)
}

// settle counts what still waits: no line says that it was aborted.
func (t *tally) settle() {
	for program, e := range t.waiting {
		t.count(&e)
		delete(t.waiting, program)
	}
}

func (t *tally) count(e *event) {
	switch {
	case e.kind == unreadable:
		if e.when >= t.from && e.when < t.until {
			t.unreadable += e.addr.low
		}
		return
	case e.kind >= aborted:
		return
	case t.counted != nil:
		t.counted(e)
	}
	switch {
	case e.when >= t.until:
	case e.when < t.from:
		t.countBefore(e)
	default:
		t.countIn(e)
	}
}

// countIn counts an event in the period.
func (t *tally) countIn(e *event) {
	if t.first == 0 || e.when < t.first {
		t.first = e.when
	}
	t.last = max(t.last, e.when)
	if e.kind == imported {
		t.byHand.Imported += e.addr.low
		return
	}
	element(&t.byProgram, e.program)[e.kind]++
	t.hours.count(e.when, e.kind)
	var a *entry
	switch e.kind {
	case blocked:
		if e.byHand {
			t.byHand.Blocks++
		}
		a = t.addrs.at(e.addr)
		*element(&t.byRule, e.rule)++
		t.addrs.block(a, e)
		t.addrs.hold(a, e.holder(), clock(e.when))
	case unblocked:
		if e.byHand {
			t.byHand.Unblocks++
		}
		a = t.addrs.find(e.addr)
		if a != nil {
			a.unblocks++
		}
		since := t.addrs.release(a, e.addr, e.holder())
		if when := clock(e.when); since != 0 && when >= since {
			t.lasted.add(when-since, e.addr)
		}
	}
	if e.agent != 0 {
		t.agent(e.agent).count(e, a)
	}
}

func (t *tally) countBefore(e *event) {
	switch e.kind {
	case blocked:
		when := clock(e.when)
		a := t.addrs.early(e.addr)
		a.before, a.last = true, when
		t.addrs.hold(a, e.holder(), when)
	case unblocked:
		t.addrs.release(t.addrs.find(e.addr), e.addr, e.holder())
	}
}

// clock puts a time into 32 bits: 1970 to 2106, without 0, which means none.
func clock(seconds int64) uint32 { return uint32(min(max(seconds, 1), math.MaxUint32)) }

// element returns the element i of a list that grows as need be.
func element[T any](list *[]T, i uint16) *T {
	if int(i) >= len(*list) {
		*list = append(*list, make([]T, int(i)+1-len(*list))...)
	}
	return &(*list)[i]
}

// addressesPerAgent bounds how many addresses are counted exactly for one agent, and
// agentRoom for how many the tables of all of them together may grow.
const (
	addressesPerAgent = 20_000
	agentRoom         = 200_000
)

func (t *tally) agent(id uint16) *agentTally {
	a := element(&t.byAgent, id)
	if *a == nil {
		*a = &agentTally{addrs: newTable(addressesPerAgent)}
		(*a).addrs.spare = &t.agentRoom
	}
	return *a
}

// count counts an event. all is what is known of its address on all agents: it is not nil
// if the event is a block.
func (a *agentTally) count(e *event, all *entry) {
	a.outcomes[e.kind]++
	switch e.kind {
	case blocked:
		a.last = max(a.last, e.when)
		here := a.addrs.at(e.addr)
		here.before = all.before
		a.addrs.block(here, e)
	case unblocked:
		if here := a.addrs.find(e.addr); here != nil {
			here.unblocks++
		}
	}
}
