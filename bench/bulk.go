package main

import (
	"errors"
	"fmt"
)

// fewLeases is with how many addresses maintain is measured too, beside a whole list.
const fewLeases = 1000

// lists measures what ossec-ar does with many addresses: it imports a list, prints it, finds
// nothing to mend, blocks all of it again after somebody flushed it, and takes it out.
func (b *bench) lists(c benchCase, count int) (row bulkRow, err error) {
	if c.most > 0 {
		count = min(count, c.most)
	}
	row = bulkRow{Case: c.name, Addresses: count}
	h, err := newHost(b.folder, b.bin)
	if err != nil {
		return row, err
	}
	defer closeAll(&err, h)
	if err := c.configure(h); err != nil {
		return row, err
	}
	step := func(want int, args ...string) (float64, float64, error) { return h.step(c, want, args...) }
	fill := func(count int) (seconds, mib float64, err error) {
		list, err := h.list("list", "", "%s\n", "", addresses(0, count))
		if err != nil {
			return 0, 0, err
		}
		return step(count, "import", list)
	}
	if _, _, err = fill(min(fewLeases, count)); err != nil {
		return row, err
	}
	few, _, err := step(min(fewLeases, count), "maintain")
	if err != nil {
		return row, err
	}
	row.FewMS = atMost(few*1000, mostFewMS)
	var imported, listed, maintained float64 // MiB
	if row.Import, imported, err = fill(count); err != nil {
		return row, err
	}
	b.calm()
	seconds, listed, err := step(count, "list")
	if err != nil {
		return row, err
	}
	row.List, row.ListMiB = atMost(seconds, mostListSeconds), atMost(listed, mostListMiB)
	if seconds, _, err = step(count, "maintain"); err != nil {
		return row, err
	}
	row.Idle = atMost(seconds, mostIdleSeconds)
	if err := h.do(c.away...); err != nil {
		return row, err
	}
	if there, err := h.standing(c.shows, 0); err != nil || len(there) > 0 {
		return row, errors.Join(err, fmt.Errorf("%d addresses are blocked after %q", len(there), c.away))
	}
	if seconds, maintained, err = step(count, "maintain"); err != nil {
		return row, err
	}
	row.Flushed = atMost(seconds, mostFlushedSeconds)
	if row.Unimport, _, err = step(0, "unimport"); err != nil {
		return row, err
	}
	row.MiB = atMost(max(imported, maintained), mostMiB)
	return row, nil
}

// step runs ossec-ar, after which want addresses are blocked.
func (h *host) step(c benchCase, want int, args ...string) (seconds, mib float64, err error) {
	s, err := h.run(append([]string{h.tool(), "--response", c.program}, args...))
	if err != nil {
		return 0, 0, err
	}
	there, err := h.standing(c.shows, want)
	if err == nil && len(there) != want {
		err = fmt.Errorf("after %s %d addresses are blocked and not %d", args[0], len(there), want)
	}
	return s.Took.Seconds(), float64(s.RSSKiB) / 1024, err
}
