package firewall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// stockChain is where firewall-drop.sh of OSSEC 4.3 puts its rules, and INPUT and FORWARD jump to.
// Earlier ones, and Wazuh's firewall-drop, put the same rules into INPUT and FORWARD themselves.
const stockChain = "OSSEC"

var _ enforcer.Stock = (*Firewall)(nil)

// Stock implements enforcer.Stock. It goes by the form of the rules, which an administrator may
// have written, too.
func (e *Firewall) Stock(ctx context.Context) (found []target.Target, err error) {
	err = e.eachStock(ctx, func(_ *side, in map[string][]rule) error {
		for _, rules := range in {
			for _, r := range rules {
				if !slices.Contains(found, r.source) {
					found = append(found, r.source)
				}
			}
		}
		return nil
	})
	return found, err
}

// LiftStock implements enforcer.Stock.
func (e *Firewall) LiftStock(ctx context.Context, targets []target.Target) error {
	return e.eachStock(ctx, func(s *side, in map[string][]rule) error {
		var lines []string
		for chain, rules := range in {
			for _, r := range rules {
				if slices.Contains(targets, r.source) {
					lines = append(lines, "-D "+chain+" "+joinWords(r.spec))
				}
			}
		}
		if err := s.inChunks(ctx, lines); err != nil {
			return fmt.Errorf("removing the rules of the stock script: %w", err)
		}
		return s.retireStock(ctx)
	})
}

// eachStock hands the rules that look like the stock script's to do, for each family that there is.
func (e *Firewall) eachStock(ctx context.Context, do func(*side, map[string][]rule) error) error {
	ctx, cancel := e.within(ctx, whole)
	defer cancel()
	failed, err := e.eachSide(ctx, func(s *side) error {
		if s.program == "" {
			return s.absent
		}
		s = s.in(filter)
		all, err := s.chains(ctx)
		if err != nil {
			return err
		}
		in := map[string][]rule{}
		for _, chain := range []string{inputChain, forwardChain, stockChain} {
			for _, r := range all[chain] {
				if r.source.IsValid() && r.target == "DROP" && strings.Count(joinWords(r.spec), " ") == 3 {
					in[chain] = append(in[chain], r)
				}
			}
		}
		return do(s, in)
	})
	if len(failed) > 0 {
		return failed[0]
	}
	return err
}

// retireStock takes the stock script's chain away when it is empty.
func (s *side) retireStock(ctx context.Context) error {
	all, err := s.chains(ctx)
	if rules, exists := all[stockChain]; err != nil || !exists || len(rules) > 0 {
		return err
	}
	var lines []string
	for _, chain := range []string{inputChain, forwardChain} {
		for _, r := range all[chain] {
			if r.isJump(stockChain) {
				lines = append(lines, "-D "+chain+" "+joinWords(r.spec))
			}
		}
	}
	if err := s.commands(ctx, append(lines, "-X "+stockChain)...); err != nil {
		return fmt.Errorf("removing the chain of the stock script: %w", err)
	}
	return nil
}
