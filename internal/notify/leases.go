package notify

import (
	"errors"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// responses are those whose leases say whether an address is blocked.
var responses = []string{"firewall-drop", "host-deny", "route-null", "ip-customblock"}

// locking is the response whose leases say whether an account is locked.
const locking = "disable-account"

// leaseWait bounds the waiting for a lease file that others use.
const leaseWait = time.Second

// leased returns who holds the address and the account of a notice, and when the last of those who
// hold the address renewed that.
func (o *office) leased(n *notice.Notice) (s notice.Standing, renewed time.Time) {
	var faults []error
	each := func(response string, of target.Target, visit func(lease.Lease)) {
		if !of.IsValid() {
			return
		}
		store := lease.New(o.Home.State(), response)
		store.Wait = leaseWait
		leases, err := store.On(of)
		faults = append(faults, err)
		if len(leases) > 0 {
			s.Responses = append(s.Responses, response)
		}
		for _, l := range leases {
			visit(l)
		}
	}
	for _, response := range responses {
		each(response, target.Of(n.Addr), func(l lease.Lease) {
			switch l.State {
			case lease.Held:
				s.Holders = append(s.Holders, o.holder(l))
				if l.Renewed.After(renewed) {
					renewed = l.Renewed
				}
			case lease.Lifting:
				s.Lifting = append(s.Lifting, printable.Line(l.Program))
			case lease.Waiting:
				s.Waiting = append(s.Waiting, failure(l))
			}
		})
	}
	each(locking, target.Account(n.Account()), func(l lease.Lease) {
		switch l.State {
		case lease.Held:
			s.Locked = append(s.Locked, o.holder(l))
		case lease.Waiting:
			s.Unlocked = append(s.Unlocked, failure(l))
		}
	})
	if err := errors.Join(faults...); err != nil {
		s.Unknown = printable.Error(err)
	}
	return s, renewed
}

// failure is what a notice says of a lease that waits.
func failure(l lease.Lease) notice.Failure {
	return notice.Failure{Program: printable.Line(l.Program), Why: printable.Line(l.Reason)}
}

// holder is what a notice says of a lease. When one without an end of its own ends is for its daemon
// to say, by the timeouts in ar.conf.
func (o *office) holder(l lease.Lease) notice.Holder {
	h := notice.Holder{Program: printable.Line(l.Program), RuleID: printable.Line(l.RuleID), Since: l.Since,
		Until: l.Until}
	if !l.Until.IsZero() {
		return h
	}
	if o.timeouts == nil {
		timeouts, _ := ossec.ReadTimeouts(o.Home) // what could be read counts
		o.timeouts = &timeouts
	}
	h.AtMost, _ = o.timeouts.Longest(l.Program)
	byHand := l.Daemon == nil && l.AlertID == ""
	h.Endless = byHand || o.timeouts.Endless(l.Program)
	return h
}
