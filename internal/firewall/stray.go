package firewall

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// The kernel goes on blocking by rules of an iptables that is not in use any more: it was
// uninstalled, or update-alternatives(1) gave its name to the other make.

// strays are the makes of iptables beside the one in use whose rules may be in the kernel.
// The table of the old one is looked at only where the kernel has it, for the question
// would make it.
func (f family) strays() []family {
	var others []family
	if !f.looksEverywhere(f) {
		return nil
	}
	stray := f
	stray.program = ""
	if f.make != overNFT {
		stray.make = overNFT
		others = append(others, stray)
	}
	if f.make != legacy && f.kernelHasLegacyTable() {
		stray.make = legacy
		others = append(others, stray)
	}
	return others
}

func (f family) kernelHasLegacyTable() bool {
	name := "thread-self/net/ip_tables_names" // of the network that the tables are asked for in
	if f.v6 {
		name = "thread-self/net/ip6_tables_names"
	}
	tables, err := state.Read(filepath.Join(f.opts.Proc, name), 4096)
	return err == nil && slices.Contains(strings.Fields(string(tables)), table)
}

// strayName is how a person knows the make.
func (f family) strayName() string {
	name := "iptables-nft"
	if f.make == legacy {
		name = "iptables-legacy"
	}
	if f.v6 {
		name = "ip6" + strings.TrimPrefix(name, "ip")
	}
	return name
}

// withProgram finds the program that alone can change the table of the old iptables.
func (f family) withProgram() (family, error) {
	program, err := exec.Find(f.strayName(), f.opts.ToolDirs)
	if err != nil {
		return f, fmt.Errorf("a rule of the old iptables blocks: %w", err)
	}
	f.program = program
	return f, nil
}

// strayRules lists the addresses that a stray blocks, each once, without its program.
func (f family) strayRules(ctx context.Context) ([]rule, error) {
	var rules []rule
	seen := map[netip.Addr]bool{}
	collect := func(r kernelRule) error {
		if r.blocks() && !seen[r.source] {
			seen[r.source] = true
			rules = append(rules, rule{addr: r.source})
		}
		return nil
	}
	if f.make == legacy {
		err := firstLegacyRules(f.v6, collect)
		return rules, err
	}
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	err = absentIsFine(iptablesTable(f.v6).rules(c, Chain, collect))
	return rules, err
}

// unblockStrays deletes what strays have on the address and tells whether there was any.
func (f family) unblockStrays(ctx context.Context, addr netip.Addr) (was bool, err error) {
	for _, stray := range f.strays() {
		if stray.make == legacy {
			s, err := stray.standingLegacy(nil, addr)
			if err != nil {
				return was, err
			}
			if !s.blocks {
				continue
			}
			if stray, err = stray.withProgram(); err != nil {
				return was, err
			}
		}
		one, err := stray.unblockByRule(ctx, addr)
		if err != nil {
			return was, err
		}
		was = was || one
	}
	return was, nil
}

// liftStrays is unblockStrays for many.
func (f family) liftStrays(ctx context.Context, addrs []netip.Addr) error {
	gone := make(map[netip.Addr]bool, len(addrs))
	for _, addr := range addrs {
		gone[addr] = true
	}
	return f.clearStrays(ctx, func(addr netip.Addr) bool { return gone[addr] },
		func(stray family) error { return stray.deleteRules(ctx, addrs, func(int) {}) })
}

// flushStrays empties the chains that strays left.
func (f family) flushStrays(ctx context.Context) error {
	return f.clearStrays(ctx, func(netip.Addr) bool { return true }, func(stray family) error { return stray.flushChain(ctx) })
}

// clearStrays deletes the rules that strays have on wanted addresses. byProgram does it in
// the table of the old iptables, if there are any.
func (f family) clearStrays(ctx context.Context, wanted func(netip.Addr) bool, byProgram func(family) error) error {
	for _, stray := range f.strays() {
		if stray.make == overNFT {
			if _, err := stray.deleteOverNFT(ctx, wanted); err != nil {
				return err
			}
			continue
		}
		rules, err := stray.strayRules(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(rules, func(r rule) bool { return wanted(r.addr) }) {
			continue
		}
		if stray, err = stray.withProgram(); err != nil {
			return err
		}
		if err := byProgram(stray); err != nil {
			return err
		}
	}
	return nil
}

// inspectStrays names who is blocked by what is not in use.
func (f family) inspectStrays(ctx context.Context) (found []enforcer.Finding) {
	for _, stray := range f.strays() {
		rules, err := stray.strayRules(ctx)
		if err == nil {
			rules, err = stray.inForce(ctx, rules)
		}
		if err != nil || len(rules) == 0 {
			continue // in the way of its own program too, and told by that
		}
		found = append(found, enforcer.Finding{
			What: stray.strayName(), Verdict: enforcer.Warn, Mend: "firewall-drop restore, which moves what is leased",
			Found: fmt.Sprintf("it is not in use any more, but %d rules of it in chain %s block addresses still", len(rules), Chain),
		})
	}
	return found
}
