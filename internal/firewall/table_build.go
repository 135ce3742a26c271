package firewall

import (
	"fmt"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// build makes the table with the sets that it has always and those that are needed beside those that
// it has, and the chain with a rule for each of them.
func (t table) build(k socket, have, needed []nftSet) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: nftTableName, Family: nftables.TableFamilyINet})
	var sets []nftSet
	for _, s := range nftSets {
		missing := !slices.Contains(have, s)
		if missing && !s.always() && !slices.Contains(needed, s) {
			continue
		}
		sets = append(sets, s)
		if !missing {
			continue
		}
		set := &nftables.Set{
			Table: table, Name: s.name(), KeyType: nftables.TypeIPAddr, Counter: true,
			// A set with a size is made that large at once, unless it is dynamic.
			Size: uint32(t.opts.MaxAddresses), Dynamic: true,
		}
		if s.v6 {
			set.KeyType = nftables.TypeIP6Addr
		}
		if err := conn.AddSet(set, nil); err != nil {
			return err
		}
	}
	used, other := t.baseChains()
	accept := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: used.name, Table: table, Type: nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookRef(nftables.ChainHook(used.hook)),
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(used.priority)), Policy: &accept,
	})
	conn.FlushChain(chain)
	for _, s := range sets {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: t.dropSet(s)})
	}
	if is, err := ourTable.chain(k, other.name); err == nil && is != nil {
		left := &nftables.Chain{Name: other.name, Table: table}
		conn.FlushChain(left)
		conn.DelChain(left)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("making table inet %s: %w", nftTableName, err)
	}
	return nil
}

// dropSet is `ip saddr @blocked4 drop`, or `ip6 saddr & ffff:ffff:ffff:ffff:: @blocked6_64 drop`.
func (t table) dropSet(s nftSet) []expr.Any {
	protocol, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	if s.v6 {
		protocol, offset = unix.NFPROTO_IPV6, 8
	}
	rule := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: s.bytes()},
	}
	if !s.always() {
		rule = append(rule, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: s.bytes(),
			Mask: net.CIDRMask(s.bits, 128), Xor: make([]byte, s.bytes())})
	}
	rule = append(rule, &expr.Lookup{SourceRegister: 1, SetName: s.name()})
	if t.opts.Target == "REJECT" {
		return append(rule, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH,
			Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH})
	}
	return append(rule, &expr.Verdict{Kind: expr.VerdictDrop})
}
