package outbox

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"time"
)

// Progress is what the deliverer has to remember from one run to the next.
type Progress struct {
	Sent []sending `json:"sent"` // in the last hour, oldest first
	// Mailed is when an item of each key was last sent, for as long as that counts.
	Mailed map[string]time.Time `json:"mailed"`
	// Failures counts the attempts in a row in which the server as a whole failed; Retry is
	// when to try again.
	Failures int       `json:"failures,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`
	Error    string    `json:"error,omitempty"`
	// Deferred is the same for single recipients.
	Deferred map[string]deferral `json:"deferred,omitempty"`
	// Counted is how many items had no room and no message has mentioned yet.
	Counted int `json:"counted,omitempty"`
}

// sending is one message that was sent.
type sending struct {
	At     time.Time `json:"at"`
	Digest bool      `json:"digest,omitempty"`
}

type deferral struct {
	Failures int       `json:"failures"`
	Retry    time.Time `json:"retry"`
}

const progressFile = "progress"

// load reads the progress; what cannot be read begins anew.
func (b *Box) load() (Progress, error) {
	var p Progress
	_, err := b.readJSON("", progressFile, &p)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		p = Progress{}
	}
	if p.Mailed == nil {
		p.Mailed = map[string]time.Time{}
	}
	if p.Deferred == nil {
		p.Deferred = map[string]deferral{}
	}
	return p, err
}

func (b *Box) save(p Progress) error {
	if err := b.write("", progressFile, p); err != nil {
		return fmt.Errorf("writing the progress of the %s queue: %w", b.name, err)
	}
	return nil
}

// forget drops what no longer counts, and what a clock that was set back left in the future.
func (p *Progress) forget(now time.Time, coalesce time.Duration) {
	pace := pace{sent: p.Sent}
	pace.forget(now)
	p.Sent = pace.sent
	if p.Retry.Sub(now) > maxBackoff {
		p.Retry = time.Time{}
	}
	maps.DeleteFunc(p.Mailed, func(_ string, at time.Time) bool {
		return now.Sub(at) >= coalesce || at.After(now)
	})
	maps.DeleteFunc(p.Deferred, func(_ string, d deferral) bool {
		return now.Sub(d.Retry) > 24*time.Hour || d.Retry.Sub(now) > maxBackoff
	})
}
