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
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// condition is how what is wanted of a target compares with what is in force.
type condition string

// The conditions.
const (
	blocked     condition = "blocked"       // leased and in force
	notInForce  condition = "not in force"  // leased, and packets come by
	waiting     condition = "waiting"       // leased, and the block could not be made yet
	lifting     condition = "lifting"       // given back, and lifting it failed
	notLeased   condition = "not asked for" // in force, leased by nobody
	whitelisted condition = "whitelisted"   // leased, and on the whitelist by now
)

// row is what is blocked as one in one response.
type row struct {
	Target   target.Target // an account, an address, or the network of those that hold it
	Response string
	State    condition
	Why      string // of a state that is not as it should be
	Shared   bool   // as enforcer.Block says
	// Counted reports whether Packets and Bytes were measured.
	Counted        bool
	Packets, Bytes uint64
	Holds          []held
}

// held is a lease as it is listed. It is small: there may be a hundred thousand.
type held struct {
	target                       target.Target
	net                          int8 // bits of the network that is blocked for it, or less than 1
	program, rule, alert, reason string
	since, until                 int64 // seconds, 0 for none
	state                        lease.State
}

func (h *held) block() target.Target {
	if h.net < 1 {
		return h.target
	}
	return target.Network(netip.PrefixFrom(h.target.Addr(), int(h.net)))
}

// compareHeld puts leases in order of what is blocked, target and program.
func compareHeld(a, b held) int {
	return cmp.Or(a.block().Compare(b.block()), a.target.Compare(b.target), cmp.Compare(a.program, b.program))
}

// text is the target with the length of its network: 2001:db8::7/64.
func (h *held) text() string {
	if h.net < 1 {
		return h.target.String()
	}
	return netip.PrefixFrom(h.target.Addr(), int(h.net)).String()
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

// snapshot is what one response has at one moment, in order of what is blocked.
type snapshot struct {
	name   string
	holds  []held
	blocks []enforcer.Block
	faults []string // of the place that the blocks live in
}

// filter chooses rows. Its zero value takes all.
type filter struct {
	target  target.Target // or a network that it is in
	program string
}

func (f filter) takes(block target.Target) bool {
	return !f.target.IsValid() || block == f.target || block.Contains(f.target.Addr())
}

// none is the answer where it takes nothing.
func (f filter) none() string {
	who, state := "nothing is ", "blocked"
	if f.target.IsValid() {
		who = f.target.String() + " is not "
	}
	if f.program != "" {
		state = "held by " + printable.Line(f.program)
	}
	return who + state
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
		if !f.takes(l.Blocks()) {
			return nil
		}
		s.holds = append(s.holds, held{
			target: l.Target, net: int8(l.Net.Bits()), program: same(l.Program), rule: same(l.RuleID),
			alert: l.AlertID, reason: same(l.Reason),
			since: seconds(l.Since), until: seconds(l.Until), state: l.State,
		})
		return nil
	}
	leaseErr := r.Leases.View(func(tx *lease.Tx) error {
		s.holds = s.holds[:0]
		if !f.target.IsValid() {
			s.holds = slices.Grow(s.holds, tx.Count(false)+tx.Count(true))
		}
		if !f.target.IsValid() || f.target.Is6() {
			return tx.All(take)
		}
		on, err := tx.On(f.target)
		for _, l := range on {
			err = errors.Join(err, take(l))
		}
		return err
	})
	slices.SortFunc(s.holds, compareHeld)
	listing, err := r.Enforcer.List(ctx)
	if absent(err) && len(s.holds) == 0 {
		err = nil // the response is not used on this host
	}
	s.blocks, s.faults = listing.Blocks, listing.Faults
	s.blocks = slices.DeleteFunc(s.blocks, func(b enforcer.Block) bool { return !f.takes(b.Target) })
	slices.SortFunc(s.blocks, func(a, b enforcer.Block) int { return a.Target.Compare(b.Target) })
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

// rows brings leases and blocks of all responses together, in order of target.
func rows(snapshots []snapshot, never *whitelist.Sieve, f filter) iter.Seq[row] {
	return func(yield func(row) bool) {
		rest := slices.Clone(snapshots)
		for {
			least := -1
			for i := range rest {
				if first := rest[i].first(); first.IsValid() && (least < 0 || first.Compare(rest[least].first()) < 0) {
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

// first is the lowest target that is left; the zero Target for none.
func (s *snapshot) first() target.Target {
	switch {
	case len(s.holds) == 0 && len(s.blocks) == 0:
		return target.Target{}
	case len(s.blocks) == 0 || len(s.holds) > 0 && s.holds[0].block().Compare(s.blocks[0].Target) < 0:
		return s.holds[0].block()
	}
	return s.blocks[0].Target
}

// next takes the row of the lowest target.
func (s *snapshot) next(never *whitelist.Sieve) row {
	r := row{Target: s.first(), Response: s.name}
	n := 0
	for n < len(s.holds) && s.holds[n].block() == r.Target {
		n++
	}
	r.Holds, s.holds = s.holds[:n:n], s.holds[n:]
	var block *enforcer.Block
	if len(s.blocks) > 0 && s.blocks[0].Target == r.Target {
		block, s.blocks = &s.blocks[0], s.blocks[1:]
		r.Shared = block.Shared
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
	entry, covered := "", false
	if wanted && never != nil {
		entry, covered = covers(never)(r.Target)
	}
	if block != nil && !covered && block.Never != "" {
		entry, covered = block.Never, true
	}
	switch {
	case len(r.Holds) == 0:
		r.State = notLeased
	case !wanted:
		r.State = lifting
	case covered:
		r.State, r.Why = whitelisted, entry
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
