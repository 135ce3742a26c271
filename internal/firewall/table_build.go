package firewall

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// build makes the table with the sets of the families that lack theirs.
func (t table) build(missing map[bool]bool) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: nftTableName, Family: nftables.TableFamilyINet})
	for v6, missing := range missing {
		set := &nftables.Set{
			Table: table, Name: nftSetName(v6), KeyType: nftables.TypeIPAddr, Counter: true,
			// A set with a size is made that large at once, unless it is dynamic.
			Size: uint32(t.opts.MaxAddresses), Dynamic: true,
		}
		if v6 {
			set.KeyType = nftables.TypeIP6Addr
		}
		if missing {
			if err := conn.AddSet(set, nil); err != nil {
				return err
			}
		}
	}
	accept := nftables.ChainPolicyAccept
	hooks := map[string]*nftables.ChainHook{nftInput: nftables.ChainHookInput, nftForward: nftables.ChainHookForward}
	for _, name := range t.baseChains() {
		chain := conn.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hooks[name],
			Priority: nftables.ChainPriorityRef(nftPriority), Policy: &accept,
		})
		conn.FlushChain(chain)
		for _, v6 := range []bool{false, true} {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: t.dropSet(v6)})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("making table inet %s: %w", nftTableName, err)
	}
	return nil
}

// dropSet is `ip saddr @blocked4 drop` or its like.
func (t table) dropSet(v6 bool) []expr.Any {
	protocol, offset, length := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if v6 {
		protocol, offset, length = unix.NFPROTO_IPV6, 8, 16
	}
	rule := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Lookup{SourceRegister: 1, SetName: nftSetName(v6)},
	}
	if t.opts.Target == "REJECT" {
		return append(rule, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH})
	}
	return append(rule, &expr.Verdict{Kind: expr.VerdictDrop})
}
