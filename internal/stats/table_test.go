package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// fourKey is the key of an IPv4 address.
func fourKey(n uint32) key {
	return keyOf(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}))
}

// Beyond its limit the table still has the most blocked addresses, and no count is too low
// by more than it says.
func TestTableBeyondItsLimit(t *testing.T) {
	const limit, others, rounds = 1000, 50_000, 200
	tab := newTable(limit)
	random := rand.New(rand.NewPCG(1, 2))
	truth := map[key]uint32{}
	block := func(n uint64) {
		k := fourKey(uint32(n))
		truth[k]++
		tab.block(tab.at(k), &event{when: 1_800_000_000})
	}
	for range rounds {
		for n := range uint64(20 * 20) { // these 20 are the worst
			block(n % 20)
		}
		for range 1000 {
			block(1000 + random.Uint64N(others))
		}
	}
	if len(tab.entries) > limit || tab.under == 0 {
		t.Fatalf("%d addresses, off by %d", len(tab.entries), tab.under)
	}
	for k, n := range truth {
		e := tab.find(k)
		if e == nil {
			e = &entry{} // forgotten
		}
		if e.blocks > n || e.blocks+tab.under < n {
			t.Fatalf("%v: counted %d, was %d, off by %d at most", k.addr(), e.blocks, n, tab.under)
		}
	}
	b := best{most: 20}
	tab.each(b.offer)
	for _, e := range b.sorted() {
		if a := e.addr().As4(); a[0]|a[1]|a[2] != 0 || a[3] >= 20 {
			t.Errorf("%v is among the first 20", e.addr())
		}
	}
	if got, want := float64(tab.blockedAddresses()), float64(len(truth)); math.Abs(got-want) > want*0.05 {
		t.Errorf("about %.0f addresses, are %.0f", got, want)
	}
}

// A clock that was set back just where one chunk ends and the next begins was set back, too.
func TestClockBackBetweenChunks(t *testing.T) {
	tally := newTally(Period{}, time.UTC)
	for _, when := range []int64{1_800_003_600, 1_800_000_000, 1_800_001_000} {
		tally.addChunk(&chunk{low: when, high: when, current: when})
	}
	if tally.back != 3600 {
		t.Errorf("set back by %d seconds, want 3600", tally.back)
	}
}

func TestTableExact(t *testing.T) {
	tab := newTable(maxAddresses)
	random := rand.New(rand.NewPCG(1, 2))
	truth := map[key]uint32{}
	for range 100_000 {
		k := key{random.Uint64N(2), random.Uint64N(30_000)}
		if k == (key{}) {
			continue
		}
		truth[k]++
		tab.at(k).blocks++
	}
	n := 0
	tab.each(func(e *entry) {
		n++
		if truth[e.key] != e.blocks {
			t.Fatalf("%v: %d, want %d", e.key, e.blocks, truth[e.key])
		}
	})
	if n != len(truth) || tab.blockedAddresses() != uint64(n) || tab.under != 0 {
		t.Errorf("%d addresses, want %d", n, len(truth))
	}
}

// What lies before the period does not take its room.
func TestTableEarly(t *testing.T) {
	tab := newTable(100)
	for n := range uint64(1000) {
		k := key{low: n + 1}
		e := tab.early(k)
		e.before, e.last = true, uint32(n+1)
	}
	if n := len(tab.entries); n > 50 || n < 20 || !tab.full {
		t.Errorf("%d of 100", n)
	}
	for n := range uint64(20) {
		k := key{low: 1000 - n}
		if e := tab.find(k); e == nil || !e.before {
			t.Errorf("forgot %d, one of the last", k.low)
		}
	}
}

// Tables that share room are bounded together.
func TestTablesShareRoom(t *testing.T) {
	spare := 64
	for range 50 {
		tab := newTable(1000)
		tab.spare = &spare
		for n := range uint64(100) {
			k := key{low: n + 1}
			tab.at(k).blocks++
		}
		if n := len(tab.entries); n > tab.room || tab.room > 64+leastRoom || cap(tab.entries) < n || len(tab.index) < 2*n {
			t.Fatalf("%d in room for %d", n, tab.room)
		}
	}
	if spare < 0 {
		t.Errorf("spare is %d", spare)
	}
}

func TestLengths(t *testing.T) {
	var l lengths
	for _, s := range []uint32{600, 600, 10, 3600, 100_000, 601, 90_000} {
		l.add(s, key{low: uint64(s)})
	}
	if l.median() != 601 || l.longest != 100_000 || l.of != (key{low: 100_000}) {
		t.Errorf("median %d, longest %d of %v", l.median(), l.longest, l.of)
	}
	for s := range uint32(60_000) {
		l.add(100_000+s, key{low: 1})
	}
	if m := l.median(); m > 130_000 || m < 129_000 {
		t.Errorf("median %d", m)
	}
	var even lengths
	for _, s := range []uint32{20_000, 10_000} {
		even.add(s, key{low: 1})
	}
	if even.median() != 10_000 {
		t.Errorf("of two, the median is %d, want the lower one", even.median())
	}
}

// Very many agents and addresses stay within bounds.
func TestFleetIsBounded(t *testing.T) {
	tally := newTally(Period{}, time.UTC)
	for n := range uint64(maxAgents + 10) {
		id := tally.agents.of(fmt.Sprintf("agent%d", n))
		for a := range uint64(30) {
			tally.add(&event{addr: fourKey(uint32(a)), when: 1_800_000_000, agent: id})
		}
	}
	room := 0
	for _, a := range tally.byAgent {
		if a != nil {
			room += a.addrs.room
		}
	}
	if len(tally.byAgent) > maxAgents || room > agentRoom+leastRoom*maxAgents {
		t.Errorf("%d agents, room for %d", len(tally.byAgent), room)
	}
	if total := tally.total(); total.Blocks != (maxAgents+10)*30 {
		t.Errorf("%d blocks", total.Blocks)
	}
}

// Every address has a key of its own, from which it comes back.
func TestKeys(t *testing.T) {
	for _, text := range []string{"0.0.0.0", "1.2.3.4", "255.255.255.255", "::1", "2001:db8::7", "fe80:1:2:3:4:5:6:7"} {
		addr := netip.MustParseAddr(text)
		if got := keyOf(addr).addr(); got != addr {
			t.Errorf("%v has become %v", addr, got)
		}
	}
	if k := keyOf(netip.Addr{}); k != (key{}) {
		t.Errorf("no address has the key %v", k)
	}
}
