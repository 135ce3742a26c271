package firewall

import (
	"context"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// former is our chain where another configuration used it.
type former struct{ rules }

func (f former) list(ctx context.Context) (l enforcer.Listing, err error) {
	if l, err = f.rules.list(ctx); err != nil || len(l.Blocks) > 0 {
		return l, err
	}
	commands, err := f.leftovers(ctx)
	if len(commands) > 0 {
		l.Faults = []string{f.name() + " stands, which this configuration does not use"}
	}
	return l, err
}

// retire deletes what is left when no address is there any more.
func (f former) retire(ctx context.Context) error {
	commands, err := f.leftovers(ctx)
	if err == nil && len(commands) > 0 {
		err = f.commands(ctx, commands...)
	}
	return err
}

// leftovers are the commands that delete the rule on the set, and the chain with the jumps to it unless
// somebody else has rules in it or about it.
func (f former) leftovers(ctx context.Context) ([]string, error) {
	all, err := f.chains(ctx)
	if _, exists := all[Chain]; err != nil || !exists {
		return nil, err
	}
	var bySet, jumps []string
	others := false
	for name, rules := range all {
		for _, r := range rules {
			command := "-D " + name + " " + joinWords(r.spec)
			switch {
			case name != Chain && r.isJump(Chain):
				jumps = append(jumps, command)
			case name == Chain && r.onSet(setName(f.v6)) && r.drops():
				bySet = append(bySet, command)
			case name == Chain && !r.blocks(), r.target == Chain:
				others = true
			}
		}
	}
	if others {
		return bySet, nil
	}
	return slices.Concat(bySet, jumps, []string{"-X " + Chain}), nil
}
