package stats

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// InForce is what is blocked now, by the leases.
type InForce struct {
	Addresses int      `json:"addresses"` // different ones, and networks
	Accounts  int      `json:"accounts"`
	Leases    []Leased `json:"leases"`
}

// Leased is one hold on an address, a network or an account.
type Leased struct {
	Target   target.Target `json:"-"`
	Address  string        `json:"address"`           // or network, "" of an account
	Account  string        `json:"account,omitempty"` // "" of an address
	Response string        `json:"response"`          // whose enforcer holds it: "firewall-drop"
	Program  string        `json:"program"`           // as it was called
	Rule     string        `json:"rule"`
	Since    time.Time     `json:"since"`
}

// leaseWait is how long to wait for a response that is at its leases.
const leaseWait = 2 * time.Second

// leases returns the leases of one response that block something.
func leases(state, response string) ([]Leased, error) {
	store := lease.New(state, response)
	store.Wait = leaseWait
	var held []Leased
	err := store.Each(func(l lease.Lease) error {
		if l.State == lease.Held {
			held = append(held, leased(response, l))
		}
		return nil
	})
	return held, err
}

func leased(response string, l lease.Lease) Leased {
	out := Leased{Target: l.Target, Account: l.Target.Account(), Response: response, Program: l.Program,
		Rule: cmp.Or(l.RuleID, NoRule), Since: l.Since}
	if out.Account == "" {
		out.Address = l.Target.String()
	}
	return out
}

// ReadInForce reads the leases of all responses in the folder state. It returns what it
// could read also with an error; a missing folder holds nothing.
func ReadInForce(state string, f *Filter) (*InForce, error) {
	in := &InForce{Leases: []Leased{}}
	var errs []error
	entries, err := os.ReadDir(state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		response, ok := strings.CutSuffix(entry.Name(), ".db")
		if !ok {
			continue
		}
		held, err := leases(state, response)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", response, err))
		}
		for _, l := range held {
			if f.wantsResponse(l.Program) && f.wantsRule(l.Rule) && f.wantsAddr(l.Target.Addr()) {
				in.Leases = append(in.Leases, l)
			}
		}
	}
	in.count()
	return in, errors.Join(errs...)
}

// count sorts the leases and counts what they are on.
func (in *InForce) count() {
	slices.SortFunc(in.Leases, func(a, b Leased) int {
		return cmp.Or(a.Target.Compare(b.Target), cmp.Compare(a.Response, b.Response),
			cmp.Compare(a.Program, b.Program))
	})
	for i, l := range in.Leases {
		switch {
		case i > 0 && in.Leases[i-1].Target == l.Target:
		case l.Account != "":
			in.Accounts++
		default:
			in.Addresses++
		}
	}
}
