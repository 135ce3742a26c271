package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// The table of ours in nf_tables, and what is in it, as `nft list table inet ossec_ar`
// shows it.
const (
	nftTableName = "ossec_ar"
	nftMaxBytes  = 60_000 // of elements in one attribute, whose length has 16 bits
	nftElements  = 3      // NFTA_SET_ELEM_LIST_ELEMENTS
)

var ourTable = nftTable{unix.NFPROTO_INET, nftTableName}

// nftChain is a base chain. Blocks are in one of the two.
type nftChain struct {
	name     string
	hook     uint32
	priority int32
}

var (
	// early drops what comes from outside, for this host or for others, before connections are
	// tracked (priority -200): that takes less time than to let a packet through.
	early = nftChain{"prerouting", unix.NF_INET_PRE_ROUTING, -300}
	// inputOnly is for where forwarded packets are none of ours: it is ahead of others that filter.
	inputOnly = nftChain{"input", unix.NF_INET_LOCAL_IN, -10}
)

// isHooked reports whether packets come to a chain where and when they come to c.
func (c nftChain) isHooked(chain []byte) bool {
	hook := netlink.Find(chain, unix.NFTA_CHAIN_HOOK)
	return isAt(chain, c.hook) && int32(netlink.Uint32(netlink.Find(hook, unix.NFTA_HOOK_PRIORITY))) == c.priority
}

// isAt reports whether packets come to a chain at that hook, at whatever priority.
func isAt(chain []byte, hook uint32) bool {
	at := netlink.Find(chain, unix.NFTA_CHAIN_HOOK)
	return at != nil && netlink.Uint32(netlink.Find(at, unix.NFTA_HOOK_HOOKNUM)) == hook
}

// table blocks the elements of sets in a table of our own, for hosts without iptables. Both
// families share its chain.
type table struct{ *side }

// baseChains returns the chain that drops the sets, and the one that must not be there.
func (t table) baseChains() (used, other nftChain) {
	if t.opts.Forward == "never" {
		return inputOnly, early
	}
	return early, inputOnly
}

// sets are those of the family.
func (t table) sets() []nftSet {
	return slices.DeleteFunc(slices.Clone(nftSets), func(s nftSet) bool { return s.v6 != t.v6 })
}

func (t table) name() string { return "table inet " + nftTableName }

func (t table) describe(addr target.Target) string {
	return fmt.Sprintf("nft add element inet %s %s { %s }", nftTableName, nftSetOf(addr).name(), addr.Addr())
}

func (t table) add(ctx context.Context, addr target.Target,
	_ enforcer.Known) (out enforcer.Outcome, err error) {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return out, err
	}
	out.Made, err = t.put(ctx, k, unix.NLM_F_EXCL, addr)
	if errors.Is(err, unix.EEXIST) {
		out.Already, err = !out.Made, nil
	}
	if err != nil {
		err = fmt.Errorf("adding %s to table inet %s: %w", addr, nftTableName, err)
	}
	return out, err
}

func (t table) addAll(ctx context.Context, addrs []target.Target) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	_, err = t.put(ctx, k, 0, addrs...)
	return err
}

// put makes the table whole and adds elements; somebody may take the table away in between. With
// the flag NLM_F_EXCL, an element that is there is EEXIST.
func (t table) put(ctx context.Context, k socket, flags int, addrs ...target.Target) (made bool, err error) {
	var exists error
	err = t.tryAgain(ctx, func() error {
		now, err := t.ensure(ctx, k, addrs)
		made = made || now
		if err != nil {
			return err
		}
		err = t.insert(k, flags, addrs...)
		if errors.Is(err, unix.EEXIST) {
			exists, err = err, nil
		}
		return err
	})
	return made, errors.Join(exists, err)
}

// insert adds elements, each to the set that it belongs to.
func (t table) insert(k socket, flags int, addrs ...target.Target) error {
	bySet := map[nftSet][]target.Target{}
	for _, addr := range addrs {
		bySet[nftSetOf(addr)] = append(bySet[nftSetOf(addr)], addr)
	}
	for set, addrs := range bySet {
		if err := set.change(k, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|flags, addrs...); err != nil {
			if errors.Is(err, enforcer.ErrFull) {
				err = fmt.Errorf("%w: firewall.max_addresses was %d or less when set %s was made", err,
					t.opts.MaxAddresses, set.name())
			}
			return err
		}
	}
	return nil
}

func (t table) remove(ctx context.Context, addr target.Target) error {
	k, err := t.kernel.dial(ctx)
	if err == nil {
		err = nftSetOf(addr).remove(k, addr)
	}
	if err != nil {
		err = fmt.Errorf("deleting %s from table inet %s: %w", addr, nftTableName, err)
	}
	return err
}

func (t table) removeAll(ctx context.Context, addrs []target.Target) error {
	return t.removeFrom(ctx, t.sets(), addrs)
}

