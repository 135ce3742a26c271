package hold

import (
	"fmt"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/history"
	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// Escalation is the program that holds who was blocked before, so that the end of the daemon's timeout
// does not free him.
const Escalation = "escalate"

// escalate notes a block in the history and, when it is one of so many that a step is reached, holds
// the address for the time of that step. It returns until when, zero for no longer than asked. An
// account is never held longer: who attacks chooses the name, and whose it is did nothing.
func (h *Holder) escalate(l lease.Lease) (until time.Time, err error) {
	if len(h.Escalate) == 0 || l.Target.Account() != "" {
		return until, nil
	}
	now := h.Now().UTC()
	book := history.Book{Dir: h.Home.State(), Response: h.Kind.Name}
	before, err := book.Add(l.Blocks(), now)
	if err != nil {
		return until, fmt.Errorf("holding longer who was blocked before: %w", err)
	}
	for _, step := range h.Escalate {
		blocks := 1
		for _, at := range before {
			if now.Sub(at).Abs() < step.Within.Duration { // else the clock was ahead when it was noted
				blocks++
			}
		}
		if end := now.Add(step.Block.Duration); blocks >= step.After && end.After(until) {
			until = end
			l.Reason = fmt.Sprintf("blocked %d times within %s", blocks, step.Within.Duration)
		}
	}
	if until.IsZero() {
		return until, nil
	}
	l.Program, l.Until, l.Daemon = Escalation, until, nil
	if err := h.Leases.Update(func(tx *lease.Tx) error { return tx.Put(l) }); err != nil {
		return time.Time{}, err
	}
	return until, nil
}
