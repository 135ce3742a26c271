package respond

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/program"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// state says how the leases on an address and the block compare.
type state string

const (
	stateBlocked   state = "blocked"    // leased and in force
	stateMissing   state = "missing"    // leased but not in force
	stateNotLeased state = "not leased" // in force but held by nobody
	stateLifting   state = "lifting"    // given back, but lifting it failed
)

// listed is one address in the output of list.
type listed struct {
	Address netip.Addr    `json:"address"`
	State   state         `json:"state"`
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
		return program.ExitFailed
	}
	rows := compare(leases, blocks)
	if asJSON {
		enc := json.NewEncoder(p.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(struct {
			Response  string   `json:"response"`
			Addresses []listed `json:"addresses"`
		}{p.response.Name, rows})
	} else {
		err = p.table(rows)
	}
	if err != nil {
		p.Complain(fmt.Errorf("writing the list: %w", err))
		return program.ExitFailed
	}
	return program.ExitOK
}

// compare brings leases, which are in order of address, and blocks together, in that order.
func compare(leases []lease.Lease, blocks []enforcer.Block) []listed {
	slices.SortFunc(blocks, func(a, b enforcer.Block) int { return a.Addr.Compare(b.Addr) })
	rows := make([]listed, 0, max(len(leases), len(blocks)))
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
		r.State = r.state()
		rows = append(rows, r)
	}
	return rows
}

func (r listed) state() state {
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

func (p *call) table(rows []listed) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(p.Stdout, "nobody is blocked")
		return err
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ADDRESS\tSTATE\tSINCE\tHELD BY\tRULE\tALERT\tPACKETS\tBYTES")
	for _, r := range rows {
		leases := r.Leases
		if len(leases) == 0 {
			leases = []lease.Lease{{}}
		}
		for _, l := range leases {
			since := "-"
			if !l.Since.IsZero() {
				since = l.Since.Local().Format(time.DateTime)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Address, r.State, since,
				arlog.Word(l.Program), arlog.Word(l.RuleID), arlog.Word(l.AlertID), count(r.Packets), count(r.Bytes))
		}
	}
	return w.Flush() // the writer keeps the first error of any Fprintf
}

func count(n *uint64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}
