package firewall

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/run"
)

// Our chain and the set stay full of addresses when somebody flushes what leads to them
// (`iptables -F INPUT`) or what drops the set (`iptables -F OSSEC_AR`), and stop nobody.

// idle says why rules on addresses stop nobody, and why members of the set do not, in the
// form of enforcer.Block's Idle. What cannot be found out is taken to be in force.
func (f family) idle(ctx context.Context) (rules, members string) {
	for _, chain := range f.entries() {
		s, err := f.standingFrom(ctx, chain)
		if err != nil {
			return "", ""
		}
		leads := fmt.Sprintf("%s does not lead to %s", chain, Chain)
		switch {
		case !s.chain:
			absent := "there is no chain " + Chain
			return absent, absent
		case !s.bare && rules == "":
			rules = leads
		}
		switch {
		case members != "":
		case !s.bare && !s.bySet:
			members = leads
		case !s.stops:
			members = fmt.Sprintf("%s does not drop the set %s", Chain, setName(f.v6))
		}
	}
	return rules, members
}

// idleMembers is idle for members of the set, which any iptables may drop.
func (f family) idleMembers(ctx context.Context) (why string) {
	makes := f.strays()
	if f.program != "" {
		makes = append([]family{f}, makes...)
	}
	for i, one := range makes {
		_, members := one.idle(ctx)
		if members == "" {
			return ""
		}
		if i == 0 {
			why = members
		}
	}
	return why
}

// standingFrom is standing for one chain that should lead to ours, with all of our rules gone
// through. Of a program of unknown make it is what that lists.
func (f family) standingFrom(ctx context.Context, chain string) (standing, error) {
	if f.make != unknownMake {
		return f.standing(ctx, []string{chain}, netip.IPv6Unspecified())
	}
	out, err := run.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-S")
	if err != nil {
		return standing{}, err
	}
	chains := readChains(string(out))
	if chain == forwardChain && slices.ContainsFunc(chains[chain], chainRule.leadsToDocker) {
		chain = dockerUserChain
	}
	jumps := func(match ...string) bool {
		return slices.ContainsFunc(chains[chain], func(r chainRule) bool { return r.target == Chain && slices.Equal(r.match, match) })
	}
	ours, exists := chains[Chain]
	return standing{
		chain: exists, bare: jumps(), bySet: jumps(f.bySet()...),
		stops: slices.ContainsFunc(ours, func(r chainRule) bool { return r.dropsSet(setName(f.v6)) }),
	}, nil
}

// idleTable is idle for the table of our own.
func (e *Firewall) idleTable(c *conn) string {
	stands, err := e.tableBlocks(c, kernelRule.endsSet)
	if err != nil || stands {
		return ""
	}
	return fmt.Sprintf("the chains of table inet %s do not drop it", nftTableName)
}
