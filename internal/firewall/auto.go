package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// With Auto each family begins with rules and without a set. The address after MaxRules
// makes the set, which takes in all that have a rule, and from then on every address is a
// member: packets from nobody in the set never enter our chain, so that they cost the same
// however many are blocked. The chain drops the members first. The rules behind that are
// there to be seen with `iptables -L OSSEC_AR -n`. A family never goes back, though the set
// be empty: nobody would gain, and nobody has to reckon with it.

// errCrossed says that there is a set, so that rules block nobody.
var errCrossed = errors.New("the set blocks now")

// choice is what Auto has found out about an address.
type choice struct {
	done  bool // a rule blocks it already
	bySet bool // it belongs into the set: there is one, or there are MaxRules rules
}

// choose decides between a rule and the set, with Auto.
//
// The number of rules is what the kernel keeps anyway: over nf_tables how much refers to
// our chain, with the old iptables how long the whole table is. Only where that is more
// than MaxRules, rules of others and jumps are told from ours.
func (f family) choose(ctx context.Context, addr netip.Addr, fresh bool) choice {
	rule := choice{}
	if !f.mayHaveSet() {
		return rule
	}
	c, err := dial(ctx)
	if err != nil {
		return rule // what is wrong, adding a rule will tell
	}
	defer c.close()
	if exists, err := setOf(f.v6).exists(c); err != nil || exists {
		return choice{bySet: exists}
	}
	var count int
	if f.make == overNFT {
		count, err = iptablesTable(f.v6).use(c, Chain)
	} else {
		count, err = legacyEntries(f.v6)
	}
	if err != nil || f.opts.MaxRules > 0 && count <= f.opts.MaxRules {
		return rule
	}
	look := addr // at each rule
	if fresh {
		look = netip.Addr{}
	}
	s, err := f.standing(ctx, f.entries(), look)
	if err != nil {
		return rule
	}
	return choice{done: s.blocks && s.bare, bySet: s.rules >= f.opts.MaxRules && !s.blocks}
}

// mayHaveSet tells whether Auto may use the set: its kernel must be the one that the
// program of iptables works in.
func (f family) mayHaveSet() bool { return f.make != unknownMake && !besideFakes }

func (f family) hasSet(ctx context.Context) (bool, error) {
	c, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	return setOf(f.v6).exists(c)
}

// blockAuto blocks by a rule or in the set. Where the set cannot be used, it is a rule.
//
// Whoever makes the set lists the rules after that and makes them members; whoever adds a
// rule looks after that whether there is a set. So one of the two makes it a member.
func (f family) blockAuto(ctx context.Context, addr netip.Addr, fresh bool) (enforcer.Outcome, error) {
	var out enforcer.Outcome
	chosen := f.choose(ctx, addr, fresh)
	if chosen.done {
		return out, nil
	}
	if !chosen.bySet {
		var err error
		first := f
		first.untilSet = f.mayHaveSet()
		out, err = first.blockByRule(ctx, addr, fresh)
		crossed := errors.Is(err, errCrossed)
		if err == nil && first.untilSet {
			crossed, err = f.hasSet(ctx)
			fresh = false // it has its rule
		}
		if err != nil && !crossed {
			return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, err)
		}
		if !crossed {
			return out, nil
		}
	}
	bySet, seen, err := f.blockInSet(ctx, addr)
	if err == nil {
		out = merged(out, bySet)
		if err := f.show(ctx, addr, fresh, seen); err != nil {
			out.Notes = append(out.Notes, fmt.Sprintf("%s is blocked, but no rule shows it: %v", addr, err))
		}
		return out, nil
	}
	if errors.Is(err, ErrFull) || ctx.Err() != nil {
		return out, wrapAdding(err, addr, "set "+setName(f.v6))
	}
	unusable := fmt.Sprintf("the set %s cannot be used, so all addresses become rules: %v", setName(f.v6), err)
	byRule, err := f.blockByRule(ctx, addr, fresh)
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	out = merged(out, byRule)
	out.Notes = append(out.Notes, unusable)
	return out, nil
}

// merged is what two steps of one Block found.
func merged(a, b enforcer.Outcome) enforcer.Outcome {
	a.Founded, a.Remade, a.Alone = a.Founded || b.Founded, a.Remade || b.Remade, a.Alone || b.Alone
	a.Notes = append(a.Notes, b.Notes...)
	return a
}

// show adds the rule by which an address that the set blocks is seen, where there is room
// for one. seen is what is known of the rules, or nil.
func (f family) show(ctx context.Context, addr netip.Addr, fresh bool, seen *standing) error {
	if f.opts.MaxRules == 0 || seen != nil && seen.rules >= f.opts.MaxRules {
		return nil
	}
	if seen == nil || !fresh {
		s, err := f.standing(ctx, nil, addr)
		if err != nil || !s.chain || s.blocks || s.rules >= f.opts.MaxRules {
			return err
		}
	}
	if f.make != overNFT || f.opts.Target != "DROP" {
		_, err := exec.Command(ctx, f.program, "", append([]string{"-w", f.wait(), "-t", table, "-A", Chain}, f.rule(addr)...)...)
		return err
	}
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	var r requests
	iptablesTable(f.v6).dropRule(&r, addr)
	return c.transact(&r)
}

