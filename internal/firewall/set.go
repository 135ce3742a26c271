package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// set blocks the members of an ipset, by one rule of our chain.
type set struct{ *side }

func (s set) name() string { return "set " + setName(s.v6) }

func (s set) ipset() ipset { return setOf(s.v6) }

func (s set) describe(addr target.Target) string {
	return fmt.Sprintf("ipset add %s %s", setName(s.v6), addr)
}

func (s set) add(ctx context.Context, addr target.Target,
	_ enforcer.Known) (out enforcer.Outcome, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("adding %s to set %s: %w", addr, setName(s.v6), err)
		}
	}()
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return out, err
	}
	exists, err := s.ipset().check(k)
	if err != nil {
		return out, err
	}
	if exists {
		already, err := s.put(k, addr)
		if errors.Is(err, enforcer.ErrFull) || err == nil && s.isDropped(ctx, k, addr) {
			out.Already = already && err == nil
			return out, err
		}
	}
	ctx, unlock := s.lock(ctx)
	defer unlock()
	err = s.tryAgain(ctx, func() error {
		made, err := s.ensure(ctx, k)
		out.Made = out.Made || made
		if err != nil {
			return err
		}
		_, err = s.put(k, addr)
		return err
	})
	return out, err
}

// put makes addr a member, and reports whether it was one.
func (s set) put(k socket, addr target.Target) (already bool, err error) {
	err = s.ipset().do(k, ipsetAdd, unix.NLM_F_EXCL, addr)
	if errors.Is(err, ipsetErrAbsent) {
		return true, nil
	}
	return false, s.explain(err)
}

// explain adds to the error of a full set how many addresses are allowed; Mend makes it as large as that.
func (s set) explain(err error) error {
	if errors.Is(err, enforcer.ErrFull) {
		return fmt.Errorf("%w: firewall.max_addresses is %d", err, s.opts.MaxAddresses)
	}
	return err
}

// isDropped reports whether all packets come to our chain and it drops the member addr of the set. Whatever
// keeps it from finding out is a no.
func (s set) isDropped(ctx context.Context, k socket, addr target.Target) bool {
	if s.variant != overNFT {
		return s.commands(ctx, append(s.likelyChecks(), "-C "+Chain+" "+joinWords(s.setRule()))...) == nil
	}
	l := s.nftTable().look(k)
	ours, _ := l(Chain)
	before, drops := l.setRule(ours, setName(s.v6), s.opts.Target)
	return drops && before.of(addr) < 0 && len(s.faults(ctx, l, s.hostForwards())) == 0
}

// ensure makes the set, and what makes it drop packets, whichever is missing. The caller holds
// the lock.
func (s set) ensure(ctx context.Context, k socket) (made bool, err error) {
	exists, err := s.ipset().check(k)
	if err == nil && !exists {
		if err = s.ipset().create(k, s.opts.MaxAddresses); errors.Is(err, unix.EEXIST) {
			exists, err = true, nil
		}
	}
	if err != nil {
		return false, err
	}
	changes, err := s.mendPlace(ctx, true)
	if err != nil && !exists { // or every Block would try again to make it work
		err = errors.Join(err, s.ipset().whole(k, ipsetDestroy))
	}
	return !exists || len(changes) > 0, err
}

func (s set) addAll(ctx context.Context, addrs []target.Target) error {
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return err
	}
	locked, unlock := s.lock(ctx)
	_, err = s.ensure(locked, k)
	unlock()
	if err != nil {
		return err
	}
	return s.explain(s.ipset().doAll(ctx, k, ipsetAdd, addrs))
}

// has reports whether addr is a member.
func (s set) has(ctx context.Context, addr target.Target) bool {
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return false
	}
	has, err := s.ipset().has(k, addr)
	return err == nil && has
}

