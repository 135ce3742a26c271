package firewall

import (
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

// nftSet is a set of the addresses, or of the networks of one length, that are blocked: so each is a
// hash table, in which a packet is looked for at once. One set of intervals would be a tree.
type nftSet struct {
	v6     bool
	bits   int
	theirs bool // the administrator's
}

// nftSets are all of ours, those of addresses first.
var nftSets = []nftSet{{bits: 32}, {v6: true, bits: 128}, {v6: true, bits: 64}, {v6: true, bits: 56},
	{v6: true, bits: 48}}

func nftSetOf(t target.Target) nftSet { return nftSet{v6: t.Is6(), bits: t.Prefix().Bits()} }

func (s nftSet) table() nftTable {
	if s.theirs {
		return theirTable
	}
	return ourTable
}

func (s nftSet) name() string {
	switch {
	case s.theirs:
		return setName(s.v6)
	case !s.v6:
		return "blocked4"
	case s.bits == 128:
		return "blocked6"
	}
	return fmt.Sprintf("blocked6_%d", s.bits)
}

// always reports whether the table has the set though nothing is in it: each is a look-up for each
// packet.
func (s nftSet) always() bool { return s.bits == 32 || s.bits == 128 }

// bytes is the length of a key.
func (s nftSet) bytes() uint32 {
	if s.v6 {
		return 16
	}
	return 4
}

// elements returns a request about elements of the set, all of them without addresses.
func (s nftSet) elements(command, flags int, addrs ...target.Target) *nl.NetlinkRequest {
	return s.table().request(command, flags, func(a *netlink.Attributes) {
		a.Text(unix.NFTA_SET_ELEM_LIST_SET, s.name())
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

// kind reports whether there is such a set, and what is wrong with it: blocks would end in it by
// themselves, or do not fit into it.
func (s nftSet) kind(k socket) (exists bool, wrong string, err error) {
	set, err := s.table().one(k, unix.NFT_MSG_GETSET, unix.NFTA_SET_NAME, s.name())
	if err != nil || set == nil {
		return false, "", err
	}
	switch flags := netlink.Uint32(netlink.Find(set, unix.NFTA_SET_FLAGS)) &^ unix.NFT_SET_EVAL; {
	case flags&unix.NFT_SET_TIMEOUT != 0:
		wrong = "has a timeout, by which blocks end by themselves"
	case flags != 0 || netlink.Uint32(netlink.Find(set, unix.NFTA_SET_KEY_LEN)) != s.bytes():
		wrong = "is of another kind"
	case !onlyCounts(set):
		wrong = "has a limit, by which it does not always match"
	}
	return true, wrong, nil
}

// onlyCounts reports whether a set does no more with a packet of an element than to count it.
func onlyCounts(set []byte) bool {
	const expr, expressions = 17, 18 // NFTA_SET_EXPR, NFTA_SET_EXPRESSIONS
	counts := func(e []byte) bool { return netlink.Text(netlink.Find(e, unix.NFTA_EXPR_NAME)) == "counter" }
	if one := netlink.Find(set, expr); one != nil && !counts(one) {
		return false
	}
	for rest := netlink.Find(set, expressions); ; {
		_, one, after, ok := netlink.Next(rest)
		if !ok {
			return true
		}
		if rest = after; !counts(one) {
			return false
		}
	}
}

// exists reports whether there is such a set, and fails when something is wrong with it.
func (s nftSet) exists(k socket) (bool, error) {
	exists, wrong, err := s.kind(k)
	if wrong != "" {
		return false, foreignPart("set " + s.name() + " " + wrong)
	}
	return exists, err
}

// isOurs reports whether there is such a set that is not somebody else's.
func (s nftSet) isOurs(k socket) (bool, error) {
	exists, err := s.exists(k)
	if errors.Is(err, errForeign) {
		return false, nil
	}
	return exists, err
}

// members returns the elements of the set; no set has none, nor a foreign one. While the kernel makes
// room for more in a large set, elements may be left out and others come twice in their stead (Linux
// 6.18). So it is read until none comes twice and all are there that the kernel counts, or where it
// does not say (before 6.16) as many as the time before; after some tries what was read has to do.
func (s nftSet) members(k socket) (blocks []enforcer.Block, err error) {
	if ours, err := s.isOurs(k); !ours {
		return nil, err
	}
	const large, tries, setCount = 2048, 20, 20 // NFTA_SET_COUNT
	for before, i := -1, 0; i < tries; i++ {
		err = dump(k, func() *nl.NetlinkRequest {
			return s.elements(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP)
		}, func() { blocks = nil }, func(attributes []byte) {
			blocks = s.appendElements(blocks, netlink.Find(attributes, nftElements))
		})
		if err != nil || len(blocks) < large {
			break
		}
		read := len(blocks)
		slices.SortFunc(blocks, func(a, b enforcer.Block) int { return a.Target.Compare(b.Target) })
		blocks = slices.CompactFunc(blocks, func(a, b enforcer.Block) bool { return a.Target == b.Target })
		set, _ := s.table().one(k, unix.NFT_MSG_GETSET, unix.NFTA_SET_NAME, s.name()) // the list says why not
		want := before
		if counted := netlink.Find(set, setCount); counted != nil {
			want = int(netlink.Uint32(counted))
		}
		if len(blocks) == read && read == want {
			break
		}
		before = read
	}
	return blocks, err
}

// change adds or deletes elements, some in each transaction.
func (s nftSet) change(k socket, command, flags int, addrs ...target.Target) error {
	const size = 36 // of an element at the most
	for chunk := range slices.Chunk(addrs, nftMaxBytes/size) {
		err := k.Transact(s.elements(command, flags, chunk...))
		if errors.Is(err, unix.ENFILE) {
			return enforcer.ErrFull
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an element that may be there.
func (s nftSet) remove(k socket, addr target.Target) error {
	err := k.AskOne(s.elements(unix.NFT_MSG_GETSETELEM, 0, addr)) // without it, no transaction is begun
	ours := false
	if err == nil {
		ours, err = s.isOurs(k)
	}
	if ours {
		err = k.Transact(s.elements(unix.NFT_MSG_DELSETELEM, 0, addr))
	}
	return ignoreMissing(err)
}

// flush deletes all elements.
func (s nftSet) flush(k socket) error {
	ours, err := s.isOurs(k)
	if ours {
		err = k.Transact(s.elements(unix.NFT_MSG_DELSETELEM, 0))
	}
	return ignoreMissing(err)
}

// appendElements reads a list of elements.
func (s nftSet) appendElements(blocks []enforcer.Block, elements []byte) []enforcer.Block {
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
			Target: target.Network(netip.PrefixFrom(addr, s.bits)), Counted: counter != nil,
			Packets: netlink.Uint64(netlink.Find(counter, unix.NFTA_COUNTER_PACKETS)),
			Bytes:   netlink.Uint64(netlink.Find(counter, unix.NFTA_COUNTER_BYTES)),
		})
	}
}

// ourSets returns the sets that there are, and fails where one is somebody else's.
func ourSets(k socket) (have []nftSet, err error) {
	for _, set := range nftSets {
		exists, err := set.exists(k)
		if err != nil {
			return nil, err
		}
		if exists {
			have = append(have, set)
		}
	}
	return have, nil
}
