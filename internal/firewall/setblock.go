package firewall

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// crowded tells whether the address belongs into the set, with Auto: because it is there
// already, or because there are MaxRules rules. Of what stands it returns what it found
// out on the way.
//
// The number of rules is what the kernel keeps anyway: over nf_tables how much refers to
// our chain, with the old iptables how long the whole table is. Only where that is more
// than MaxRules, rules of others and jumps are told from ours.
func (f family) crowded(ctx context.Context, addr netip.Addr, fresh bool) (bool, *standing) {
	if f.make == unknownMake || besideFakes {
		return false, nil
	}
	c, err := dial(ctx)
	if err != nil {
		return false, nil
	}
	defer c.close()
	if !fresh {
		if in, err := setOf(f.v6).has(c, addr); err == nil && in {
			return true, nil
		}
	}
	var count int
	if f.make == overNFT {
		count, err = iptablesTable(f.v6).use(c, Chain)
	} else {
		count, err = legacyEntries(f.v6)
	}
	if err != nil || f.opts.MaxRules > 0 && count <= f.opts.MaxRules {
		return false, nil // what is wrong, adding a rule will tell
	}
	s, err := f.standing(ctx, f.likelyJumpChains(), netip.Addr{})
	if err != nil || s.rules < f.opts.MaxRules {
		return false, nil
	}
	return true, &s
}

// blockInSet puts the address into the set. seen is what is known of the rules, or nil.
func (f family) blockInSet(ctx context.Context, addr netip.Addr, seen *standing) (enforcer.Outcome, error) {
	c, err := dial(ctx)
	if err != nil {
		return enforcer.Outcome{}, err
	}
	defer c.close()
	err = f.addToSet(ctx, c, addr)
	if errors.Is(err, ErrFull) {
		return enforcer.Outcome{}, err
	}
	if err == nil && f.setStands(ctx, c, seen) {
		return enforcer.Outcome{}, nil
	}
	out, err := f.ensureSet(ctx, c)
	if err != nil {
		return out, err
	}
	return out, f.addToSet(ctx, c, addr)
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
// is a no.
func (f family) setStands(ctx context.Context, c *conn, seen *standing) bool {
	chains := f.likelyJumpChains()
	if f.make == unknownMake {
		// Each of our rules refers to the set.
		h, err := setOf(f.v6).header(c)
		return err == nil && h != nil && h.references > len(chains)
	}
	if seen == nil {
		s, err := f.standing(ctx, chains, netip.Addr{})
		if err != nil {
			return false
		}
		seen = &s
	}
	if f.opts.Backend == Auto {
		return seen.drops && seen.bare
	}
	return seen.drops && seen.bySet
}

// ensureSet makes the set, and the rules that make it work, whichever is missing. With
// Auto the jumps to our chain are for all packets, since it holds rules too. Else they
// are for those from members of the set alone, which leaves all other packets in peace,
// unless rules are left from another backend.
func (f family) ensureSet(ctx context.Context, c *conn) (enforcer.Outcome, error) {
	defer f.lock()()
	set := setOf(f.v6)
	made, err := set.create(c, f.opts.MaxAddresses)
	if err != nil {
		return enforcer.Outcome{}, err
	}
	p, err := f.openPlace(ctx)
	if err != nil {
		return enforcer.Outcome{}, err
	}
	p.outcome.Founded = p.outcome.Founded && made
	p.outcome.Remade = p.outcome.Remade || made
	if err := p.ensureSetRule(); err != nil {
		return enforcer.Outcome{}, err
	}
	if f.opts.Backend == Auto {
		if err = p.ensureJumps(); err == nil {
			err = p.dropJumps(f.bySet()...)
		}
		return p.outcome, err
	}
	if err := p.ensureJumps(f.bySet()...); err != nil {
		return enforcer.Outcome{}, err
	}
	rules, err := f.rules(ctx)
	if err == nil && len(rules) == 0 {
		err = p.dropJumps()
	}
	return p.outcome, err
}

// fillSet is blockInSet for many.
func (f family) fillSet(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	set := setOf(f.v6)
	if !f.setStands(ctx, c, nil) {
		if _, err := f.ensureSet(ctx, c); err != nil {
			return err
		}
	}
	err = set.doAll(ctx, c, ipsetAdd, addrs, progress)
	if !errors.Is(err, ErrFull) {
		return err
	}
	if err := f.growSet(ctx, c); err != nil {
		return err
	}
	if err := set.doAll(ctx, c, ipsetAdd, addrs, progress); !errors.Is(err, ErrFull) {
		return err
	}
	return f.full()
}
