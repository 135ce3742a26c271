package firewall

import (
	"context"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

var _ enforcer.Prober = (*Firewall)(nil)

// Missing implements enforcer.Prober for sets: that rules are gone, Block finds out by itself
// (enforcer.Outcome.Alone).
func (e *Firewall) Missing(ctx context.Context, addr netip.Addr) bool {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	f, _ := e.family(addr.Is6()) // without the program, only sets are looked at
	if e.opts.Backend == IPTables || !e.looksEverywhere(f) {
		return false
	}
	c, err := dial(ctx)
	if err != nil {
		return false
	}
	defer c.close()
	set := setOf(addr.Is6())
	if in, err := set.has(c, addr); err != nil || in {
		return false
	}
	auto := f.program != "" && e.opts.Backend == Auto
	if auto { // before there is a set, rules block; from then on they block nobody
		if exists, err := set.exists(c); err != nil || !exists {
			return false
		}
	}
	if in, err := ourTable().has(c, addr); err != nil || in {
		return false
	}
	if !auto && f.program != "" {
		if s, err := f.standing(ctx, nil, addr); err != nil || s.blocks {
			return false
		}
	}
	for _, stray := range f.strays() {
		if s, err := stray.standing(ctx, nil, addr); err != nil || s.blocks {
			return false
		}
	}
	return true
}