// removeFrom removes those of addrs that are in one of the sets.
func (t table) removeFrom(ctx context.Context, sets []nftSet, addrs []target.Target) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	wanted := make(map[target.Target]bool, len(addrs))
	for _, addr := range addrs {
		wanted[addr] = true
	}
	return t.tryAgain(ctx, func() error { // another process may be first
		for _, set := range sets {
			members, err := set.members(k)
			if err != nil {
				return err
			}
			there := slices.DeleteFunc(addresses(members), func(addr target.Target) bool { return !wanted[addr] })
			if err := set.change(k, unix.NFT_MSG_DELSETELEM, 0, there...); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t table) flush(ctx context.Context) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, set := range t.sets() {
		errs = append(errs, set.flush(k))
	}
	return errors.Join(errs...)
}

// members returns what is blocked of the family.
func (t table) members(k socket) (all []enforcer.Block, err error) {
	for _, set := range t.sets() {
		blocks, err := set.members(k)
		if err != nil {
			return nil, err
		}
		all = append(all, blocks...)
	}
	return all, nil
}

func (t table) list(ctx context.Context) (l enforcer.Listing, err error) {
	k, err := t.kernel.dial(ctx)
	if err == nil {
		l.Blocks, err = t.members(k)
	}
	if err != nil || len(l.Blocks) == 0 {
		return l, err
	}
	if why := t.fault(k, true); why != "" {
		l.Faults = []string{why}
		for i := range l.Blocks {
			l.Blocks[i].Open = why
		}
	}
	return l, nil
}

func (t table) mend(ctx context.Context) ([]string, error) {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return nil, err
	}
	if is, err := ourTable.one(k, unix.NFT_MSG_GETTABLE, 0, ""); err != nil || is == nil {
		return nil, err
	}
	why := t.fault(k, true)
	if made, err := t.ensure(ctx, k, nil); err != nil || !made {
		return nil, err
	}
	return []string{"made table inet " + nftTableName + " whole again: " + why}, nil
}

// retire deletes the table when all its sets are empty and nothing else is in it.
func (t table) retire(ctx context.Context) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	for _, set := range nftSets {
		members, err := set.members(k)
		if err != nil || len(members) > 0 {
			return err
		}
	}
	sets, err := ourSets(k)
	if err != nil {
		return err
	}
	is, err := ourTable.one(k, unix.NFT_MSG_GETTABLE, 0, "")
	if err != nil || is == nil || netlink.Uint32(netlink.Find(is, unix.NFTA_TABLE_USE)) > uint32(len(sets))+1 ||
		checkChains(k, sets) != nil {
		return err
	}
	return ignoreMissing(k.Transact(ourTable.request(unix.NFT_MSG_DELTABLE, 0, nil)))
}

// fault returns why packets get by the sets of the family, "" when they do not: what another base
// chain accepts comes to ours all the same. Only with thorough it sees what another configuration left.
func (t table) fault(k socket, thorough bool) string {
	if ourTable.isDormant(k) {
		return "table inet " + nftTableName + " is dormant"
	}
	l := ourTable.look(k)
	used, other := t.baseChains()
	rules, _ := l(used.name)
	for _, set := range t.sets() {
		if before, drops := l.setRule(rules, set.name(), t.opts.Target); drops && len(before.some) == 0 {
			continue
		}
		if exists, err := set.isOurs(k); set.always() || exists || err != nil {
			return fmt.Sprintf("chain %s of table inet %s does not drop set %s", used.name, nftTableName, set.name())
		}
	}
	if !thorough {
		return ""
	}
	if rules, _ := l(other.name); len(rules) > 0 {
		return fmt.Sprintf("table inet %s has a chain %s, which this configuration does not use", nftTableName,
			other.name)
	}
	return ""
}

// ensure makes the table, the sets that it has always and those that addrs need, the chain and its
// rules, whichever is missing, in one transaction. What else stands in its chain goes.
func (t table) ensure(ctx context.Context, k socket, addrs []target.Target) (made bool, err error) {
	needed := []nftSet{t.sets()[0]}
	for _, addr := range addrs {
		if set := nftSetOf(addr); !slices.Contains(needed, set) {
			needed = append(needed, set)
		}
	}
	stands := func() (bool, error) {
		for _, set := range needed {
			if exists, err := set.exists(k); err != nil || !exists {
				return false, err
			}
		}
		return t.fault(k, len(addrs) == 0) == "", nil
	}
	if stands, err := stands(); err != nil || stands {
		return false, err
	}
	ctx, unlock := t.lock(ctx)
	defer unlock()
	err = t.tryAgain(ctx, func() error {
		if stands, err := stands(); err != nil || stands {
			return err // another process was first
		}
		have, err := ourSets(k)
		if err == nil {
			err = checkChains(k, have)
		}
		if err != nil {
			return err
		}
		made = true
		return t.build(k, have, needed)
	})
	return made, err
}

// foreignPart says that part of the table is somebody else's.
func foreignPart(what string) error {
	return fmt.Errorf("table inet %s: %w (nft delete table inet %s makes room for ours): %s", nftTableName,
		errForeign, nftTableName, what)
}

// checkChains fails where a chain is not hooked as ours is, for nf_tables changes no hook, and
// where it has rules while there are no sets that ours could be about.
func checkChains(k socket, sets []nftSet) error {
	for _, ours := range []nftChain{early, inputOnly} {
		chain, err := ourTable.chain(k, ours.name)
		if err != nil {
			return err
		}
		if chain != nil && !ours.isHooked(chain) {
			return foreignPart("chain " + ours.name + " has not the hook and priority")
		}
		if chain == nil || len(sets) > 0 {
			continue
		}
		if rules, err := ourTable.rules(k, ours.name); err != nil || len(rules) > 0 {
			return errors.Join(err, foreignPart("chain "+ours.name+" has rules, and there are no sets"))
		}
	}
	return nil
}