func (s set) remove(ctx context.Context, addr target.Target) error {
	err := s.withOurs(ctx, func(k socket) error {
		err := s.ipset().do(k, ipsetDel, unix.NLM_F_EXCL, addr)
		if errors.Is(err, ipsetErrAbsent) {
			return nil
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("deleting %s from set %s: %w", addr, setName(s.v6), err)
	}
	return err
}

func (s set) removeAll(ctx context.Context, addrs []target.Target) error {
	return s.withOurs(ctx, func(k socket) error { return s.ipset().doAll(ctx, k, ipsetDel, addrs) })
}

func (s set) flush(ctx context.Context) error {
	return s.withOurs(ctx, func(k socket) error { return s.ipset().whole(k, ipsetFlush) })
}

// withOurs calls change where there is a set and it is ours: nobody of ours is in any other.
func (s set) withOurs(ctx context.Context, change func(socket) error) error {
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return err
	}
	exists, err := s.ipset().check(k)
	if err == nil && exists {
		err = change(k)
	}
	if errors.Is(err, errForeign) || noSet(err) {
		return nil
	}
	return err
}

func (s set) list(ctx context.Context) (l enforcer.Listing, err error) {
	k, err := s.kernel.dial(ctx)
	if err == nil {
		l.Blocks, err = s.ipset().members(k)
	}
	if err != nil || len(l.Blocks) == 0 {
		return l, err
	}
	faults, before, err := s.bypasses(ctx)
	open := func(addr target.Target) string { return s.past(first(faults), before.of(addr)) }
	if err != nil {
		open = func(target.Target) string { return "whether set " + setName(s.v6) + " is dropped cannot be seen" }
	}
	for _, other := range s.strays(ctx) { // after a change, until what is used now is made
		if faults, before, err := (set{other}).bypasses(ctx); err == nil && len(faults) == 0 {
			here := open
			open = func(addr target.Target) string {
				if before.of(addr) < 0 {
					return ""
				}
				return here(addr)
			}
		}
	}
	l.Faults = faults
	for i, member := range l.Blocks {
		l.Blocks[i].Open = open(member.Target)
		if why := l.Blocks[i].Open; err == nil && why != "" && !slices.Contains(l.Faults, why) {
			l.Faults = append(l.Faults, why)
		}
	}
	if h, headerErr := s.ipset().header(k); headerErr == nil && s.isTooSmall(h) {
		l.Faults = append(l.Faults,
			fmt.Sprintf("set %s is full and was made smaller than firewall.max_addresses allows",
				setName(s.v6)))
	}
	return l, err
}

// bypasses are what lets packets by the set, a line each, and what lets those of some members by.
func (s set) bypasses(ctx context.Context) (faults []string, before gaps, err error) {
	all := chains{}
	if s.program != "" {
		if all, err = s.seen(ctx); err != nil {
			return nil, before, err
		}
	}
	now := look(all.look)
	faults = s.faults(ctx, now, s.forwards())
	before, drops := now.setRule(all[Chain], setName(s.v6), s.opts.Target)
	if !drops {
		faults = append(faults, fmt.Sprintf("%s does not drop set %s", Chain, setName(s.v6)))
	}
	return faults, before, nil
}

// isTooSmall reports whether the set is full and was made when fewer addresses were allowed.
func (s set) isTooSmall(h *ipsetHeader) bool {
	return h != nil && h.members >= h.size && h.size < s.opts.MaxAddresses
}

func (s set) mend(ctx context.Context) (changes []string, err error) {
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return nil, err
	}
	h, err := s.ipset().header(k)
	switch {
	case err != nil || h == nil:
		return nil, err
	case h.foreign != nil || h.members == 0:
		return nil, h.foreign
	}
	ctx, unlock := s.lock(ctx)
	defer unlock()
	if changes, err = s.mendPlace(ctx, true); err == nil && s.isTooSmall(h) {
		changes = append(changes, fmt.Sprintf("made room for %d addresses in set %s",
			s.opts.MaxAddresses, setName(s.v6)))
		err = s.ipset().grow(ctx, k, s.opts.MaxAddresses)
	}
	return changes, err
}

// retire deletes the set and the rule on it.
func (s set) retire(ctx context.Context) error {
	if s.program != "" {
		ours, err := s.ourRules(ctx)
		if err != nil {
			return err
		}
		var commands []string
		for _, r := range ours {
			if r.set == setName(s.v6) {
				commands = append(commands, "-D "+Chain+" "+joinWords(r.spec))
			}
		}
		if err := s.inChunks(ctx, commands); err != nil {
			return err
		}
	}
	return s.withOurs(ctx, func(k socket) error { return s.ipset().whole(k, ipsetDestroy) })
}
