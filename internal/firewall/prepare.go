package firewall

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Prepare makes what saved rules of iptables may refer to, where it is missing: the sets and the
// chain, empty and without a jump. It is for the boot, before somebody loads such rules: one
// reference to a set that is not there, and iptables-restore refuses the whole file.
func (e *Firewall) Prepare(ctx context.Context) error {
	ctx, cancel := e.within(ctx, 1)
	defer cancel()
	failed, err := e.eachSide(ctx, func(s *side) error {
		if s.program == "" {
			return nil // then nobody can load such rules
		}
		return errors.Join(s.prepareSet(ctx), s.prepareChain(ctx))
	})
	return errors.Join(append(failed, err)...)
}

func (s *side) prepareSet(ctx context.Context) error {
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return err
	}
	mine := setOf(s.v6)
	exists, err := mine.check(k)
	if err != nil || exists || !knowsSets(k) {
		return err // without ipset no such rule was ever saved
	}
	places := 0 // that the kernel chooses: no set is used with these backends
	if s.opts.Backend == Auto || s.opts.Backend == IPSet {
		places = min(s.opts.MaxAddresses, ipsetPlaces)
	}
	err = mine.createWith(k, s.opts.MaxAddresses, places)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("making set %s: %w", mine.name, ipsetError(err))
	}
	return nil
}

func (s *side) prepareChain(ctx context.Context) error {
	all, err := s.chains(ctx)
	if _, exists := all[Chain]; err != nil || exists {
		return err
	}
	if err := s.commands(ctx, "-N "+Chain); err != nil {
		return fmt.Errorf("making chain %s: %w", Chain, err)
	}
	return nil
}
