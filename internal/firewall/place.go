package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
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
	p := &place{f: f, tables: t, chains: []string{inputChain}}
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
	for _, chain := range []string{inputChain, forwardChain, dockerUserChain} {
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

// ensurePlace makes the chain and the jumps to it for rules, whichever is missing. The
// caller holds the lock.
func (f family) ensurePlace(ctx context.Context) (*place, error) {
	if f.untilSet {
		if exists, err := f.hasSet(ctx); err != nil || exists {
			return nil, errors.Join(err, errCrossed)
		}
	}
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

// bySet is the match of a jump for the members of the set. It counts their packets there.
func (f family) bySet() []string {
	return []string{"-m", "set", "--match-set", setName(f.v6), "src"}
}

// dropsSet is the rule of our chain on the members of the set. What comes to it has been
// counted by the jump, and would count twice.
func (f family) dropsSet(target string) []string {
	return append(f.bySet(), "!", "--update-counters", "-j", target)
}

// ensureSetRule makes our chain drop the members of the set before all else, by this one
// rule.
func (p *place) ensureSetRule() error {
	rule := p.f.dropsSet(p.f.opts.Target)
	there, err := p.setRules()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(there, func(spec []string) bool { return begins(spec, rule) }) {
		if err := p.tables.do(func() error { return p.tables.ipt.Insert(table, Chain, 1, rule...) }); err != nil {
			return fmt.Errorf("rule on set %s: %w", setName(p.f.v6), err)
		}
		p.outcome.Remade = true
	}
	return p.dropSetRules(there, rule)
}

// setRules lists the rules of our chain that block the members of the set, whatever their
// target; earlier versions made them so that they counted again what the jump has counted.
// `ip6tables -C` (legacy, 1.8.9) finds one for the other.
func (p *place) setRules() (specs [][]string, err error) {
	out, err := exec.Command(p.tables.ctx, p.f.program, "", "-w", p.f.wait(), "-t", table, "-S", Chain)
	if err != nil {
		return nil, fmt.Errorf("listing chain %s: %w", Chain, err)
	}
	match := append([]string{"-A", Chain}, p.f.bySet()...)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if begins(words, match) && (slices.Contains(words, "DROP") || slices.Contains(words, "REJECT")) {
			specs = append(specs, words[2:])
		}
	}
	return specs, nil
}

// dropSetRules deletes all of these rules but the one that begins as keep does.
func (p *place) dropSetRules(specs [][]string, keep []string) error {
	for _, spec := range specs {
		if keep != nil && begins(spec, keep) {
			continue
		}
		if err := p.tables.do(func() error { return p.tables.ipt.Delete(table, Chain, spec...) }); err != nil {
			return fmt.Errorf("deleting the rule on set %s: %w", setName(p.f.v6), err)
		}
	}
	return nil
}

func begins(words, with []string) bool {
	return len(words) >= len(with) && slices.Equal(words[:len(with)], with)
}
