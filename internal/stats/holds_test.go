package stats

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestHolds(t *testing.T) {
	tab := newTable(100, 0)
	k := fourKey(1)
	e := at(tab, k)
	program := func(n uint16) holder { return holder{program: n} }
	for n := range uint16(5) {
		tab.hold(e, program(n), 100+uint32(n))
	}
	for n := range uint16(5) {
		tab.hold(e, program(n), 200) // renewed: it lasts since before
	}
	for n, want := range []uint32{100, 101, 102, 103, 104, 0} {
		if got := tab.release(e, k, program(uint16(n))); got != want {
			t.Errorf("program %d: since %d, want %d", n, got, want)
		}
		if got := tab.release(e, k, program(uint16(n))); got != 0 {
			t.Errorf("program %d: since %d after its end", n, got)
		}
	}
}

// What is forgotten for want of room is counted, and the latest are not all forgotten.
func TestHoldsAreBounded(t *testing.T) {
	tab := newTable(100, 0)
	e := at(tab, fourKey(1))
	const beyond = 1000
	by := func(n int) holder { return holder{uint16(n), uint16(n >> 16)} }
	for n := range holdsPerAddress + maxMoreHolds + beyond {
		tab.hold(e, by(n), uint32(n+1))
	}
	known := 0
	for n := range holdsPerAddress + maxMoreHolds + beyond {
		if tab.release(e, e.key, by(n)) != 0 {
			known++
		}
	}
	if known != holdsPerAddress+maxMoreHolds || tab.holds.forgotten != beyond {
		t.Errorf("%d known, %d forgotten", known, tab.holds.forgotten)
	}
	// Those of addresses that are forgotten too.
	tab = newTable(100, 0)
	for n := range uint32(101) {
		tab.hold(at(tab, fourKey(n)), by(1), 1)
	}
	if held := len(tab.entries); tab.holds.forgotten != uint64(101-held) || held > 100 {
		t.Errorf("%d held, %d forgotten", held, tab.holds.forgotten)
	}
}

// One address that many hold at once, by programs here or on agents.
func TestManyHoldOneAddress(t *testing.T) {
	h := newHost(t)
	at := h.now.Add(-time.Hour)
	unblock := strings.NewReplacer(" add - ", " delete - ", "Blocked IP", "Unblocked IP")
	var log, alerts [2]string // blocks, unblocks
	for n := range 20 {
		from, until := at.Add(time.Duration(n)*time.Second), at.Add(time.Duration(10+n)*time.Minute)
		program := strings.NewReplacer("/firewall-drop ", fmt.Sprintf("/block-%d ", n))
		log[0] += program.Replace(line(from, "203.0.113.7"))
		log[1] += program.Replace(unblock.Replace(line(until, "203.0.113.7")))
		agent := fmt.Sprintf("agent%d", n)
		alerts[0] += fromAgent(from, agent, "203.0.113.7")
		alerts[1] += unblock.Replace(fromAgent(until, agent, "203.0.113.7"))
	}
	h.write("logs/active-responses.log", log[0]+log[1], h.now)
	h.write("logs/alerts/alerts.log", alerts[0]+alerts[1], h.now)
	for _, source := range []string{"--date=today", "--alerts"} {
		if out := h.must(source); !strings.Contains(out, "Blocks that ended: 20, lasting 18m 51s in the median, 28m 41s at the longest (203.0.113.7)") {
			t.Errorf("%s:\n%s", source, out)
		}
	}
}

// The report says so when beginnings were forgotten.
func TestForgottenHoldsAreTold(t *testing.T) {
	c := &collected{tally: newTally(Period{}, time.UTC)}
	c.tally.addrs.holds.forgotten = 7
	c.remarks(want{})
	if len(c.notes) != 1 || !strings.Contains(c.notes[0], "the beginnings of 7 blocks were forgotten") {
		t.Errorf("%q", c.notes)
	}
}
