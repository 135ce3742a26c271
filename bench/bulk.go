package main

import (
	"errors"
	"fmt"
)

// lists imports a list, takes away what stands behind the program's back, restores it, and
// takes the list out again.
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
	list, err := h.list("list", "", "%s\n", "", addresses(0, count))
	if err != nil {
		return row, err
	}
	var most int64
	step := func(want int, args ...string) (float64, error) {
		s, err := h.run(append([]string{h.path(c.program)}, args...))
		if err != nil {
			return 0, err
		}
		there, err := h.standing(c.shows, want)
		if err == nil && len(there) != want {
			err = fmt.Errorf("after %s %d addresses are blocked and not %d", args[0], len(there), want)
		}
		most = max(most, s.RSSKiB)
		return s.Took.Seconds(), err
	}
	if row.Import, err = step(count, "import", list); err != nil {
		return row, err
	}
	if err := h.do(c.away...); err != nil {
		return row, err
	}
	if there, err := h.standing(c.shows, 0); err != nil || len(there) > 0 {
		return row, errors.Join(err, fmt.Errorf("%d addresses are blocked after %q", len(there), c.away))
	}
	if row.Restore, err = step(count, "restore"); err != nil {
		return row, err
	}
	if row.Unimport, err = step(0, "unimport"); err != nil {
		return row, err
	}
	row.MiB = atMost(float64(most)/1024, mostMiB)
	return row, nil
}
