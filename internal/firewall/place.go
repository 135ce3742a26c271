package firewall

import (
	"context"
	"fmt"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// place is our chain and the ways to it, under repair. It is worked on through the
// programs, by one process at a time: the caller holds the lock.
type place struct {
	f       family
	tables  *tables
	chains  []string // that jump to ours
	outcome enforcer.Outcome
}

// openPlace makes the chain unless there is one.
func (f family) openPlace(ctx context.Context) (*place, error) {
	t, err := f.tables(ctx)
	if err != nil {
		return nil, err
	}
	p := &place{f: f, tables: t, chains: []string{"INPUT"}}
	made, err := t.ensureChain()
	if err != nil {
		return nil, err
	}
	p.outcome = enforcer.Outcome{Founded: made, Remade: made}
	if f.forwards() {
		chain, err := t.forwardChain()
		if err != nil {
			return nil, err
		}
		p.chains = append(p.chains, chain)
	}
	return p, nil
}

// ensure puts a rule into a chain unless the chain has it: at that position, or at the
// end for -1.
func (p *place) ensure(position int, chain string, rule ...string) (made bool, err error) {
	if exists, err := p.tables.exists(chain, rule...); err != nil || exists {
		return false, err
	}
	if position < 0 {
		return true, p.tables.do(func() error { return p.tables.ipt.Append(table, chain, rule...) })
	}
	return true, p.tables.do(func() error { return p.tables.ipt.Insert(table, chain, position, rule...) })
}

// ensureJumps makes all jumps, with the match before them.
func (p *place) ensureJumps(match ...string) error {
	for _, chain := range p.chains {
		made, err := p.ensure(1, chain, append(slices.Clone(match), "-j", Chain)...)
		if err != nil {
			return fmt.Errorf("jump from %s: %w", chain, err)
		}
		p.outcome.Remade = p.outcome.Remade || made
	}
	return nil
}

// dropJumps deletes all jumps with the match before them. The places where a jump may
// have been put under another configuration are looked at too.
func (p *place) dropJumps(match ...string) error {
	rule := append(slices.Clone(match), "-j", Chain)
	for _, chain := range []string{"INPUT", "FORWARD", dockerUserChain} {
		if chain == dockerUserChain {
			if docker, err := p.tables.chainExists(chain); err != nil || !docker {
				return err
			}
		}
		for {
			exists, err := p.tables.exists(chain, rule...)
			if err != nil {
				return err
			}
			if !exists {
				break
			}
			if err := p.tables.do(func() error { return p.tables.ipt.Delete(table, chain, rule...) }); err != nil {
				return fmt.Errorf("deleting the jump from %s: %w", chain, err)
			}
		}
	}
	return nil
}

// ensurePlace makes the chain and the jumps to it for rules, whichever is missing.
func (f family) ensurePlace(ctx context.Context) (*place, error) {
	p, err := f.openPlace(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.ensureJumps(); err != nil {
		return nil, err
	}
	if p.outcome.Founded && f.looksEverywhere(f) {
		// Blocks may stand in a set, so not all of them begin here.
		p.outcome.Founded, err = f.setsEmpty(ctx)
	}
	return p, err
}

// setsEmpty tells that no set of this family blocks anybody.
func (f family) setsEmpty(ctx context.Context) (bool, error) {
	c, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	h, err := setOf(f.v6).header(c)
	if err != nil || h != nil && h.members > 0 {
		return false, err
	}
	empty, err := ourTable().empty(c, f.v6)
	return empty, err
}

// bySet is the match of a rule on the members of the set.
func (f family) bySet() []string {
	return []string{"-m", "set", "--match-set", setName(f.v6), "src"}
}

// ensureSetRule makes our chain drop the members of the set before all else, and with no
// other target than the one that is configured.
func (p *place) ensureSetRule() error {
	made, err := p.ensure(1, Chain, append(p.f.bySet(), "-j", p.f.opts.Target)...)
	if err != nil {
		return fmt.Errorf("rule on set %s: %w", setName(p.f.v6), err)
	}
	p.outcome.Remade = p.outcome.Remade || made
	other := "REJECT"
	if p.f.opts.Target == other {
		other = "DROP"
	}
	return p.dropSetRule(other)
}

func (p *place) dropSetRule(target string) error {
	rule := append(p.f.bySet(), "-j", target)
	exists, err := p.tables.exists(Chain, rule...)
	if err != nil || !exists {
		return err
	}
	return p.tables.do(func() error { return p.tables.ipt.Delete(table, Chain, rule...) })
}
