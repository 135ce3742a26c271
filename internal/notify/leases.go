package notify

import (
	"errors"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// responses are those whose leases say whether an address is blocked.
var responses = []string{"firewall-drop", "host-deny", "route-null", "ip-customblock"}

// leaseWait bounds the waiting for a lease file that others use.
const leaseWait = time.Second

// leased returns who holds addr, and when the last of them renewed that.
func leased(home ossec.Home, addr netip.Addr) (s notice.Standing, renewed time.Time) {
	var faults []error
	for _, response := range responses {
		store := lease.New(home.State(), response)
		store.Wait = leaseWait
		leases, err := store.On(target.Of(addr))
		faults = append(faults, err)
		for _, l := range leases {
			switch l.State {
			case lease.Held:
				h := notice.Holder{Program: printable.Line(l.Program),
					RuleID: printable.Line(l.RuleID), Since: l.Since, Until: l.Until}
				s.Holders = append(s.Holders, h)
				if l.Renewed.After(renewed) {
					renewed = l.Renewed
				}
			case lease.Lifting:
				s.Lifting = append(s.Lifting, printable.Line(l.Program))
			case lease.Waiting:
				s.Waiting = append(s.Waiting, printable.Line(l.Program))
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		s.Unknown = printable.Error(err)
	}
	return s, renewed
}