// fillBoth is blockAuto for many.
func (f family) fillBoth(ctx context.Context, addrs []netip.Addr, progress func(int)) error {
	crossed, err := f.fillRules(ctx, addrs, progress)
	if err != nil || !crossed {
		return err
	}
	err = f.fillSet(ctx, addrs, progress)
	if errors.Is(err, ErrFull) || ctx.Err() != nil {
		return err
	}
	if err != nil { // no ipset in this kernel, or iptables knows none
		return f.addRules(ctx, addrs, progress)
	}
	// All are blocked, whether rules show them or not.
	_ = f.showAll(ctx, addrs)
	return nil
}

// fillRules makes rules if there is no set and they are no more than there should be.
// crossed tells that the set has to be filled.
func (f family) fillRules(ctx context.Context, addrs []netip.Addr, progress func(int)) (crossed bool, err error) {
	if exists, err := f.hasSet(ctx); err != nil || exists {
		return exists, err
	}
	rules, err := f.rules(ctx)
	if err != nil {
		return false, err
	}
	all := make(map[netip.Addr]bool, len(rules)+len(addrs))
	for _, r := range rules {
		all[r.addr] = true
	}
	for _, addr := range addrs {
		all[addr] = true
	}
	if len(all) > f.opts.MaxRules {
		return true, nil
	}
	f.untilSet = true
	if err := f.addRules(ctx, addrs, progress); err != nil {
		if errors.Is(err, errCrossed) {
			return true, nil
		}
		return false, err
	}
	return f.hasSet(ctx)
}

// showAll adds rules for addresses that the set blocks, where there is room for some, and
// deletes those that are too many.
func (f family) showAll(ctx context.Context, addrs []netip.Addr) error {
	rules, err := f.rules(ctx)
	if err != nil {
		return err
	}
	shown := make(map[netip.Addr]bool, len(rules))
	var excess []netip.Addr
	for _, r := range rules {
		if !shown[r.addr] && len(shown) >= f.opts.MaxRules {
			excess = append(excess, r.addr)
		}
		shown[r.addr] = true
	}
	var lines []string
	for _, addr := range addrs {
		if len(shown) >= f.opts.MaxRules {
			break
		}
		if !shown[addr] {
			shown[addr] = true
			lines = append(lines, "-A "+Chain+" "+strings.Join(f.rule(addr), " "))
		}
	}
	quiet := func(int) {}
	if err := f.restoreAll(ctx, lines, quiet); err != nil || len(excess) == 0 {
		return err
	}
	if excess, err = f.members(ctx, excess); err != nil {
		return err
	}
	return f.deleteRules(ctx, excess, quiet)
}

// inForce leaves out rules that block nobody: with Auto, once there is a set, no packet
// comes to a rule on an address that somebody took out of the set.
func (f family) inForce(ctx context.Context, rules []rule) ([]rule, error) {
	if f.opts.Backend != Auto || !f.mayHaveSet() || len(rules) == 0 {
		return rules, nil
	}
	if exists, err := f.hasSet(ctx); err != nil || !exists {
		return rules, err
	}
	s, err := f.standing(ctx, f.entries(), netip.Addr{})
	if err != nil || s.plain { // it is being carried over, or the set cannot be used
		return rules, nil
	}
	addrs := make([]netip.Addr, len(rules))
	for i, r := range rules {
		addrs[i] = r.addr
	}
	in, err := f.members(ctx, addrs)
	if err != nil {
		return nil, err
	}
	isMember := make(map[netip.Addr]bool, len(in))
	for _, addr := range in {
		isMember[addr] = true
	}
	var rest []rule
	for _, r := range rules {
		if isMember[r.addr] {
			rest = append(rest, r)
		}
	}
	return rest, nil
}

// members returns those of the addresses that are in the set.
func (f family) members(ctx context.Context, addrs []netip.Addr) ([]netip.Addr, error) {
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	set := setOf(f.v6)
	var in []netip.Addr
	const atOnce = 64 // answers that a socket holds
	for len(addrs) > 0 {
		part := addrs[:min(len(addrs), atOnce)]
		addrs = addrs[len(part):]
		var r requests
		for _, addr := range part {
			set.request(&r, ipsetTest, unix.NLM_F_ACK)
			set.element(&r, addr)
		}
		answers, err := c.ask(&r)
		if err != nil {
			return nil, err
		}
		for i, a := range answers {
			is, err := isIn(a.err)
			if err != nil {
				return nil, err
			}
			if is {
				in = append(in, part[i])
			}
		}
	}
	return in, nil
}
