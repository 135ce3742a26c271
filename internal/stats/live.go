package stats

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Live counts today's lines, and goes on with those that are added to the log.
type Live struct {
	query   Query
	now     func() time.Time
	each    func(Event)
	log     follower
	today   *tally
	decoder *decoder
}

// Event is something that counts. Texts in it may come from outside.
type Event struct {
	When time.Time
	// Outcome is "blocked", "unblocked", "whitelisted", "still held", "skipped", "FAILED",
	// "warning", "locked", "unlocked", "ran" or "imported".
	Outcome string
	Address netip.Addr // invalid for none
	Program string
	Rule    string // "" for none
}

var outcomeNames = [...]string{
	blocked: "blocked", unblocked: "unblocked", whitelisted: "whitelisted", stillHeld: "still held",
	skipped: "skipped", failed: "FAILED", warned: "warning", locked: "locked", unlocked: "unlocked",
	ran: "ran", imported: "imported",
}

// Follow reads what the query's log holds of today, exactly up to where it is followed
// from. each is called with every event that counts.
func Follow(q Query, now func() time.Time, each func(Event)) (*Live, error) {
	l := &Live{query: q, now: now, each: each, log: follower{path: q.Log}}
	id, size, err := l.log.toEnd()
	if err != nil {
		return nil, fmt.Errorf("following the log: %w", err)
	}
	l.query.Now = now()
	l.query.Period = Today(l.query.Now)
	l.query.upTo = map[fileID]int64{id: size}
	l.newDay()
	if found := l.query.collect(l.today); len(found.failures) > 0 {
		return nil, errors.Join(append(found.failures, l.log.close())...)
	}
	return l, nil
}

// Close ends following.
func (l *Live) Close() error { return l.log.close() }

// newDay begins the day of l.query.
func (l *Live) newDay() {
	t := newTally(l.query.Period, l.query.Now.Location())
	t.counted = func(e *event) {
		out := Event{
			When: time.Unix(e.when, 0).In(l.query.Now.Location()), Outcome: outcomeNames[e.kind],
			Program: t.programs.text(e.program), Rule: t.rules.text(e.rule),
		}
		if e.kind != imported && e.addr != (key{}) {
			out.Address = e.addr.addr()
		}
		l.each(out)
	}
	if l.today != nil { // events that wait have the numbers of these names
		t.programs, t.rules, t.waiting = l.today.programs, l.today.rules, l.today.waiting
	}
	l.today, l.decoder = t, l.query.newDecoder(t)
}

// Look counts what was added, and begins a new day when there is one. Late lines of the day
// before are events, and count no more.
func (l *Live) Look() error {
	if now := l.now(); now.Unix() >= l.today.until {
		l.query.Now, l.query.Period = now, Today(now)
		l.newDay()
	}
	lines := 0
	err := l.log.poll(func(line string) {
		lines++
		var e event
		if line == "\n" || !l.decoder.decode(line, &e) {
			return
		}
		if e.kind == unreadable {
			e.when = l.now().Unix()
		}
		l.today.add(&e)
	})
	if lines == 0 { // nothing more will come of what waits
		l.today.settle()
	}
	return err
}

// Report reports what happened today so far.
func (l *Live) Report() *Report {
	return (&collected{tally: l.today}).report(&l.query, SourceResponses)
}
