package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// The rules of iptables over nf_tables are read and written without running it, in the
// very form that it would give them: running it costs more than all the rest of a
// response, and `iptables -C` and `-D` fetch every rule there is: 54 and 67 ms with 10,000
// of them (iptables 1.8.9).

// standingNFT looks at what matters to a block over nf_tables: the chains that should
// jump to ours, and our own. With addr, all of our rules are gone through.
func (f family) standingNFT(ctx context.Context, c *conn, chains []string, addr netip.Addr) (standing, error) {
	t := iptablesTable(f.v6)
	s := standing{bare: true, bySet: true}
	use, err := t.use(c, Chain)
	if err != nil || use < 0 {
		return standing{}, err
	}
	s.chain = true
	for _, chain := range chains {
		j, err := t.jumpsOf(c, chain)
		if err != nil {
			return s, err
		}
		use -= j.count
		s.bare, s.bySet, s.plain = s.bare && j.bare, s.bySet && j.bySet, s.plain || j.bare
	}
	if addr.IsValid() {
		return s, t.rules(c, Chain, func(r kernelRule) error {
			s.count(r, f.opts.Target, addr)
			return nil
		})
	}
	// The rule on the set stands first, so the list need not be read to its end. What
	// jumps here from elsewhere, and what others put here, counts as rules then.
	s.rules = use
	seen := 0
	err = t.firstRules(ctx, Chain, func(r kernelRule) error {
		if s.drops = r.blocksSet(f.opts.Target); s.drops {
			s.rules--
		}
		if seen++; s.drops || seen == firstFew {
			return errStop
		}
		return nil
	})
	return s, err
}

// jumps is how a chain leads to ours.
type jumps struct {
	bare, bySet bool // whatever the packet; for members of the set
	count       int
}

// jumpsOf looks at the rules of a chain, and for FORWARD that leads to Docker's chain at
// those of that one.
func (t nftTable) jumpsOf(c *conn, chain string) (jumps, error) {
	var j jumps
	docker := false
	err := t.rules(c, chain, func(r kernelRule) error {
		if r.jumps() || r.jumpsBySet() {
			j.count++
		}
		j.bare, j.bySet = j.bare || r.jumps(), j.bySet || r.jumpsBySet()
		docker = docker || chain == forwardChain && r.leadsTo(dockerUserChain)
		return nil
	})
	if err != nil || !docker {
		return j, err
	}
	count := j.count
	j, err = t.jumpsOf(c, dockerUserChain)
	j.count += count
	return j, err
}

// firstFew is how many rules an administrator may put in front of the one on the set
// before it takes longer to find.
const firstFew = 8

// count takes one rule of our chain into account.
func (s *standing) count(r kernelRule, target string, addr netip.Addr) {
	switch {
	case r.blocks():
		s.rules++
		s.blocks = s.blocks || r.source == addr
	case r.endsSet():
		s.stops = true
		s.drops = s.drops || r.blocksSet(target)
	}
}

// blockOverNFT is blockAtOnce over nf_tables. It tells of a rule that it added only where
// that may be the first, which the number of rules tells without looking at them.
func (f family) blockOverNFT(ctx context.Context, addr netip.Addr, chains []string, fresh bool) (done, added bool, err error) {
	if f.opts.Target != "DROP" { // REJECT is an extension of xtables, which only iptables can write
		return false, false, nil
	}
	c, err := dial(ctx)
	if err != nil {
		return false, false, err
	}
	defer c.close()
	t := iptablesTable(f.v6)
	for _, chain := range chains {
		if j, err := t.jumpsOf(c, chain); err != nil || !j.bare {
			return false, false, err
		}
	}
	if !fresh {
		stands := false
		err := t.rules(c, Chain, func(r kernelRule) error {
			stands = stands || r.blocks() && r.source == addr
			return nil
		})
		if err != nil || stands {
			return stands, false, err
		}
	}
	var r requests
	t.dropRule(&r, addr)
	if err = c.transact(&r); err != nil {
		return false, false, err
	}
	use, err := t.use(c, Chain)
	return true, err == nil && use <= len(chains)+firstFew, nil
}

