package firewall

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// auto blocks the first addresses by rules, which are seen with `iptables -L OSSEC_AR -n`, and
// later ones by the set, which costs a packet the same however many are in it.
type auto struct {
	rules rules
	set   set
}

func (a auto) name() string { return a.rules.name() + " or " + a.set.name() }

func (a auto) describe(addr target.Target) string { return a.rules.describe(addr) }

func (a auto) add(ctx context.Context, addr target.Target,
	known enforcer.Known) (out enforcer.Outcome, err error) {
	bySet := known.Others >= a.set.opts.MaxRules
	if known.Leased { // it stays where it is
		switch {
		case a.set.has(ctx, addr):
			bySet = true
		case a.rules.quick(ctx, addr, true) == nil:
			return enforcer.Outcome{Already: true}, nil
		}
	}
	var notes []string
	if bySet {
		out, err = a.set.add(ctx, addr, known)
		if err == nil || errors.Is(err, enforcer.ErrFull) || errors.Is(err, errAbsent) || ctx.Err() != nil {
			return out, err
		}
		notes = append(notes, a.unusable(err))
	}
	if known.Leased {
		out, err = a.rules.ensure(ctx, addr)
	} else {
		out, err = a.rules.add(ctx, addr, known)
	}
	out.Notes = append(out.Notes, notes...)
	return out, err
}

func (a auto) unusable(err error) string {
	return fmt.Sprintf("the set %s cannot be used, so all addresses become rules: %v", setName(a.set.v6), err)
}

// addAll fills up the rules and then the set. What stands in one of the two stays there.
func (a auto) addAll(ctx context.Context, addrs []target.Target) error {
	ruled, err := a.rules.ourRules(ctx)
	if err != nil {
		return err
	}
	k, err := a.set.kernel.dial(ctx)
	if err != nil {
		return err
	}
	members, err := a.set.ipset().members(k)
	if err != nil {
		return err
	}
	toRules, toSet := share(addrs, ruled, members, a.set.opts.MaxRules)
	if len(toRules) > 0 {
		if err := a.rules.addAll(ctx, toRules); err != nil {
			return err
		}
	}
	if len(toSet) == 0 {
		return nil
	}
	err = a.set.addAll(ctx, toSet)
	if err == nil || errors.Is(err, enforcer.ErrFull) || errors.Is(err, errAbsent) || ctx.Err() != nil {
		return err
	}
	return a.rules.addAll(ctx, toSet) // no ipset in this kernel, or iptables knows none
}

// share decides where addresses go, each once, beside the rules and members that there are.
func share(addrs []target.Target, ruled []rule, members []enforcer.Block,
	most int) (toRules, toSet []target.Target) {
	isRuled, isMember := map[target.Target]bool{}, map[target.Target]bool{}
	for _, r := range ruled {
		if r.blocks() {
			isRuled[r.source] = true
		}
	}
	for _, m := range members {
		isMember[m.Target] = true
	}
	room := most - len(isRuled)
	for _, addr := range addrs {
		switch {
		case isMember[addr]:
			toSet = append(toSet, addr)
		case isRuled[addr]:
			toRules = append(toRules, addr)
		case room > 0:
			room--
			isRuled[addr] = true
			toRules = append(toRules, addr)
		default:
			isMember[addr] = true
			toSet = append(toSet, addr)
		}
	}
	return toRules, toSet
}

func (a auto) remove(ctx context.Context, addr target.Target) error {
	return errors.Join(a.rules.remove(ctx, addr), a.set.remove(ctx, addr))
}

func (a auto) removeAll(ctx context.Context, addrs []target.Target) error {
	return errors.Join(a.rules.removeAll(ctx, addrs), a.set.removeAll(ctx, addrs))
}

func (a auto) flush(ctx context.Context) error {
	return errors.Join(a.rules.flush(ctx), a.set.flush(ctx))
}

func (a auto) list(ctx context.Context) (enforcer.Listing, error) {
	l, err := a.rules.list(ctx)
	if err != nil {
		return l, err
	}
	more, err := a.set.list(ctx)
	return merge(l, more), err
}

func (a auto) mend(ctx context.Context) ([]string, error) {
	changes, err := a.rules.mend(ctx)
	if err != nil {
		return changes, err
	}
	more, err := a.set.mend(ctx)
	if errors.Is(err, errForeign) {
		err = nil // it blocks nobody of ours
	}
	return append(changes, more...), err
}

func (a auto) retire(context.Context) error { return nil }
