package firewall

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// choice is what Auto has found out about an address.
type choice struct {
	done  bool      // a rule blocks it already
	bySet bool      // it belongs into the set: it is there, or there are MaxRules rules
	mend  bool      // there is a set, but it does not work
	seen  *standing // nil if it was not needed
}

// choose decides between a rule and the set, with Auto.
//
// The number of rules is what the kernel keeps anyway: over nf_tables how much refers to
// our chain, with the old iptables how long the whole table is. Only where that is more
// than MaxRules, or there is a set, rules of others and jumps are told from ours.
func (f family) choose(ctx context.Context, addr netip.Addr, fresh bool) choice {
	rule := choice{}
	if f.make == unknownMake || besideFakes {
		return rule
	}
	c, err := dial(ctx)
	if err != nil {
		return rule // what is wrong, adding a rule will tell
	}
	defer c.close()
	set := setOf(f.v6)
	exists, err := set.exists(c)
	if err != nil {
		return rule
	}
	in := false
	if exists && !fresh {
		in, _ = set.has(c, addr)
	}
	var count int
	if f.make == overNFT {
		count, err = iptablesTable(f.v6).use(c, Chain)
	} else {
		count, err = legacyEntries(f.v6)
	}
	if err != nil || !exists && f.opts.MaxRules > 0 && count <= f.opts.MaxRules {
		return rule
	}
	look := addr // at each rule
	if fresh || in {
		look = netip.Addr{}
	}
	s, err := f.standing(ctx, f.likelyJumpChains(), look)
	if err != nil {
		return rule
	}
	works := s.bare && s.drops
	return choice{
		done:  s.blocks && s.bare,
		bySet: in || s.rules >= f.opts.MaxRules && !s.blocks,
		mend:  exists && !works,
		seen:  &s,
	}
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
	var out enforcer.Outcome
	err = tryAgain(ctx, func() error {
		made, err := f.ensureSet(ctx, c)
		out.Founded, out.Remade = out.Founded || made.Founded, out.Remade || made.Remade
		out.Notes = made.Notes
		if err != nil {
			return err
		}
		return f.addToSet(ctx, c, addr)
	})
	return out, err
}

// tries is how often what blocks rest on is made in turn before it is a failure: somebody
// may take away what was just made, so that the next step fails.
const tries = 3

func tryAgain(ctx context.Context, work func() error) (err error) {
	for range tries {
		if err = work(); err == nil || ctx.Err() != nil || errors.Is(err, ErrFull) {
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

// mendSet makes a set that is there work again.
func (f family) mendSet(ctx context.Context) (enforcer.Outcome, error) {
	c, err := dial(ctx)
	if err != nil {
		return enforcer.Outcome{}, err
	}
	defer c.close()
	return f.ensureSet(ctx, c)
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
