package stats

import (
	"strings"
	"testing"
	"time"
)

func TestHolds(t *testing.T) {
	tab := newTable(100)
	k := fourKey(1)
	e := tab.at(k)
	program := func(n uint16) holder { return holder{response: n} }
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

// What is forgotten for want of room is counted.
func TestHoldsAreBounded(t *testing.T) {
	tab := newTable(100)
	e := tab.at(fourKey(1))
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
	tab = newTable(100)
	for n := range uint32(101) {
		tab.hold(tab.at(fourKey(n)), by(1), 1)
	}
	if held := len(tab.entries); tab.holds.forgotten != uint64(101-held) || held > 100 {
		t.Errorf("%d held, %d forgotten", held, tab.holds.forgotten)
	}
}

// The report says so when beginnings were forgotten.
func TestForgottenHoldsAreNoted(t *testing.T) {
	c := &collected{tally: newTally(Period{}, time.UTC)}
	c.tally.addrs.holds.forgotten = 7
	c.remarks(want{})
	if len(c.notes) != 1 || !strings.Contains(c.notes[0], "the beginnings of 7 blocks were forgotten") {
		t.Errorf("%q", c.notes)
	}
}
