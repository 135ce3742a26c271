package firewall

import (
	"context"
	"net/netip"

	"golang.org/x/sys/unix"

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
	for _, has := range []func(*conn, netip.Addr) (bool, error){setOf(addr.Is6()).has, ourTable().has} {
		if in, err := has(c, addr); err != nil || in {
			return false
		}
	}
	switch {
	case f.program == "":
		return true
	case e.opts.Backend == Auto: // where there is a set, rules block nobody
		exists, err := setOf(addr.Is6()).exists(c)
		return err == nil && exists
	}
	s, err := f.standing(ctx, nil, addr)
	return err == nil && !s.blocks
}

func (s ipset) has(c *conn, addr netip.Addr) (bool, error) {
	return found(s.do(c, ipsetTest, 0, addr))
}

func (t nftTable) has(c *conn, addr netip.Addr) (bool, error) {
	var r requests
	t.elements(&r, unix.NFT_MSG_GETSETELEM, 0, addr.Is6(), addr)
	err := c.askOne(&r)
	return err == nil, absentIsFine(err)
}
