package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// blockInSet puts the address into the set. seen is what it saw of the rules when all was
// as it should be, or nil.
func (f family) blockInSet(ctx context.Context, addr netip.Addr) (out enforcer.Outcome, seen *standing, err error) {
	c, err := dial(ctx)
	if err != nil {
		return out, nil, err
	}
	defer c.close()
	err = f.addToSet(ctx, c, addr)
	if errors.Is(err, ErrFull) {
		return out, nil, err
	}
	if err == nil {
		if seen, stands := f.setStands(ctx, c); stands {
			return out, seen, nil
		}
	}
	err = tryAgain(ctx, func() error {
		made, err := f.ensureSet(ctx, c)
		out.Founded, out.Remade = out.Founded || made.Founded, out.Remade || made.Remade
		out.Notes = made.Notes
		if err != nil {
			return err
		}
		return f.addToSet(ctx, c, addr)
	})
	return out, nil, err
}

// tries is how often what blocks rest on is made in turn before it is a failure: somebody
// may take away what was just made, so that the next step fails.
const tries = 3

func tryAgain(ctx context.Context, work func() error) (err error) {
	for range tries {
		if err = work(); err == nil || ctx.Err() != nil || errors.Is(err, ErrFull) || errors.Is(err, errCrossed) {
			break
		}
	}
	return err
}

// addToSet adds addresses; where there is no more room it makes some, if it may.
func (f family) addToSet(ctx context.Context, c *conn, addr netip.Addr) error {
	set := setOf(f.v6)
	err := set.add(c, addr)
	if !errors.Is(err, ErrFull) {
		return err
	}
	if err := f.growSet(ctx, c); err != nil {
		return err
	}
	return set.add(c, addr)
}

// growSet is for a set that was made when fewer addresses were allowed than are now.
func (f family) growSet(ctx context.Context, c *conn) error {
	defer f.lock()()
	return f.growLocked(ctx, c)
}

func (f family) growLocked(ctx context.Context, c *conn) error {
	set := setOf(f.v6)
	h, err := set.header(c)
	if err != nil {
		return err
	}
	if h == nil || h.members < h.size {
		return nil // another process was first
	}
	if h.size >= f.opts.MaxAddresses {
		return f.full()
	}
	return set.grow(ctx, c, f.opts.MaxAddresses)
}

// setStands tells whether the rules make the set work. Whatever keeps it from finding out
// is a no. seen is nil where iptables is of an unknown make.
func (f family) setStands(ctx context.Context, c *conn) (seen *standing, stands bool) {
	chains := f.entries()
	if f.make == unknownMake {
		// Each of our rules refers to the set.
		h, err := setOf(f.v6).header(c)
		return nil, err == nil && h != nil && h.references > len(chains)
	}
	s, err := f.standing(ctx, chains, netip.Addr{})
	return &s, err == nil && f.worksBySet(s)
}

// worksBySet tells whether packets of members are dropped and, with Auto, all others left
// in peace.
func (f family) worksBySet(s standing) bool {
	return s.drops && s.bySet && !(f.opts.Backend == Auto && s.plain)
}

// ensureSet makes the set, and the rules that make it work, whichever is missing. The
// jumps to our chain are for packets from members of the set alone, which leaves all
// others in peace. With Auto all addresses that have a rule become members first, and only
// then the jumps for all packets go: no one that is blocked gets through meanwhile. With
// IPSet these jumps stay while rules are left from another backend.
func (f family) ensureSet(ctx context.Context, c *conn) (enforcer.Outcome, error) {
	defer f.lock()()
	set := setOf(f.v6)
	if exists, err := set.exists(c); err == nil && exists {
		if _, stands := f.setStands(ctx, c); stands {
			return enforcer.Outcome{}, nil // another process was first
		}
	}
	made, err := set.create(c, f.opts.MaxAddresses)
	if err != nil {
		return enforcer.Outcome{}, err
	}
	if !made {
		h, err := set.header(c)
		if err == nil && h != nil && h.foreign != "" {
			err = fmt.Errorf("set %s is somebody else's: %s", set.name, h.foreign)
		}
		if err != nil {
			return enforcer.Outcome{}, err
		}
	}
	p, err := f.openPlace(ctx)
	if err == nil && f.opts.Backend == Auto {
		err = f.carryOver(ctx, c)
	}
	if err == nil {
		err = p.ensureSetRule()
	}
	if err != nil {
		if made { // or every Block would try again to make it work
			err = errors.Join(err, set.whole(c, ipsetDestroy))
		}
		return enforcer.Outcome{}, err
	}
	p.outcome.Founded = p.outcome.Founded && made
	p.outcome.Remade = p.outcome.Remade || made
	if err := p.ensureJumps(f.bySet()...); err != nil {
		return enforcer.Outcome{}, err
	}
	if f.opts.Backend == Auto {
		return p.outcome, p.dropJumps()
	}
	rules, err := f.rules(ctx)
	if err == nil && len(rules) == 0 {
		err = p.dropJumps()
	}
	return p.outcome, err
}

// carryOver makes every address that has a rule a member of the set. The lock is held. A
// rule that another process adds after it has looked is that process's to carry over: see
// blockAuto.
func (f family) carryOver(ctx context.Context, c *conn) error {
	rules, err := f.rules(ctx)
	if err != nil {
		return err
	}
	addrs := make([]netip.Addr, len(rules))
	for i, r := range rules {
		addrs[i] = r.addr
	}
	return f.addAll(ctx, c, addrs, func(int) {}, f.growLocked)
}

// fillSet is blockInSet for many.
func (f family) fillSet(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if _, stands := f.setStands(ctx, c); !stands {
		if _, err := f.ensureSet(ctx, c); err != nil {
			return err
		}
	}
	return f.addAll(ctx, c, addrs, progress, f.growSet)
}

// addAll adds many to the set; grow makes room in it, if it may.
func (f family) addAll(ctx context.Context, c *conn, addrs []netip.Addr, progress func(done int), grow func(context.Context, *conn) error) error {
	set := setOf(f.v6)
	err := set.doAll(ctx, c, ipsetAdd, addrs, progress)
	if !errors.Is(err, ErrFull) {
		return err
	}
	if err := grow(ctx, c); err != nil {
		return err
	}
	if err := set.doAll(ctx, c, ipsetAdd, addrs, progress); !errors.Is(err, ErrFull) {
		return err
	}
	return f.full()
}
