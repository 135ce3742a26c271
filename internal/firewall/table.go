package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// The table of ours in nf_tables, and what is in it, as `nft list table inet ossec_ar`
// shows it.
const (
	nftTableName = "ossec_ar"
	nftSet4      = "blocked4"
	nftSet6      = "blocked6"
	nftInput     = "input"
	nftForward   = "forward"
	nftPriority  = -10    // before the chains of others that filter (priority 0)
	nftMaxBytes  = 60_000 // of elements in one attribute, whose length has 16 bits
	nftElements  = 3      // NFTA_SET_ELEM_LIST_ELEMENTS
)

var ourTable = nftTable{unix.NFPROTO_INET, nftTableName}

func nftSetName(v6 bool) string {
	if v6 {
		return nftSet6
	}
	return nftSet4
}

// table blocks the elements of a set in a table of our own, for hosts without iptables. Both
// families share its chains.
type table struct{ *side }

func (t table) name() string { return "table inet " + nftTableName }

func (t table) describe(addr target.Target) string {
	return fmt.Sprintf("nft add element inet %s %s { %s }", nftTableName, nftSetName(t.v6), addr)
}

func (t table) add(ctx context.Context, addr target.Target, _ enforcer.Known) (out enforcer.Outcome, err error) {
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
		now, err := t.ensure(ctx, k)
		made = made || now
		if err != nil {
			return err
		}
		err = t.change(k, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|flags, addrs...)
		if errors.Is(err, unix.EEXIST) {
			exists, err = err, nil
		}
		return err
	})
	return made, errors.Join(exists, err)
}

