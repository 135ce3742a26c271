package respond

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// condition says how the leases on an address and the block compare.
type condition string

const (
	stateBlocked   condition = "blocked"    // leased and in force
	stateMissing   condition = "missing"    // leased but not in force
	stateNotLeased condition = "not leased" // in force but held by nobody
	stateLifting   condition = "lifting"    // given back, but lifting it failed
)

// listed is one address in the output of list.
type listed struct {
	Address netip.Addr    `json:"address"`
	State   condition     `json:"state"`
	Packets *uint64       `json:"packets,omitempty"` // dropped; absent where they are not counted
	Bytes   *uint64       `json:"bytes,omitempty"`
	Leases  []lease.Lease `json:"leases"`
	inForce bool
	// misplaced tells that it is in force where another configuration put it.
	misplaced bool
}

func (p *call) list(ctx context.Context, asJSON bool) int {
	p.looking = true
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	leases, err := p.store.All()
	if err != nil {
		p.Complain(err) // what is in force can be shown without
	}
	blocks, err := p.enforcer.List(ctx)
	if err != nil {
		p.Complain(err)
		return app.ExitFailed
	}
	rows := compare(leases, blocks)
	if asJSON {
		enc := json.NewEncoder(p.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(struct {
			Response  string   `json:"response"`
			Addresses []listed `json:"addresses"`
		}{p.response.Name, slices.AppendSeq([]listed{}, rows)})
	} else {
		err = p.table(rows)
	}
	if err != nil {
		p.Complain(fmt.Errorf("writing the list: %w", err))
		return app.ExitFailed
	}
	return app.ExitOK
}

// compare brings leases, which are in order of address, and blocks together, in that order.
func compare(leases []lease.Lease, blocks []enforcer.Block) iter.Seq[listed] {
	slices.SortFunc(blocks, func(a, b enforcer.Block) int { return a.Addr.Compare(b.Addr) })
	return func(yield func(listed) bool) {
		leases, blocks := leases, blocks
		for len(leases) > 0 || len(blocks) > 0 {
			r := listed{Leases: []lease.Lease{}}
			if len(blocks) == 0 || len(leases) > 0 && leases[0].Addr.Compare(blocks[0].Addr) <= 0 {
				r.Address = leases[0].Addr
				n := 1
				for n < len(leases) && leases[n].Addr == r.Address {
					n++
				}
				r.Leases, leases = leases[:n:n], leases[n:]
			} else {
				r.Address = blocks[0].Addr
			}
			for len(blocks) > 0 && blocks[0].Addr == r.Address {
				b := &blocks[0]
				r.inForce, r.misplaced = true, r.misplaced || b.Misplaced
				if b.Counted {
					r.Packets, r.Bytes = &b.Packets, &b.Bytes
				}
				blocks = blocks[1:]
			}
			r.State = r.condition()
			if !yield(r) {
				return
			}
		}
	}
}

func (r listed) condition() condition {
	held := slices.ContainsFunc(r.Leases, func(l lease.Lease) bool { return !l.Lifting })
	switch {
	case held && r.inForce:
		return stateBlocked
	case held:
		return stateMissing
	case len(r.Leases) > 0:
		return stateLifting
	}
	return stateNotLeased
}

// line is one lease, or a block without one, as it is shown.
type line [8]string

// lines returns what is shown of the rows, beginning with the heading.
func lines(rows iter.Seq[listed]) iter.Seq[line] {
	return func(yield func(line) bool) {
		if !yield(line{"ADDRESS", "STATE", "SINCE", "HELD BY", "RULE", "ALERT", "PACKETS", "BYTES"}) {
			return
		}
		for r := range rows {
			leases := r.Leases
			if len(leases) == 0 {
				leases = []lease.Lease{{}}
			}
			for _, l := range leases {
				since := "-"
				if !l.Since.IsZero() {
					since = l.Since.Local().Format(time.DateTime)
				}
				if !yield(line{r.Address.String(), string(r.State), since, arlog.Word(l.Program), arlog.Word(l.RuleID), arlog.Word(l.AlertID),
					count(r.Packets), count(r.Bytes)}) {
					return
				}
			}
		}
	}
}

// table prints the rows in columns. It goes through them twice, for the widths first:
// a hundred thousand lines would take much memory at once.
func (p *call) table(rows iter.Seq[listed]) error {
	var widths [len(line{})]int
	n := 0
	for l := range lines(rows) {
		n++
		for i, cell := range l {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	out := bufio.NewWriter(p.Stdout)
	if n == 1 {
		fmt.Fprintln(out, "nobody is blocked")
		return out.Flush()
	}
	for l := range lines(rows) {
		for i, cell := range l[:len(l)-1] {
			fmt.Fprintf(out, "%-*s", widths[i]+2, cell)
		}
		fmt.Fprintln(out, l[len(l)-1])
	}
	return out.Flush() // it keeps the first error of any Fprintf
}

func count(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}
