package stats

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Schema is the version of the JSON form. It goes up when a field changes its meaning
// or goes away, not when one is added.
const Schema = 1

// NoRule stands where a block has no rule: a person made it, or an old agent passed none.
const NoRule = "(none)"

// The sources of a report.
const (
	SourceResponses = "responses" // the log of this host
	SourceAlerts    = "alerts"    // those of a manager
)

// Report is the answer to a Query. Its JSON form is described in
// docs/response-stats-json.md; all texts in it that are no addresses or times may come
// from outside.
type Report struct {
	Schema    int         `json:"schema"`
	Generated time.Time   `json:"generated"`
	Host      string      `json:"host"`
	Source    string      `json:"source"`
	Period    PeriodInfo  `json:"period"`
	Filter    Filter      `json:"filter"`
	Totals    Counts      `json:"totals"`
	ByHand    ByHand      `json:"by_hand"`
	Addrs     AddressInfo `json:"addresses"`

	TopAddresses []AddressCount `json:"top_addresses"`
	TopNetworks  []NetworkCount `json:"top_networks"`
	Responses    []NamedCounts  `json:"responses"`
	// Others are programs that neither block nor lock.
	Others []Runs       `json:"other_programs"`
	Rules  []RuleCount  `json:"rules"`
	Agents []AgentCount `json:"agents,omitempty"`
	// Unit is the length of the steps of Timeline: "hour", "day" or "month".
	Unit       string     `json:"unit"`
	Timeline   []Step     `json:"timeline"`
	HoursOfDay [24]uint64 `json:"hours_of_day"` // blocks
	Lasted     Lengths    `json:"durations"`
	// InForce is nil when the period does not reach to now, or the source is alerts.
	InForce *InForce `json:"in_force"`
	Log     LogInfo  `json:"log"`
}

// PeriodInfo is the period; a nil time is no bound.
type PeriodInfo struct {
	Label string     `json:"label"`
	From  *time.Time `json:"from"`
	Until *time.Time `json:"until"`
	// The first and last thing that was counted.
	First *time.Time `json:"first_event"`
	Last  *time.Time `json:"last_event"`
}

// AddressInfo is about all addresses that were blocked.
type AddressInfo struct {
	Different uint64 `json:"different"`
	// New were not blocked in the time looked back to, Returning were. Both are nil when
	// nothing was looked back at.
	New       *uint64 `json:"new"`
	Returning *uint64 `json:"returning"`
	// LookedBackTo is nil when nothing was looked back at.
	LookedBackTo *time.Time `json:"looked_back_to"`
	Repeated     uint64     `json:"blocked_more_than_once"`
	// Exact is false when there were too many to count each; then no count of an address
	// is too high, and none is too low by more than MaxError.
	Exact    bool   `json:"exact"`
	MaxError uint64 `json:"max_error"`
}

// AddressCount is one of the most blocked addresses.
type AddressCount struct {
	Address   netip.Addr `json:"address"`
	Blocks    uint64     `json:"blocks"`
	Unblocks  uint64     `json:"unblocks"`
	Rule      string     `json:"rule"` // of the last block
	First     time.Time  `json:"first"`
	Last      time.Time  `json:"last"`
	Returning bool       `json:"returning"`
}

// NetworkCount is one of the most blocked networks: /24 for IPv4, /48 for IPv6.
type NetworkCount struct {
	Network   netip.Prefix `json:"network"`
	Blocks    uint64       `json:"blocks"`
	Addresses uint64       `json:"addresses"`
}

// NamedCounts is one response.
type NamedCounts struct {
	Name string `json:"name"`
	Counts
}

// Runs is how often a program was called.
type Runs struct {
	Name string `json:"name"`
	Runs uint64 `json:"runs"`
}

// RuleCount is one rule.
type RuleCount struct {
	ID          string `json:"id"` // NoRule where the line has none
	Description string `json:"description"`
	Blocks      uint64 `json:"blocks"`
}

// AgentCount is one agent of the fleet.
type AgentCount struct {
	Name string `json:"name"`
	Counts
	Addresses    uint64         `json:"addresses"`
	LastBlock    *time.Time     `json:"last_block"`
	TopAddresses []AddressCount `json:"top_addresses"`
}

// Step is one step of the timeline.
type Step struct {
	From        time.Time `json:"from"`
	Blocks      uint64    `json:"blocks"`
	Unblocks    uint64    `json:"unblocks"`
	Whitelisted uint64    `json:"whitelisted"`
	Failed      uint64    `json:"failed"`
}

// Lengths is how long those blocks lasted that ended in the period.
type Lengths struct {
	Ended   uint64     `json:"ended"`
	Median  uint32     `json:"median_seconds"`
	Longest uint32     `json:"longest_seconds"`
	Of      netip.Addr `json:"longest_address"`
}

// LogInfo is what was read.
type LogInfo struct {
	Files      []string `json:"files"`
	Lines      uint64   `json:"lines"`
	Unreadable uint64   `json:"unreadable_lines"`
	Notes      []string `json:"notes"`
}

// Note adds a note for the reader of the report.
func (r *Report) Note(format string, args ...any) {
	r.Log.Notes = append(r.Log.Notes, fmt.Sprintf(format, args...))
}

