package stats

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// InForce is what is blocked now, by the leases.
type InForce struct {
	Addresses int      `json:"addresses"` // different ones
	Leases    []Leased `json:"leases"`
}

// Leased is one hold on an address.
type Leased struct {
	Address  netip.Addr `json:"address"`
	Response string     `json:"response"` // whose enforcer holds it: "firewall-drop"
	Program  string     `json:"program"`  // as it was called
	Rule     string     `json:"rule"`
	Since    time.Time  `json:"since"`
}

// leaseWait is how long to wait for a response that is at its leases.
const leaseWait = 2 * time.Second

// leases returns the leases of one response that block something.
func leases(state, response string) ([]Leased, error) {
	store := lease.New(state, response)
	store.Wait = leaseWait
	var held []Leased
	err := store.View(func(tx *lease.Tx) error {
		held = held[:0]
		return tx.All(func(l lease.Lease) error {
			if l.State == lease.Held {
				held = append(held, Leased{l.Target.Addr(), response, l.Program,
					cmp.Or(l.RuleID, NoRule), l.Since})
			}
			return nil
		})
	})
	return held, err
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
	addrs := map[netip.Addr]bool{}
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
			if f.wantsResponse(l.Program) && f.wantsRule(l.Rule) && f.wantsAddr(l.Address) {
				addrs[l.Address] = true
				in.Leases = append(in.Leases, l)
			}
		}
	}
	in.Addresses = len(addrs)
	slices.SortStableFunc(in.Leases, func(a, b Leased) int { return a.Address.Compare(b.Address) })
	return in, errors.Join(errs...)
}
