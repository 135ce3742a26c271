package firewall

import (
	"errors"
	"net/netip"
)

// kernelRule is one rule as the kernel holds it, read without a program.
type kernelRule struct {
	source  netip.Addr // the one address that it matches, if that is what it matches
	set     string     // "" or how it matches a set by source: its name, or anySet
	verdict string     // DROP, REJECT, ACCEPT, RETURN, or the name of a chain that it jumps to; "" for others
	// plain tells that there is no further condition.
	plain  bool
	handle uint64 // by which nf_tables deletes it
}

// anySet stands for the set of a rule of iptables, which holds a number instead of a name.
const anySet = "any"

func (r kernelRule) jumps() bool { return r.leadsTo(Chain) }

// leadsTo tells that all packets jump to the chain.
func (r kernelRule) leadsTo(chain string) bool {
	return r.plain && r.verdict == chain && !r.source.IsValid() && r.set == ""
}

func (r kernelRule) jumpsBySet() bool {
	return r.plain && r.verdict == Chain && !r.source.IsValid() && r.set != ""
}

// passes tells that it lets all packets through.
func (r kernelRule) passes() bool { return r.leadsTo("ACCEPT") || r.leadsTo("RETURN") }

// blocks tells that it blocks a single address.
func (r kernelRule) blocks() bool { return r.plain && r.source.IsValid() && r.set == "" && r.ends() }

// blocksSet tells that it blocks the members of a set with that target.
func (r kernelRule) blocksSet(target string) bool { return r.endsSet() && r.verdict == target }

// endsSet tells that it blocks the members of a set.
func (r kernelRule) endsSet() bool {
	return r.plain && r.set != "" && !r.source.IsValid() && r.ends()
}

func (r kernelRule) ends() bool { return r.verdict == "DROP" || r.verdict == "REJECT" }

// standing is what the kernel says about our chain and the ways to it.
type standing struct {
	chain  bool // there is one
	bare   bool // all chains that should jump to it do, whatever the packet
	bySet  bool // all of them do for members of the set
	plain  bool // one of them does, whatever the packet
	drops  bool // it drops members of the set, by the target that is configured
	stops  bool // it does so by any target; known where all of its rules were gone through
	rules  int  // on single addresses
	blocks bool // one of them is on the address that was asked about
}

// errUnknownMake says that the kernel cannot be asked about the rules.
var errUnknownMake = errors.New("iptables is of an unknown make")