// dropRule is the request for `-A OSSEC_AR -s addr -j DROP` as iptables writes it for
// nf_tables: the source address of the header (RFC 791, RFC 8200), compared, counted,
// dropped.
func (t nftTable) dropRule(r *requests, addr netip.Addr) {
	offset, source := uint32(12), addr.AsSlice()
	if addr.Is6() {
		offset = 8
	}
	t.request(r, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
	r.text(unix.NFTA_RULE_CHAIN, Chain)
	expressions := r.nest(unix.NFTA_RULE_EXPRESSIONS)
	expression := func(name string, data func()) {
		element := r.nest(unix.NFTA_LIST_ELEM)
		r.text(unix.NFTA_EXPR_NAME, name)
		inner := r.nest(unix.NFTA_EXPR_DATA)
		data()
		r.end(inner)
		r.end(element)
	}
	expression("payload", func() {
		r.uint32(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1)
		r.uint32(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER)
		r.uint32(unix.NFTA_PAYLOAD_OFFSET, offset)
		r.uint32(unix.NFTA_PAYLOAD_LEN, uint32(len(source)))
	})
	expression("cmp", func() {
		r.uint32(unix.NFTA_CMP_SREG, unix.NFT_REG_1)
		r.uint32(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ)
		value := r.nest(unix.NFTA_CMP_DATA)
		r.attr(unix.NFTA_DATA_VALUE, source)
		r.end(value)
	})
	expression("counter", func() {
		r.attr(unix.NFTA_COUNTER_BYTES, make([]byte, 8))
		r.attr(unix.NFTA_COUNTER_PACKETS, make([]byte, 8))
	})
	expression("immediate", func() {
		r.uint32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		value := r.nest(unix.NFTA_IMMEDIATE_DATA)
		verdict := r.nest(unix.NFTA_DATA_VERDICT)
		r.uint32(unix.NFTA_VERDICT_CODE, 0) // NF_DROP
		r.end(verdict)
		r.end(value)
	})
	r.end(expressions)
}

// unblockOverNFT deletes the rules on the address, whatever their target, and tells
// whether there was one.
func (f family) unblockOverNFT(ctx context.Context, addr netip.Addr) (was bool, err error) {
	was, err = f.deleteOverNFT(ctx, func(a netip.Addr) bool { return a == addr })
	if was && errors.Is(err, errInterrupted) {
		err = nil // there is one rule on an address, as a rule
	}
	return was, err
}

// deleteOverNFT deletes the rules on addresses that are wanted away, and tells whether
// there was one. What a list has found is deleted though others changed something
// meanwhile, which is no rule of ours as often as not; then the list is read again.
func (f family) deleteOverNFT(ctx context.Context, wanted func(netip.Addr) bool) (was bool, err error) {
	c, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	t := iptablesTable(f.v6)
	for range bulkRounds {
		handles := map[uint64]bool{} // what is listed again counts once
		err = t.rules(c, Chain, func(rule kernelRule) error {
			if rule.blocks() && wanted(rule.source) {
				handles[rule.handle] = true
			}
			return nil
		})
		if len(handles) == 0 || err != nil && !errors.Is(err, errInterrupted) {
			return was, absentIsFine(err)
		}
		complete := err == nil
		for chunk := range slices.Chunk(slices.Sorted(maps.Keys(handles)), smallChunk) {
			var r requests
			for _, handle := range chunk {
				t.request(&r, unix.NFT_MSG_DELRULE, 0)
				r.text(unix.NFTA_RULE_CHAIN, Chain)
				r.attr(unix.NFTA_RULE_HANDLE, binary.BigEndian.AppendUint64(nil, handle))
			}
			if err = c.transact(&r); err != nil {
				break
			}
			was = true
		}
		switch {
		case err == nil && complete:
			return true, nil
		case err == nil:
			err = errInterrupted
		case !errors.Is(err, unix.ENOENT): // else another process was first
			return was, err
		}
	}
	return was, err
}
