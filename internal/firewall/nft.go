package firewall

import (
	"path/filepath"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// overNFT reports whether the program is the variant of iptables that works through
// nf_tables, by the file that its name leads to.
func (f family) overNFT() bool {
	real, err := filepath.EvalSymlinks(f.program)
	return err == nil && filepath.Base(real) == "xtables-nft-multi"
}

// jumpsStand asks the kernel whether every one of the chains jumps to ours without a
// condition. Over nf_tables that takes one small dump a chain, where `iptables -C`
// fetches every rule there is: 45 ms with 10,000 of them (iptables 1.8.9).
func (f family) jumpsStand(chains []string) bool {
	kernel, err := nftables.New()
	if err != nil {
		return false
	}
	table := &nftables.Table{Name: table, Family: nftables.TableFamilyIPv4}
	if f.v6 {
		table.Family = nftables.TableFamilyIPv6
	}
	for _, name := range chains {
		rules, err := kernel.GetRules(table, &nftables.Chain{Name: name, Table: table})
		if err != nil || !anyJump(rules) {
			return false
		}
	}
	return true
}

func anyJump(rules []*nftables.Rule) bool {
	for _, r := range rules {
		if jumpsAlways(r.Exprs) {
			return true
		}
	}
	return false
}

// jumpsAlways tells a bare jump to our chain from one with a match before it.
func jumpsAlways(expressions []expr.Any) bool {
	for _, e := range expressions {
		switch e := e.(type) {
		case *expr.Counter:
		case *expr.Verdict:
			return e.Kind == expr.VerdictJump && e.Chain == Chain
		default:
			return false
		}
	}
	return false
}
