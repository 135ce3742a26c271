package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// List implements enforcer.Enforcer: what stands anywhere, each address once.
func (e *Firewall) List(ctx context.Context) (enforcer.Listing, error) {
	ctx, cancel := e.within(ctx, whole)
	defer cancel()
	var l enforcer.Listing
	failed, err := e.eachSide(ctx, func(s *side) error {
		one, err := s.list(ctx)
		if s.fallBack(ctx, err) {
			one, err = s.list(ctx)
		}
		l.Blocks = append(slices.Grow(l.Blocks, len(one.Blocks)), one.Blocks...) // the families share none
		l.Faults = append(l.Faults, s.named(one.Faults)...)
		return err
	})
	for _, err := range failed {
		l.Faults = append(l.Faults, err.Error())
	}
	return l, err
}

func (s *side) list(ctx context.Context) (l enforcer.Listing, err error) {
	for _, b := range s.places(ctx) {
		one, oneErr := b.list(ctx)
		if n := len(one.Blocks); b != s.used && n > 0 {
			one.Faults = []string{fmt.Sprintf("%d addresses stand in %s, where this configuration puts none", n,
				b.name())}
		}
		l, err = merge(l, one), errors.Join(err, oneErr)
	}
	return l, err
}

// named marks lines about IPv6 as such.
func (h *host) named(lines []string) []string {
	if h.v6 {
		for i := range lines {
			lines[i] = "IPv6: " + lines[i]
		}
	}
	return lines
}

// merge joins two listings. An address that stands twice is in force if one of the two is.
func merge(a, b enforcer.Listing) enforcer.Listing {
	if len(a.Blocks) == 0 && len(a.Faults) == 0 {
		return b
	}
	at := map[target.Target]int{}
	if len(b.Blocks) > 0 {
		for i, block := range a.Blocks {
			at[block.Target] = i
		}
		a.Blocks = slices.Grow(a.Blocks, len(b.Blocks))
	}
	for _, block := range b.Blocks {
		i, twice := at[block.Target]
		if !twice {
			a.Blocks = append(a.Blocks, block)
			continue
		}
		have := &a.Blocks[i]
		have.Counted = have.Counted || block.Counted
		have.Packets += block.Packets
		have.Bytes += block.Bytes
		if block.Open == "" {
			have.Open = ""
		}
	}
	for _, fault := range b.Faults {
		if !slices.Contains(a.Faults, fault) {
			a.Faults = append(a.Faults, fault)
		}
	}
	return a
}

// verify returns an error unless all addresses are in force in the place that is used.
func (s *side) verify(ctx context.Context, addrs []target.Target) error {
	l, err := s.used.list(ctx)
	if err != nil {
		return err
	}
	stands := make(map[target.Target]string, len(l.Blocks))
	for _, b := range l.Blocks {
		stands[b.Target] = b.Open
	}
	for _, addr := range addrs {
		if open, is := stands[addr]; !is || open != "" {
			return fmt.Errorf("%s is not in force in %s %s", addr, s.used.name(), open)
		}
	}
	return nil
}
