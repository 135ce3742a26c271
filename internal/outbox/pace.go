package outbox

import (
	"errors"
	"time"
)

// pace decides when messages may go. At most `most` are sent in any hour. The first two
// thirds of them may go at once, one for each item; while more items wait than there is
// room for, they go together in digests, with growing pauses between, and the last third
// of the hour's messages is spread over the hour. So a burst is reported at once, a flood
// costs few messages, and no hour uses up its messages at its beginning.
type pace struct {
	most int
	sent []sending // in the last hour, oldest first
}

const hour = time.Hour

// forget drops what is older than an hour.
func (p *pace) forget(now time.Time) {
	for len(p.sent) > 0 && now.Sub(p.sent[0].At) >= hour {
		p.sent = p.sent[1:]
	}
	for len(p.sent) > 0 && p.sent[len(p.sent)-1].At.After(now) { // the clock was set back
		p.sent = p.sent[:len(p.sent)-1]
	}
}

// burst is how many messages may go without pauses.
func (p *pace) burst() int { return max(1, p.most*2/3) }

// firstDigestPause is the pause before the second digest of an hour; it doubles.
const firstDigestPause = 10 * time.Second

// next returns how many of the waiting items the next message is to hold, and when it may
// go at the earliest. waiting is at least 1.
func (p *pace) next(now time.Time, waiting int) (together int, at time.Time) {
	p.forget(now)
	if len(p.sent) >= p.most {
		return waiting, p.sent[0].At.Add(hour)
	}
	room := p.burst() - len(p.sent)
	if waiting <= room {
		return 1, now
	}
	if len(p.sent) == 0 {
		return waiting, now
	}
	spread := hour / time.Duration(max(1, p.most-p.burst()))
	pause := spread
	if room > 0 {
		digests := 0
		for _, s := range p.sent {
			if s.Digest {
				digests++
			}
		}
		pause = min(spread, firstDigestPause<<min(digests, 10))
	}
	if at = p.sent[len(p.sent)-1].At.Add(pause); at.Before(now) {
		at = now
	}
	return waiting, at
}

const (
	firstBackoff = 15 * time.Second
	maxBackoff   = 30 * time.Minute
)

// backoff is the pause after that many failures in a row.
func backoff(failures int) time.Duration { return min(maxBackoff, firstBackoff<<min(failures-1, 10)) }

// pause is the one after that many failures in a row, of which the last is err: as long as that asks
// for, by a method RetryAfter.
func pause(failures int, err error) time.Duration {
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) && asks.RetryAfter() > 0 {
		return min(asks.RetryAfter(), maxBackoff)
	}
	return backoff(failures)
}
