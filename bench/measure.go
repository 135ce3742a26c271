package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// firstTimed is the number of the first address that is timed; those below stand already.
	firstTimed = 150_000
	// leastRuns is how often each command is timed however long it takes, and peerRuns how
	// often the peer's script is: they are slow.
	leastRuns, peerRuns = 15, 5
)

// lane is one number of standing blocks. Ours, the floors and the peer have hosts of their
// own, so that none pays for what another has standing.
type lane struct {
	standing          int
	ours, bare, peers *host
	script            string // the peer's; none when it failed
	timings           map[string]*timing
}

// timing is what the runs of one command took.
type timing struct {
	runs   []time.Duration
	rssKiB int64
}

// measure times add and delete with each number of standing blocks, beside the floors, all
// in turns: a busy moment of the machine hits everything that is compared.
func (b *bench) measure(c benchCase) (rows []timeRow, err error) {
	var lanes []*lane
	defer func() {
		for _, l := range lanes {
			closeAll(&err, l.ours, l.bare, l.peers)
		}
	}()
	for _, standing := range b.standing {
		if c.most > 0 && standing > c.most {
			continue
		}
		l := &lane{standing: standing}
		lanes = append(lanes, l)
		if err := b.prepare(c, l); err != nil {
			return nil, fmt.Errorf("letting %d stand: %w", standing, err)
		}
	}
	b.calm()
	runs := b.runs // deletes only what was added
	for _, action := range []string{"add", "delete"} {
		if runs, err = b.turns(c, lanes, action, runs); err != nil {
			return nil, err
		}
		rows = append(rows, c.rows(lanes, action)...)
	}
	return rows, nil
}

// turns runs everything once in each of the lanes, up to runs times, and says how often.
func (b *bench) turns(c benchCase, lanes []*lane, action string, runs int) (int, error) {
	for _, l := range lanes {
		l.timings = map[string]*timing{}
	}
	start := time.Now()
	for n := range runs {
		if n >= leastRuns && (time.Since(start) > b.limit || b.late()) {
			return n, nil
		}
		for _, l := range lanes {
			if err := l.turn(c, action, n); err != nil {
				return n, err
			}
		}
	}
	return runs, nil
}

func (l *lane) turn(c benchCase, action string, n int) error {
	for _, f := range c.floors {
		if f.holds(l.standing) && !f.holds(l.standing+n) {
			return nil // by now ours does something else
		}
	}
	addr := address(firstTimed + n)
	if err := l.time("true", l.bare, []string{"true"}); err != nil {
		return err
	}
	for _, f := range c.floors {
		if !f.holds(l.standing) {
			continue
		}
		command := f.add
		if action == "delete" {
			command = f.delete
		}
		if err := l.time(f.name, l.bare, l.bare.line(command, addr)); err != nil {
			return err
		}
		if f.after != "" {
			if err := l.bare.do(f.after); err != nil {
				return err
			}
		}
	}
	if err := l.time("ours", l.ours, c.call(l.ours, action, addr)); err != nil {
		return err
	}
	if l.script != "" && n < peerRuns {
		call := c.call(l.peers, action, addr)
		call[0] = l.script
		if err := l.time("peer", l.peers, call); err != nil {
			fmt.Fprintf(os.Stderr, "bench: left out from here on: %v\n", err)
			l.script = ""
		}
	}
	return nil
}

func (l *lane) time(what string, h *host, args []string) error {
	s, err := h.run(args)
	if err != nil {
		return err
	}
	t := l.timings[what]
	if t == nil {
		t = &timing{}
		l.timings[what] = t
	}
	t.runs = append(t.runs, s.Took)
	t.rssKiB = max(t.rssKiB, s.RSSKiB)
	return nil
}

// prepare lets a lane's number of blocks stand, by ours, by the floors, and for the peer.
func (b *bench) prepare(c benchCase, l *lane) (err error) {
	if l.ours, err = newHost(b.folder, b.bin); err != nil {
		return err
	}
	if l.bare, err = newHost(b.folder, b.bin); err != nil {
		return err
	}
	err = errors.Join(c.configure(l.ours), c.block(l.ours, l.standing), c.fill(l.bare, l.standing))
	script, found := b.peer(c.program + ".sh")
	if err != nil || !c.peers || !found {
		return err
	}
	if l.peers, err = newHost(b.folder, b.bin); err != nil {
		return err
	}
	l.script, err = l.peers.install(script)
	return errors.Join(err, c.fill(l.peers, l.standing), l.peers.do(c.peerPlace...))
}

// block lets addresses stand by the program itself.
func (c benchCase) block(h *host, count int) error {
	if count == 0 {
		return nil
	}
	list, err := h.list("list", "", "%s\n", "", addresses(0, count))
	if err != nil {
		return err
	}
	_, err = h.run([]string{h.tool(), "--response", c.program, "import", list})
	return err
}

// fill lets addresses stand by the floors.
func (c benchCase) fill(h *host, count int) error {
	for _, f := range c.floors {
		if !f.holds(count) {
			continue
		}
		if err := h.do(f.place...); err != nil {
			return err
		}
		if count == 0 || f.fill == "" {
			continue
		}
		if _, err := h.list("fill", f.head, f.each, f.tail, addresses(0, count)); err != nil {
			return err
		}
		if err := h.do(f.fill); err != nil {
			return err
		}
	}
	return nil
}

// peer returns the peer's program of a name.
func (b *bench) peer(name string) (path string, found bool) {
	if b.peers == "" {
		return "", false
	}
	path = filepath.Join(b.peers, name)
	_, err := os.Stat(path)
	return path, err == nil
}

// quantile returns the time below which a share of the runs lie, in milliseconds.
func (t *timing) quantile(share float64) float64 {
	sorted := slices.Sorted(slices.Values(t.runs))
	return sorted[int(share*float64(len(sorted)-1))].Seconds() * 1000
}

// mean returns the mean, in milliseconds.
func (t *timing) mean() float64 {
	var all time.Duration
	for _, d := range t.runs {
		all += d
	}
	return all.Seconds() * 1000 / float64(len(t.runs))
}
