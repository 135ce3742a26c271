package main

import (
	"runtime"
	"slices"
)

// singles is how many adds, one after the other, tell what a single one takes: so many before
// the storm and so many after it.
const singles = 30

// storm starts n adds at once and counts those that failed, and those that are not in
// force afterwards.
func (b *bench) storm(c benchCase, n int) (row stormRow, err error) {
	row = stormRow{Case: c.name, AtOnce: n}
	var h, calm *host
	defer func() { closeAll(&err, h, calm) }()
	for _, place := range []**host{&h, &calm} {
		if *place, err = newHost(b.folder, b.bin); err != nil {
			return row, err
		}
		if err := c.configure(*place); err != nil {
			return row, err
		}
	}
	var alone timing
	if err := c.oneByOne(calm, &alone); err != nil {
		return row, err
	}
	addrs := addresses(firstTimed, n)
	storm := order{AtOnce: true}
	for _, addr := range addrs {
		storm.Commands = append(storm.Commands, c.call(h, "add", addr))
	}
	done, err := h.follow(storm)
	if err != nil {
		return row, err
	}
	if err := c.oneByOne(calm, &alone); err != nil {
		return row, err
	}
	row.Single = alone.quantile(0.5)
	longest := slices.MaxFunc(done.Samples, func(a, b sample) int { return int(a.Took - b.Took) })
	goal := mostStorm * row.Single / 1000 * float64(n) / float64(runtime.NumCPU())
	row.All, row.Longest = atMost(done.Took.Seconds(), goal), atMost(longest.Took.Seconds(), goal)
	there, err := h.standing(c.shows, n)
	if err != nil {
		return row, err
	}
	for i, addr := range addrs {
		if done.Samples[i].Failed {
			row.Failed++
		}
		if !there[addr] {
			row.Lost++
		}
	}
	return row, nil
}

// oneByOne times single adds.
func (c benchCase) oneByOne(h *host, t *timing) error {
	for range singles {
		s, err := h.run(c.call(h, "add", address(len(t.runs))))
		if err != nil {
			return err
		}
		t.runs = append(t.runs, s.Took)
	}
	return nil
}
