package firewall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// nftPriority puts our chains before those of others that filter (priority 0).
const nftPriority = -10

// blockNFT blocks through the table of our own.
func (e *Firewall) blockNFT(ctx context.Context, addr netip.Addr) (enforcer.Outcome, error) {
	var out enforcer.Outcome
	c, err := dial(ctx)
	if err != nil {
		return out, err
	}
	defer c.close()
	t := ourTable()
	err = t.add(c, addr)
	if err == nil {
		var stands bool
		if stands, err = e.tableStands(c); err == nil && stands {
			return out, nil
		}
	}
	if errors.Is(err, ErrFull) {
		return out, e.growTable(ctx, c, addr)
	}
	err = tryAgain(ctx, func() error {
		founded, err := e.ensureTable(c)
		if err != nil {
			return err
		}
		out.Founded, out.Remade = out.Founded || founded, true
		return t.add(c, addr)
	})
	return out, err
}

// nftChains are the base chains that the table has.
func (e *Firewall) nftChains() []string {
	if e.opts.Forward == "never" {
		return []string{nftInput}
	}
	return []string{nftInput, nftForward}
}

// tableStands tells whether both sets are dropped in all chains, before anything lets all
// through.
func (e *Firewall) tableStands(c *conn) (bool, error) {
	return e.tableBlocks(c, func(r kernelRule) bool { return r.blocksSet(e.opts.Target) })
}

// tableBlocks is tableStands by rules that block.
func (e *Firewall) tableBlocks(c *conn, blocks func(kernelRule) bool) (bool, error) {
	for _, chain := range e.nftChains() {
		drops4, drops6, passed := false, false, false
		err := ourTable().rules(c, chain, func(r kernelRule) error {
			if passed = passed || r.passes(); passed {
				return nil
			}
			drops4 = drops4 || blocks(r) && r.set == nftSet4
			drops6 = drops6 || blocks(r) && r.set == nftSet6
			return nil
		})
		if err != nil || !drops4 || !drops6 {
			return false, err
		}
	}
	dormant, err := ourTable().dormant(c)
	return err == nil && !dormant, err
}

// ensureTable makes the table, its sets, chains and rules, whichever is missing, in one
// transaction, and tells whether a set was missing. What else stands in its chains goes.
func (e *Firewall) ensureTable(c *conn) (founded bool, err error) {
	defer e.lock()()
	if stands, err := e.tableStands(c); err == nil && stands {
		return false, nil // another process was first
	}
	kernel, err := nftables.New()
	if err != nil {
		return false, err
	}
	table := kernel.AddTable(&nftables.Table{Name: nftTableName, Family: nftables.TableFamilyINet})
	for _, v6 := range []bool{false, true} {
		exists, err := ourTable().hasSet(c, v6)
		if err != nil {
			return false, fmt.Errorf("looking at table inet %s: %w", nftTableName, err)
		}
		if exists {
			continue
		}
		founded = true
		if err := kernel.AddSet(e.nftSet(table, v6), nil); err != nil {
			return false, err
		}
	}
	e.addRules(kernel, table, e.emptyChains(c, kernel, table))
	if err := kernel.Flush(); err != nil {
		return false, fmt.Errorf("making table inet %s: %w", nftTableName, cmp.Or(e.foreignChain(c), err))
	}
	return founded, nil
}

// foreignChain says which chain of the table is not hooked as ours are: nf_tables changes no
// hook, and refuses the whole.
func (e *Firewall) foreignChain(c *conn) error {
	hooks := map[string]uint32{nftInput: unix.NF_INET_LOCAL_IN, nftForward: unix.NF_INET_FORWARD}
	for _, name := range e.nftChains() {
		chain, err := ourTable().chain(c, name)
		if err != nil || chain == nil {
			continue // what is wrong, the transaction has told
		}
		hook := find(chain, unix.NFTA_CHAIN_HOOK)
		if hook == nil || uint32Of(find(hook, unix.NFTA_HOOK_HOOKNUM)) != hooks[name] || int32(uint32Of(find(hook, unix.NFTA_HOOK_PRIORITY))) != nftPriority {
			return fmt.Errorf("%w: chain %s has not the hook and priority", errForeign, name)
		}
	}
	return nil
}