// change adds or deletes elements, some in each transaction.
func (t table) change(k socket, command, flags int, addrs ...target.Target) error {
	const size = 36 // of an element at the most
	for chunk := range slices.Chunk(addrs, nftMaxBytes/size) {
		err := k.Transact(t.elements(command, flags, chunk...))
		if errors.Is(err, unix.ENFILE) {
			return fmt.Errorf("%w: firewall.max_addresses was %d or less when set %s was made", ErrFull,
				t.opts.MaxAddresses, nftSetName(t.v6))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// elements returns a request about elements of the set, all of them without addresses.
func (t table) elements(command, flags int, addrs ...target.Target) *nl.NetlinkRequest {
	return ourTable.request(command, flags, func(a *netlink.Attributes) {
		a.Text(unix.NFTA_SET_ELEM_LIST_SET, nftSetName(t.v6))
		if len(addrs) == 0 {
			return
		}
		a.Nest(nftElements, func() {
			for _, addr := range addrs {
				a.Nest(unix.NFTA_LIST_ELEM, func() {
					a.Nest(unix.NFTA_SET_ELEM_KEY, func() { a.Put(unix.NFTA_DATA_VALUE, addr.Addr().AsSlice()) })
				})
			}
		})
	})
}

func (t table) remove(ctx context.Context, addr target.Target) error {
	k, err := t.kernel.dial(ctx)
	if err == nil {
		err = k.AskOne(t.elements(unix.NFT_MSG_GETSETELEM, 0, addr)) // without it, no transaction is begun
	}
	ours := false
	if err == nil {
		ours, err = t.isOurs(k)
	}
	if ours {
		err = k.Transact(t.elements(unix.NFT_MSG_DELSETELEM, 0, addr))
	}
	if err = ignoreMissing(err); err != nil {
		err = fmt.Errorf("deleting %s from table inet %s: %w", addr, nftTableName, err)
	}
	return err
}

func (t table) removeAll(ctx context.Context, addrs []target.Target) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	wanted := make(map[target.Target]bool, len(addrs))
	for _, addr := range addrs {
		wanted[addr] = true
	}
	return t.tryAgain(ctx, func() error { // another process may be first
		members, err := t.members(k)
		if err != nil {
			return err
		}
		there := slices.DeleteFunc(addresses(members), func(addr target.Target) bool { return !wanted[addr] })
		return t.change(k, unix.NFT_MSG_DELSETELEM, 0, there...)
	})
}

func (t table) flush(ctx context.Context) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	if ours, err := t.isOurs(k); !ours {
		return err
	}
	return ignoreMissing(k.Transact(t.elements(unix.NFT_MSG_DELSETELEM, 0)))
}

// isOurs reports whether there is a set for the family that is not somebody else's.
func (t table) isOurs(k socket) (bool, error) {
	exists, err := t.setExists(k, t.v6)
	if errors.Is(err, errForeign) {
		return false, nil
	}
	return exists, err
}

// members returns the elements of the set; no set has none, nor a foreign one. The kernel may leave out elements
// of a large set while it makes room for more (Linux 6.18), so that is read until nothing
// changes.
func (t table) members(k socket) (blocks []enforcer.Block, err error) {
	if ours, err := t.isOurs(k); !ours {
		return nil, err
	}
	const large = 2048
	for before := -1; err == nil && before != len(blocks); {
		if before = len(blocks); before > 0 && before < large {
			break
		}
		err = dump(k, func() *nl.NetlinkRequest {
			return t.elements(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP)
		}, func() { blocks = nil }, func(attributes []byte) {
			blocks = appendElements(blocks, netlink.Find(attributes, nftElements))
		})
	}
	return blocks, err
}

// appendElements reads a list of elements.
func appendElements(blocks []enforcer.Block, elements []byte) []enforcer.Block {
	for {
		_, element, rest, ok := netlink.Next(elements)
		if !ok {
			return blocks
		}
		elements = rest
		addr, ok := netip.AddrFromSlice(netlink.Find(element, unix.NFTA_SET_ELEM_KEY, unix.NFTA_DATA_VALUE))
		if !ok {
			continue
		}
		counter := netlink.Find(element, unix.NFTA_SET_ELEM_EXPR, unix.NFTA_EXPR_DATA)
		blocks = append(blocks, enforcer.Block{
			Target: target.Of(addr), Counted: counter != nil,
			Packets: netlink.Uint64(netlink.Find(counter, unix.NFTA_COUNTER_PACKETS)),
			Bytes:   netlink.Uint64(netlink.Find(counter, unix.NFTA_COUNTER_BYTES)),
		})
	}
}

func (t table) list(ctx context.Context) (l enforcer.Listing, err error) {
	k, err := t.kernel.dial(ctx)
	if err == nil {
		l.Blocks, err = t.members(k)
	}
	if err != nil || len(l.Blocks) == 0 {
		return l, err
	}
	if why := t.fault(k); why != "" {
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
	why := t.fault(k)
	if made, err := t.ensure(ctx, k); err != nil || !made {
		return nil, err
	}
	return []string{"made table inet " + nftTableName + " whole again: " + why}, nil
}

// retire deletes the table when both sets are empty and nothing else is in it.
func (t table) retire(ctx context.Context) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	for _, v6 := range []bool{false, true} {
		members, err := table{&side{opts: t.opts, v6: v6}}.members(k)
		if err != nil || len(members) > 0 {
			return err
		}
	}
	is, err := ourTable.one(k, unix.NFT_MSG_GETTABLE, 0, "")
	const most = 4 // two sets and two chains
	if err != nil || is == nil || netlink.Uint32(netlink.Find(is, unix.NFTA_TABLE_USE)) > most || t.checkChains(k) != nil {
		return err
	}
	return ignoreMissing(k.Transact(ourTable.request(unix.NFT_MSG_DELTABLE, 0, nil)))
}

// baseChains are those that the table has.
func (t table) baseChains() []string {
	if t.opts.Forward == "never" {
		return []string{nftInput}
	}
	return []string{nftInput, nftForward}
}

// fault returns why packets get by the set, "" when they do not: what another base chain
// accepts comes to ours all the same.
func (t table) fault(k socket) string {
	is, err := ourTable.one(k, unix.NFT_MSG_GETTABLE, 0, "")
	if err == nil && netlink.Uint32(netlink.Find(is, unix.NFTA_TABLE_FLAGS))&unix.NFT_TABLE_F_DORMANT != 0 {
		return "table inet " + nftTableName + " is dormant"
	}
	l := ourTable.look(k)
	for _, chain := range t.baseChains() {
		if rules, _ := l(chain); !l.setRuleStands(rules, nftSetName(t.v6), t.opts.Target) {
			return fmt.Sprintf("chain %s of table inet %s does not drop set %s", chain,
				nftTableName, nftSetName(t.v6))
		}
	}
	return ""
}

// ensure makes the table, its sets, chains and rules, whichever is missing, in one transaction.
// What else stands in its chains goes.
func (t table) ensure(ctx context.Context, k socket) (made bool, err error) {
	exists, err := t.setExists(k, t.v6)
	if err != nil || exists && t.fault(k) == "" {
		return false, err
	}
	ctx, unlock := t.lock(ctx)
	defer unlock()
	err = t.tryAgain(ctx, func() error {
		missing := map[bool]bool{}
		for _, v6 := range []bool{false, true} {
			exists, err := t.setExists(k, v6)
			if err != nil {
				return err
			}
			missing[v6] = !exists
		}
		if !missing[t.v6] && t.fault(k) == "" {
			return nil // another process was first
		}
		if err := t.checkChains(k); err != nil {
			return err
		}
		made = true
		return t.build(missing)
	})
	return made, err
}

// foreignPart says that part of the table is somebody else's.
func foreignPart(what string) error {
	return fmt.Errorf("table inet %s: %w (nft delete table inet %s makes room for ours): %s", nftTableName,
		errForeign, nftTableName, what)
}

// checkChains fails where a chain is not hooked as ours are, for nf_tables changes no hook, and
// where chains have rules while there are no sets that ours could be about.
func (t table) checkChains(k socket) error {
	sets := 0
	for _, v6 := range []bool{false, true} {
		set, err := ourTable.one(k, unix.NFT_MSG_GETSET, unix.NFTA_SET_NAME, nftSetName(v6))
		if err != nil {
			return err
		}
		sets += min(len(set), 1)
	}
	hooks := map[string]uint32{nftInput: unix.NF_INET_LOCAL_IN, nftForward: unix.NF_INET_FORWARD}
	for _, name := range t.baseChains() {
		chain, err := ourTable.chain(k, name)
		if err != nil {
			return err
		}
		hook := netlink.Find(chain, unix.NFTA_CHAIN_HOOK)
		if chain != nil && (netlink.Uint32(netlink.Find(hook, unix.NFTA_HOOK_HOOKNUM)) != hooks[name] ||
			int32(netlink.Uint32(netlink.Find(hook, unix.NFTA_HOOK_PRIORITY))) != nftPriority) {
			return foreignPart("chain " + name + " has not the hook and priority")
		}
		if chain == nil || sets > 0 {
			continue
		}
		if rules, err := ourTable.rules(k, name); err != nil || len(rules) > 0 {
			return errors.Join(err, foreignPart("chain "+name+" has rules, and there are no sets"))
		}
	}
	return nil
}

// setExists reports whether there is a set for a family, and fails when blocks would end in it
// by themselves or do not fit into it.
func (t table) setExists(k socket, v6 bool) (bool, error) {
	set, err := ourTable.one(k, unix.NFT_MSG_GETSET, unix.NFTA_SET_NAME, nftSetName(v6))
	if err != nil || set == nil {
		return false, err
	}
	length := uint32(4)
	if v6 {
		length = 16
	}
	switch flags := netlink.Uint32(netlink.Find(set, unix.NFTA_SET_FLAGS)) &^ unix.NFT_SET_EVAL; {
	case flags&unix.NFT_SET_TIMEOUT != 0:
		return false, foreignPart("set " + nftSetName(v6) +
			" has a timeout, by which blocks end by themselves")
	case flags != 0 || netlink.Uint32(netlink.Find(set, unix.NFTA_SET_KEY_LEN)) != length:
		return false, foreignPart("set " + nftSetName(v6) + " is of another kind")
	}
	return true, nil
}
