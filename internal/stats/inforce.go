package stats

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// InForce is what is blocked now, as the leases have it.
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

// readInForce reads the leases of all responses. It returns what it could read even with
// an error; a missing folder holds nothing.
func readInForce(state string, f *Filter) (*InForce, error) {
	files, err := filepath.Glob(filepath.Join(state, "*.db"))
	if err == nil {
		_, err = os.ReadDir(state) // Glob tells nothing of a folder that may not be read
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	in := &InForce{Leases: []Leased{}}
	errs := []error{err}
	addrs := map[netip.Addr]bool{}
	for _, file := range files {
		response := strings.TrimSuffix(filepath.Base(file), ".db")
		store := lease.New(state, response)
		store.Wait = leaseWait
		leases, err := store.All()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", response, err))
		}
		for _, l := range leases {
			if l.Lifting || !f.wantsResponse(l.Program) || !f.wantsRule(l.RuleID) || !f.wantsAddr(l.Addr) {
				continue
			}
			addrs[l.Addr] = true
			in.Leases = append(in.Leases, Leased{l.Addr, response, l.Program, l.RuleID, l.Since})
		}
	}
	in.Addresses = len(addrs)
	slices.SortStableFunc(in.Leases, func(a, b Leased) int { return a.Address.Compare(b.Address) })
	return in, errors.Join(errs...)
}
