package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// The table of ours in nf_tables, and what is in it, as `nft list table inet ossec_ar`
// shows it.
const (
	nftTableName = "ossec_ar"
	nftSet4      = "blocked4"
	nftSet6      = "blocked6"
	nftInput     = "input"
	nftForward   = "forward"
	nftMaxElems  = 60_000 // bytes of elements in one attribute, whose length has 16 bits
	nftElemsAttr = 3      // NFTA_SET_ELEM_LIST_ELEMENTS
)

func ourTable() nftTable { return nftTable{unix.NFPROTO_INET, nftTableName} }

func nftSetName(v6 bool) string {
	if v6 {
		return nftSet6
	}
	return nftSet4
}

// nftElement adds an address to a list of elements.
func nftElement(r *requests, addr netip.Addr) {
	element := r.nest(unix.NFTA_LIST_ELEM)
	key := r.nest(unix.NFTA_SET_ELEM_KEY)
	if b := addr.As16(); addr.Is6() {
		r.attr(unix.NFTA_DATA_VALUE, b[:])
	} else {
		r.attr(unix.NFTA_DATA_VALUE, b[12:])
	}
	r.end(key)
	r.end(element)
}

// elements begins a request about elements of the set of a family, and ends it.
func (t nftTable) elements(r *requests, command, flags int, v6 bool, addrs ...netip.Addr) {
	t.request(r, command, flags)
	r.text(unix.NFTA_SET_ELEM_LIST_SET, nftSetName(v6))
	if len(addrs) == 0 {
		return // all of them
	}
	list := r.nest(nftElemsAttr)
	for _, addr := range addrs {
		nftElement(r, addr)
	}
	r.end(list)
}

// add makes sure that addr is in the set. unix.ENOENT means that there is no set.
func (t nftTable) add(c *conn, addr netip.Addr) error {
	var r requests
	t.elements(&r, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, addr.Is6(), addr)
	return nftFault(c.transact(&r))
}

// has tells whether addr is in the set.
func (t nftTable) has(c *conn, addr netip.Addr) (bool, error) {
	var r requests
	t.elements(&r, unix.NFT_MSG_GETSETELEM, 0, addr.Is6(), addr)
	err := c.askOne(&r)
	return err == nil, absentIsFine(err)
}

// remove makes sure that addr is not in the set, and tells whether it was. Over one
// that is not there no transaction is begun.
func (t nftTable) remove(c *conn, addr netip.Addr) (was bool, err error) {
	if has, err := t.has(c, addr); err != nil || !has {
		return false, err
	}
	var r requests
	t.elements(&r, unix.NFT_MSG_DELSETELEM, 0, addr.Is6(), addr)
	err = c.transact(&r)
	return err == nil, absentIsFine(err)
}

// absentIsFine passes over that there is no table, set, element, or no nf_tables at all.
func absentIsFine(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// members calls do with every address in the set of a family; no set has none.
func (t nftTable) members(c *conn, v6 bool, do func(enforcer.Block)) error {
	var err error
	for range bulkRounds {
		var blocks []enforcer.Block
		var r requests
		t.elements(&r, unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, v6)
		err = c.list(&r, func(attributes []byte) error {
			blocks = appendElements(blocks, find(attributes, nftElemsAttr))
			return nil
		})
		if err == nil || absentIsFine(err) == nil {
			for _, b := range blocks {
				do(b)
			}
			return nil
		}
		if !errors.Is(err, errInterrupted) {
			break
		}
	}
	return err
}

// appendElements reads a list of elements.
func appendElements(blocks []enforcer.Block, elements []byte) []enforcer.Block {
	for {
		_, element, rest, ok := attribute(elements)
		if !ok {
			return blocks
		}
		elements = rest
		addr, ok := netip.AddrFromSlice(path(element, unix.NFTA_SET_ELEM_KEY, unix.NFTA_DATA_VALUE))
		if !ok {
			continue
		}
		counter := path(element, unix.NFTA_SET_ELEM_EXPR, unix.NFTA_EXPR_DATA)
		blocks = append(blocks, enforcer.Block{
			Addr: addr, Counted: counter != nil,
			Packets: uint64Of(find(counter, unix.NFTA_COUNTER_PACKETS)), Bytes: uint64Of(find(counter, unix.NFTA_COUNTER_BYTES)),
		})
	}
}

// errForeign says that somebody else made something of ours in another way.
var errForeign = errors.New("somebody else made part of it (nft delete table inet " + nftTableName + " makes room for ours)")

// hasSet tells whether there is a set for a family. One that somebody else made, and that
// blocks end in by themselves or do not fit into, is an error.
func (t nftTable) hasSet(c *conn, v6 bool) (bool, error) {
	var r requests
	t.request(&r, unix.NFT_MSG_GETSET, 0)
	r.text(unix.NFTA_SET_NAME, nftSetName(v6))
	set, err := c.askForOne(&r)
	if err != nil || set == nil {
		return false, err
	}
	length := uint32(4)
	if v6 {
		length = 16
	}
	switch flags := uint32Of(find(set, unix.NFTA_SET_FLAGS)) &^ unix.NFT_SET_EVAL; {
	case flags&unix.NFT_SET_TIMEOUT != 0:
		return false, fmt.Errorf("%w: set %s has a timeout, by which blocks end by themselves", errForeign, nftSetName(v6))
	case flags != 0 || uint32Of(find(set, unix.NFTA_SET_KEY_LEN)) != length:
		return false, fmt.Errorf("%w: set %s is of another kind", errForeign, nftSetName(v6))
	}
	return true, nil
}

// empty tells whether the set of a family has no member.
func (t nftTable) empty(c *conn, v6 bool) (bool, error) {
	empty := true
	err := t.members(c, v6, func(enforcer.Block) { empty = false })
	return empty, err
}

// addresses returns what is in both sets.
func (t nftTable) addresses(c *conn) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, v6 := range []bool{false, true} {
		if err := t.members(c, v6, func(b enforcer.Block) { all = append(all, b.Addr) }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// doAll adds or deletes many, a transaction for each few thousand: one for all would not
// fit into the buffer of a socket unless its owner is root of the first user namespace.
// Adding what is there is fine, deleting what is not is unix.ENOENT.
func (t nftTable) doAll(ctx context.Context, c *conn, command, flags int, v6 bool, addrs []netip.Addr, progress func(done int)) error {
	const elementSize = 32 // at most
	for done := 0; done < len(addrs); {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := addrs[done:min(len(addrs), done+nftMaxElems/elementSize)]
		var r requests
		t.elements(&r, command, flags, v6, chunk...)
		if err := nftFault(c.transact(&r)); err != nil {
			return err
		}
		done += len(chunk)
		progress(done)
	}
	return nil
}

// clear empties the set of a family.
func (t nftTable) clear(c *conn, v6 bool) error {
	var r requests
	t.elements(&r, unix.NFT_MSG_DELSETELEM, 0, v6)
	return absentIsFine(c.transact(&r))
}

// drop deletes the table with all that is in it.
func (t nftTable) drop(c *conn) error {
	var r requests
	t.request(&r, unix.NFT_MSG_DELTABLE, 0)
	return absentIsFine(c.transact(&r))
}

// nftFault gives the answer to a set that holds as much as it may a meaning.
func nftFault(err error) error {
	if errors.Is(err, unix.ENFILE) {
		return ErrFull
	}
	return err
}
