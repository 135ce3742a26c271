package firewall

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// Flush implements enforcer.Enforcer. The chain, the jumps, the sets stay, unless they
// are another backend's.
func (e *Firewall) Flush(ctx context.Context) error {
	clear, err := e.emptyAll(ctx)
	if err != nil || !clear {
		return err
	}
	return e.tidy(ctx)
}

// emptyAll takes all addresses out of all places. It tells whether there is more to look
// at than rules.
func (e *Firewall) emptyAll(ctx context.Context) (inKernel bool, err error) {
	defer e.lock()() // for who carries rules over into the set at this moment
	inKernel, err = e.eachFamily(func(f family) error { return f.flushChain(ctx) })
	if err != nil || !inKernel {
		return inKernel, err
	}
	for _, v6 := range []bool{false, true} {
		f, _ := e.family(v6) // without the program, what it left is looked for
		if err := f.flushStrays(ctx); err != nil {
			return inKernel, err
		}
	}
	c, err := dial(ctx)
	if err != nil {
		return inKernel, err
	}
	defer c.close()
	for _, v6 := range []bool{false, true} {
		if err := setOf(v6).whole(c, ipsetFlush); err != nil && !noSet(err) {
			return inKernel, fmt.Errorf("flushing set %s: %w", setName(v6), err)
		}
		if err := ourTable().clear(c, v6); err != nil {
			return inKernel, fmt.Errorf("flushing set %s of table inet %s: %w", nftSetName(v6), nftTableName, err)
		}
	}
	return inKernel, nil
}

// flushChain deletes all rules of our chain, if there is one.
func (f family) flushChain(ctx context.Context) error {
	_, err := exec.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-F", Chain)
	if err != nil && !absent(err) {
		return fmt.Errorf("flushing chain %s: %w", Chain, err)
	}
	return nil
}

// tidy takes away what another backend made and nothing needs any more. What still
// blocks somebody stays.
func (e *Firewall) tidy(ctx context.Context) error {
	defer e.lock()()
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	ownsTable := e.opts.Backend == NFTables
	for _, v6 := range []bool{false, true} {
		f, err := e.family(v6)
		switch {
		case e.standsInForIPTables(err):
			ownsTable = true
		case err == nil && f.make != unknownMake:
			if err := f.tidy(ctx, c); err != nil {
				return err
			}
		}
	}
	if ownsTable {
		return nil
	}
	for _, v6 := range []bool{false, true} {
		if empty, err := ourTable().empty(c, v6); err != nil || !empty {
			return err
		}
	}
	return ourTable().drop(c)
}

func (f family) tidy(ctx context.Context, c *conn) error {
	h, err := setOf(f.v6).header(c)
	if err != nil {
		return err
	}
	s, err := f.standing(ctx, nil, netip.IPv6Unspecified()) // to go through all rules
	if err != nil {
		return err
	}
	setExists, setEmpty := h != nil, h == nil || h.members == 0
	switch f.opts.Backend {
	case IPTables:
		if !setExists || !setEmpty {
			return nil
		}
	case IPSet:
		if !s.chain || s.rules > 0 {
			return nil
		}
	case Auto:
		return nil // it uses all that any other leaves here
	case NFTables:
		if !s.chain && !setExists || s.rules > 0 || !setEmpty {
			return nil
		}
	}
	t, err := f.tables(ctx)
	if err != nil {
		return err
	}
	p := &place{f: f, tables: t}
	switch f.opts.Backend {
	case IPTables:
		return p.dropSet(c, s)
	case IPSet:
		return p.dropJumps()
	}
	if setExists {
		if err := p.dropSet(c, s); err != nil {
			return err
		}
	}
	if !s.chain {
		return nil
	}
	if err := p.dropJumps(); err != nil {
		return err
	}
	// With rules of somebody else in it the chain stays.
	_ = t.do(func() error { return t.ipt.DeleteChain(table, Chain) })
	return nil
}

// dropSet deletes the set and the rules on it.
func (p *place) dropSet(c *conn, s standing) error {
	if s.chain {
		if err := p.dropJumps(p.f.bySet()...); err != nil {
			return err
		}
		rules, err := p.setRules()
		if err == nil {
			err = p.dropSetRules(rules, nil)
		}
		if err != nil {
			return err
		}
	}
	set := setOf(p.f.v6)
	if err := set.whole(c, ipsetDestroy); err != nil && !noSet(err) {
		return fmt.Errorf("deleting set %s: %w", set.name, err)
	}
	return nil
}