func (e *Firewall) nftSet(table *nftables.Table, v6 bool) *nftables.Set {
	s := &nftables.Set{
		Table: table, Name: nftSetName(v6), KeyType: nftables.TypeIPAddr, Counter: true,
		// A set with a size is made that large at once, unless it is dynamic.
		Size: uint32(e.opts.MaxAddresses), Dynamic: true,
	}
	if v6 {
		s.KeyType = nftables.TypeIP6Addr
	}
	return s
}

// emptyChains makes the base chains and takes all out of them. One that another
// configuration needs is emptied too, if it is there.
func (e *Firewall) emptyChains(c *conn, kernel *nftables.Conn, table *nftables.Table) []*nftables.Chain {
	hooks := map[string]*nftables.ChainHook{nftInput: nftables.ChainHookInput, nftForward: nftables.ChainHookForward}
	accept := nftables.ChainPolicyAccept
	var chains []*nftables.Chain
	for _, name := range e.nftChains() {
		chain := kernel.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hooks[name],
			Priority: nftables.ChainPriorityRef(nftPriority), Policy: &accept,
		})
		kernel.FlushChain(chain)
		chains = append(chains, chain)
	}
	if use, err := ourTable().use(c, nftForward); len(chains) == 1 && err == nil && use >= 0 {
		kernel.FlushChain(&nftables.Chain{Name: nftForward, Table: table})
	}
	return chains
}

// addRules puts our rules into the chains.
func (e *Firewall) addRules(kernel *nftables.Conn, table *nftables.Table, chains []*nftables.Chain) {
	for _, chain := range chains {
		for _, v6 := range []bool{false, true} {
			kernel.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: e.nftRule(v6)})
		}
	}
}

// nftRule is `ip saddr @blocked4 drop` or its like.
func (e *Firewall) nftRule(v6 bool) []expr.Any {
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
	if e.opts.Target == "REJECT" {
		return append(rule, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH})
	}
	return append(rule, &expr.Verdict{Kind: expr.VerdictDrop})
}

// growTable makes room where the set was made for fewer addresses than are allowed by now,
// and adds addrs. nf_tables cannot exchange two sets, so for the moment that it takes to
// fill the new one, those in it get through. Nothing is lost in between: a full set takes
// nobody in, and who takes somebody out waits for the lock.
func (e *Firewall) growTable(ctx context.Context, c *conn, addrs ...netip.Addr) error {
	defer e.lock()()
	v6 := addrs[0].Is6()
	fill := func(addrs []netip.Addr) error {
		return ourTable().doAll(ctx, c, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, v6, addrs, func(int) {})
	}
	if err := fill(addrs); !errors.Is(err, ErrFull) {
		return err // another process was first
	}
	kernel, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: nftTableName, Family: nftables.TableFamilyINet}
	set, err := kernel.GetSetByName(table, nftSetName(v6))
	if err != nil {
		return fmt.Errorf("looking at the set: %w", err)
	}
	if int(set.Size) >= e.opts.MaxAddresses {
		return e.full()
	}
	all := slices.Clone(addrs)
	if err := ourTable().members(c, v6, func(b enforcer.Block) { all = append(all, b.Addr) }); err != nil {
		return err
	}
	chains := e.emptyChains(c, kernel, table)
	kernel.DelSet(set)
	if err := kernel.AddSet(e.nftSet(table, v6), nil); err != nil {
		return err
	}
	e.addRules(kernel, table, chains)
	if err := kernel.Flush(); err != nil {
		return fmt.Errorf("making a larger set: %w", err)
	}
	return fill(all)
}

// full is the error of a set that holds all it may.
func (e *Firewall) full() error {
	return fmt.Errorf("%w: firewall.max_addresses is %d", ErrFull, e.opts.MaxAddresses)
}