// report makes the report.
func (c *collected) report(q *Query, source string) *Report {
	t, f := c.tally, &q.Filter
	loc := q.Now.Location()
	r := &Report{
		Schema: Schema, Generated: q.Now.Truncate(time.Second), Host: q.Host, Source: source,
		Period: PeriodInfo{Label: q.Period.Label, From: optional(q.Period.From),
			Until: optional(q.Period.Until)},
		Filter: Filter{list(f.Responses), list(f.Rules), list(f.Networks), list(f.Agents)},
		Totals: t.total(), ByHand: t.byHand,
		Lasted: Lengths{Ended: t.lasted.count, Median: t.lasted.median(), Longest: t.lasted.longest},
		Log:    LogInfo{list(c.files), t.lines, t.unreadable, list(c.notes)},
	}
	if t.lasted.count > 0 {
		r.Lasted.Of = t.lasted.of.addr()
	}
	if t.first != 0 {
		first, last := time.Unix(t.first, 0).In(loc), time.Unix(t.last, 0).In(loc)
		r.Period.First, r.Period.Last = &first, &last
	}
	r.addresses(c, q)
	r.Responses, r.Others = t.responses()
	r.Rules = t.ruleCounts(q.Top)
	r.Agents = t.agentCounts(loc, q.Top)
	r.timeline(t, q.Period, loc)
	return r
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// list is never nil, so that its JSON is [].
func list[T any](l []T) []T { return append([]T{}, l...) }

func (r *Report) addresses(c *collected, q *Query) {
	t := c.tally.addrs
	loc := q.Now.Location()
	a := &r.Addrs
	a.Different = t.blockedAddresses()
	a.Exact, a.MaxError = t.under == 0, uint64(t.under)
	networks := make(chan []NetworkCount, 1)
	go func() { networks <- t.topNetworks(q.Top) }() // half of the work
	best := best{most: q.Top}
	var returning uint64
	t.each(func(e *entry) {
		if e.blocks > 1 {
			a.Repeated++
		}
		if e.before {
			returning++
		}
		best.offer(e)
	})
	if c.lookedTo != 0 {
		fresh, at := a.Different-min(returning, a.Different), time.Unix(c.lookedTo, 0).In(loc)
		a.New, a.Returning, a.LookedBackTo = &fresh, &returning, &at
	}
	r.TopAddresses = best.addresses(c.tally.rules, loc)
	r.TopNetworks = <-networks
}

func (t *tally) responses() ([]NamedCounts, []Runs) {
	all, others := []NamedCounts{}, []Runs{}
	for id, o := range t.byProgram {
		name := t.programs.text(uint16(id))
		if o[ran] > 0 {
			others = append(others, Runs{name, o[ran]})
		} else if o != (outcomes{}) {
			all = append(all, NamedCounts{name, o.counts()})
		}
	}
	slices.SortFunc(others, func(a, b Runs) int { return byBlocks(a.Runs, b.Runs, a.Name, b.Name) })
	slices.SortFunc(all, func(a, b NamedCounts) int { return byBlocks(a.Blocks, b.Blocks, a.Name, b.Name) })
	return all, others
}

// byBlocks orders by blocks, the most first, then by name.
func byBlocks(a, b uint64, aName, bName string) int {
	return cmp.Or(cmp.Compare(b, a), cmp.Compare(aName, bName))
}

func (t *tally) ruleCounts(most int) []RuleCount {
	all := []RuleCount{}
	for id, blocks := range t.byRule {
		if blocks > 0 {
			all = append(all, RuleCount{t.rules.rule(uint16(id)), t.rules.about[id], blocks})
		}
	}
	slices.SortFunc(all, func(a, b RuleCount) int { return byBlocks(a.Blocks, b.Blocks, a.ID, b.ID) })
	if most > 0 && len(all) > most {
		return all[:most]
	}
	return all
}

func (t *tally) agentCounts(loc *time.Location, most int) []AgentCount {
	var all []AgentCount
	for id, a := range t.byAgent {
		if a == nil {
			continue
		}
		count := AgentCount{Name: t.agents.text(uint16(id)), Counts: a.outcomes.counts(),
			Addresses: a.addrs.blockedAddresses()}
		if a.last != 0 {
			last := time.Unix(a.last, 0).In(loc)
			count.LastBlock = &last
		}
		best := best{most: most}
		a.addrs.each(best.offer)
		count.TopAddresses = best.addresses(t.rules, loc)
		all = append(all, count)
	}
	slices.SortFunc(all, func(a, b AgentCount) int { return byBlocks(a.Blocks, b.Blocks, a.Name, b.Name) })
	return all
}

func (b *best) addresses(rules *names, loc *time.Location) []AddressCount {
	out := []AddressCount{}
	for _, e := range b.sorted() {
		out = append(out, AddressCount{
			Address: e.addr(), Blocks: uint64(e.blocks), Unblocks: uint64(e.unblocks),
			Rule:  rules.rule(e.rule),
			First: time.Unix(int64(e.first), 0).In(loc),
			Last:  time.Unix(int64(e.last), 0).In(loc), Returning: e.before,
		})
	}
	return out
}
