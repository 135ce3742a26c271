package control

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// condition is how what is wanted of an address compares with what is in force.
type condition string

// The conditions.
const (
	blocked     condition = "blocked"      // leased and in force
	notInForce  condition = "not in force" // leased, and packets come by
	waiting     condition = "waiting"      // leased, and the block could not be made yet
	lifting     condition = "lifting"      // given back, and lifting it failed
	notLeased   condition = "not leased"   // in force, leased by nobody
	whitelisted condition = "whitelisted"  // leased, and on the whitelist by now
)

// row is one address in one response.
type row struct {
	Addr     netip.Addr
	Response string
	State    condition
	Why      string // of a state that is not as it should be
	// Counted reports whether Packets and Bytes were measured.
	Counted        bool
	Packets, Bytes uint64
	Holds          []held
}

// held is a lease as it is listed. It is small: there may be a hundred thousand.
type held struct {
	addr                         netip.Addr
	program, rule, alert, reason string
	since, until                 int64 // seconds, 0 for none
	state                        lease.State
}

func moment(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// snapshot is what one response has at one moment, in order of address.
type snapshot struct {
	name   string
	holds  []held
	blocks []enforcer.Block
	faults []string // of the place that the blocks live in
}

// filter chooses rows. Its zero value takes all.
type filter struct {
	addr    netip.Addr
	program string
}

// snapshot reads leases and blocks. What could be read counts even when there is an error. The
// leases are locked only while they are read.
func (r *response) snapshot(ctx context.Context, f filter) (snapshot, error) {
	s := snapshot{name: r.Kind.Name}
	programs := map[string]string{} // one text for all leases of a program or rule
	same := func(text string) string {
		if known, ok := programs[text]; ok {
			return known
		}
		programs[text] = text
		return text
	}
	take := func(l lease.Lease) error {
		s.holds = append(s.holds, held{
			addr: l.Addr, program: same(l.Program), rule: same(l.RuleID),
			alert: l.AlertID, reason: same(l.Reason),
			since: seconds(l.Since), until: seconds(l.Until), state: l.State,
		})
		return nil
	}
	leaseErr := r.Leases.View(func(tx *lease.Tx) error {
		s.holds = s.holds[:0]
		if !f.addr.IsValid() {
			return tx.All(take)
		}
		on, err := tx.On(f.addr)
		for _, l := range on {
			err = errors.Join(err, take(l))
		}
		return err
	})
	listing, err := r.Enforcer.List(ctx)
	if absent(err) && len(s.holds) == 0 {
		err = nil // the response is not used on this host
	}
	s.blocks, s.faults = listing.Blocks, listing.Faults
	if f.addr.IsValid() {
		s.blocks = slices.DeleteFunc(s.blocks, func(b enforcer.Block) bool { return b.Addr != f.addr })
	}
	slices.SortFunc(s.blocks, func(a, b enforcer.Block) int { return a.Addr.Compare(b.Addr) })
	return s, r.about(errors.Join(leaseErr, err))
}

// snapshots reads all chosen responses. What could not be read is reported, and failed is set.
func (t *tool) snapshots(ctx context.Context, f filter) (all []snapshot,
	never *whitelist.Sieve, failed bool) {
	opened, failed := t.openAll(true)
	leased := false
	for _, r := range opened {
		s, err := r.snapshot(ctx, f)
		if err != nil {
			t.Complain(err)
			failed = true
		}
		leased = leased || len(s.holds) > 0
		all = append(all, s)
	}
	if leased {
		never, _ = t.whitelist() // check reports the faults
	}
	return all, never, failed
}

// rows brings leases and blocks of all responses together, in order of address.
func rows(snapshots []snapshot, never *whitelist.Sieve, f filter) iter.Seq[row] {
	return func(yield func(row) bool) {
		rest := slices.Clone(snapshots)
		for {
			least := -1
			for i := range rest {
				if addr := rest[i].first(); addr.IsValid() && (least < 0 || addr.Less(rest[least].first())) {
					least = i
				}
			}
			if least < 0 {
				return
			}
			r := rest[least].next(never)
			if f.program != "" {
				r.Holds = slices.DeleteFunc(slices.Clone(r.Holds),
					func(h held) bool { return h.program != f.program })
				if len(r.Holds) == 0 {
					continue
				}
			}
			if !yield(r) {
				return
			}
		}
	}
}

// first is the lowest address that is left; the zero Addr for none.
func (s *snapshot) first() netip.Addr {
	switch {
	case len(s.holds) == 0 && len(s.blocks) == 0:
		return netip.Addr{}
	case len(s.blocks) == 0 || len(s.holds) > 0 && s.holds[0].addr.Less(s.blocks[0].Addr):
		return s.holds[0].addr
	}
	return s.blocks[0].Addr
}

// next takes the row of the lowest address.
func (s *snapshot) next(never *whitelist.Sieve) row {
	r := row{Addr: s.first(), Response: s.name}
	n := 0
	for n < len(s.holds) && s.holds[n].addr == r.Addr {
		n++
	}
	r.Holds, s.holds = s.holds[:n:n], s.holds[n:]
	var block *enforcer.Block
	if len(s.blocks) > 0 && s.blocks[0].Addr == r.Addr {
		block, s.blocks = &s.blocks[0], s.blocks[1:]
		r.Counted, r.Packets, r.Bytes = block.Counted, block.Packets, block.Bytes
	}
	r.judge(block, never)
	return r
}

// judge finds the state of a row.
func (r *row) judge(block *enforcer.Block, never *whitelist.Sieve) {
	wanted, wait := false, ""
	for _, h := range r.Holds {
		wanted = wanted || h.state != lease.Lifting
		if h.state == lease.Waiting {
			wait = cmp.Or(h.reason, "the block could not be made")
		}
	}
	match, covered := whitelist.Match{}, false
	if wanted && never != nil {
		match, covered = never.Match(r.Addr)
	}
	switch {
	case len(r.Holds) == 0:
		r.State = notLeased
	case !wanted:
		r.State = lifting
	case covered:
		r.State, r.Why = whitelisted, match.String()
	case block != nil && block.Open == "":
		r.State = blocked
	case block != nil:
		r.State, r.Why = notInForce, block.Open
	case wait != "":
		r.State, r.Why = waiting, wait
	default:
		r.State, r.Why = notInForce, "the block is missing"
	}
}

func (r *row) state() string {
	if r.Why == "" {
		return string(r.State)
	}
	return string(r.State) + ": " + printable.Line(r.Why)
}

// colour is that of the state.
func (r *row) colour() string {
	switch r.State {
	case blocked:
		return good
	case notInForce, waiting:
		return bad
	}
	return alert
}
