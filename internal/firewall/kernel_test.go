package firewall

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// fakeKernel answers for ipset and nf_tables, as the kernel does in e2e/kernel.
type fakeKernel struct {
	sets map[string]*fakeSet // ipsets
	// of nf_tables: table, chain, its rules' expressions, one after another
	chains   map[string]map[string][]byte
	tables   map[string]*fakeSet // sets of the table inet ossec_ar
	torn     int                 // how many lists change while they are read
	asked    int
	noTables bool // there is no nf_tables
}

type fakeSet struct {
	kind            string
	family          byte
	revision        byte
	size            int
	timeout         bool
	members         map[target.Target]bool
	packets         uint64
	flags, keyBytes uint32 // of nf_tables
}

func newFakeKernel() *fakeKernel {
	return &fakeKernel{sets: map[string]*fakeSet{}, chains: map[string]map[string][]byte{},
		tables: map[string]*fakeSet{}}
}

func (k *fakeKernel) Close() {}

func (k *fakeKernel) Torn() bool {
	k.torn--
	return k.torn >= 0
}

func (k *fakeKernel) Ask(requests ...*nl.NetlinkRequest) ([]netlink.Answer, error) {
	answers := make([]netlink.Answer, len(requests))
	for i, r := range requests {
		messages, err := k.answer(r)
		if answers[i].Err = err; err == nil && len(messages) > 0 {
			answers[i].Message = messages[0]
		}
	}
	return answers, nil
}

func (k *fakeKernel) AskOne(r *nl.NetlinkRequest) error {
	answers, err := k.Ask(r)
	if err != nil {
		return err
	}
	return answers[0].Err
}

func (k *fakeKernel) Dump(r *nl.NetlinkRequest, visit func([]byte) bool) error {
	messages, err := k.answer(r)
	for _, m := range messages {
		visit(m)
	}
	return err
}

func (k *fakeKernel) Transact(requests ...*nl.NetlinkRequest) error { return k.AskOne(requests[0]) }

func (k *fakeKernel) answer(r *nl.NetlinkRequest) ([][]byte, error) {
	k.asked++
	command, attributes := int(r.Type&0xff), netlink.NetfilterAttributes(r.RawData)
	if r.Type>>8 == unix.NFNL_SUBSYS_IPSET {
		return k.ipset(command, r.Flags, attributes)
	}
	return k.nft(command, attributes)
}

func (k *fakeKernel) ipset(command int, flags uint16, a []byte) ([][]byte, error) {
	name := netlink.Text(netlink.Find(a, ipsetAttrName))
	s := k.sets[name]
	if command == ipsetCreate {
		if s != nil {
			return nil, unix.EEXIST
		}
		data := netlink.Find(a, ipsetAttrData)
		k.sets[name] = &fakeSet{
			kind: netlink.Text(netlink.Find(a, ipsetAttrType)), family: netlink.Find(a, ipsetAttrFamily)[0],
			revision: netlink.Find(a, ipsetAttrRevision)[0],
			size:     int(netlink.Uint32(netlink.Find(data, ipsetDataMaxElem))), members: map[target.Target]bool{},
		}
		return nil, nil
	}
	if s == nil {
		return nil, unix.ENOENT
	}
	switch command {
	case ipsetHead:
		return [][]byte{s.describe(name, false, false)}, nil
	case ipsetList:
		onlyHeader := netlink.Find(a, ipsetAttrFlags) != nil
		return [][]byte{s.describe(name, true, !onlyHeader)}, nil
	case ipsetFlush:
		clear(s.members)
	case ipsetDestroy:
		delete(k.sets, name)
	case ipsetSwap:
		other := netlink.Text(netlink.Find(a, ipsetAttrType))
		k.sets[name], k.sets[other] = k.sets[other], s
	case ipsetAdd, ipsetDel, ipsetTest:
		for _, addr := range addrsOf(a) {
			if err := s.change(command, flags, addr); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

func (s *fakeSet) change(command int, flags uint16, addr target.Target) error {
	has := s.members[addr]
	switch {
	case command == ipsetAdd && has && flags&unix.NLM_F_EXCL != 0:
		return ipsetErrAbsent
	case command == ipsetAdd && !has && len(s.members) >= s.size:
		return ipsetErrFull
	case command == ipsetAdd:
		s.members[addr] = true
	case !has && (command == ipsetTest || flags&unix.NLM_F_EXCL != 0):
		return ipsetErrAbsent
	case command == ipsetDel:
		delete(s.members, addr)
	}
	return nil
}

// addrsOf reads the addresses of a request.
func addrsOf(a []byte) (addrs []target.Target) {
	members := netlink.Find(a, ipsetAttrMany)
	if members == nil {
		members = a
	}
	for {
		kind, data, rest, ok := netlink.Next(members)
		if !ok {
			return addrs
		}
		if members = rest; kind != ipsetAttrData {
			continue
		}
		_, raw, _, _ := netlink.Next(netlink.Find(data, ipsetDataIP))
		if addr, ok := netip.AddrFromSlice(raw); ok {
			length := netlink.Find(data, ipsetDataBits)
			if length == nil {
				length = []byte{byte(addr.BitLen())}
			}
			addrs = append(addrs, target.Network(netip.PrefixFrom(addr, int(length[0]))))
		}
	}
}

func (s *fakeSet) describe(name string, data, members bool) []byte {
	a := netlink.Attributes{0, 0, 0, 0}
	a.Text(ipsetAttrName, name)
	a.Text(ipsetAttrType, s.kind)
	a.Uint8(ipsetAttrFamily, s.family)
	a.Uint8(ipsetAttrRevision, s.revision)
	if data {
		a.Nest(ipsetAttrData, func() {
			a.Uint32(ipsetDataMaxElem, uint32(s.size))
			a.Uint32(ipsetDataElements, uint32(len(s.members)))
			if s.timeout {
				a.Uint32(ipsetDataTimeout, 60)
			}
		})
	}
	if members {
		a.Nest(ipsetAttrMany, func() {
			for _, addr := range slices.SortedFunc(maps.Keys(s.members), target.Target.Compare) {
				a.Nest(ipsetAttrData, func() {
					a.Nest(ipsetDataIP, func() { a.Put(1, addr.Addr().AsSlice()) })
					if s.family == unix.NFPROTO_IPV6 {
						a.Uint8(ipsetDataBits, uint8(addr.Prefix().Bits()))
					}
					a.Put(ipsetDataPackets, binary.BigEndian.AppendUint64(nil, s.packets))
					a.Put(ipsetDataBytes, binary.BigEndian.AppendUint64(nil, 60*s.packets))
				})
			}
		})
	}
	return a
}

func (k *fakeKernel) nft(command int, a []byte) ([][]byte, error) {
	if k.noTables {
		return nil, unix.EINVAL
	}
	table := k.chains[netlink.Text(netlink.Find(a, 1))]
	if table == nil {
		return nil, unix.ENOENT
	}
	answer := netlink.Attributes{0, 0, 0, 0}
	switch command {
	case unix.NFT_MSG_GETTABLE:
		return [][]byte{answer}, nil
	case unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETRULE:
		kind := unix.NFTA_CHAIN_NAME
		if command == unix.NFT_MSG_GETRULE {
			kind = unix.NFTA_RULE_CHAIN
		}
		name := netlink.Text(netlink.Find(a, kind))
		rules, exists := table[name]
		if !exists {
			return nil, unix.ENOENT
		}
		if command == unix.NFT_MSG_GETCHAIN {
			for _, c := range hooks {
				if c.name == name {
					answer.Nest(unix.NFTA_CHAIN_HOOK, func() {
						answer.Uint32(unix.NFTA_HOOK_HOOKNUM, c.hook)
						answer.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(c.priority))
					})
				}
			}
			return [][]byte{answer}, nil
		}
		var messages [][]byte
		for len(rules) > 0 {
			_, expressions, rest, _ := netlink.Next(rules)
			m := netlink.Attributes{0, 0, 0, 0}
			m.Text(unix.NFTA_RULE_TABLE, netlink.Text(netlink.Find(a, 1)))
			m.Text(unix.NFTA_RULE_CHAIN, name)
			m.Put(unix.NFTA_RULE_EXPRESSIONS, expressions)
			messages, rules = append(messages, m), rest
		}
		return messages, nil
	case unix.NFT_MSG_GETSET:
		s := k.tables[netlink.Text(netlink.Find(a, unix.NFTA_SET_NAME))]
		if s == nil {
			return nil, unix.ENOENT
		}
		answer.Uint32(unix.NFTA_SET_FLAGS, s.flags)
		answer.Uint32(unix.NFTA_SET_KEY_LEN, s.keyBytes)
		return [][]byte{answer}, nil
	}
	return k.elements(command, a)
}

func (k *fakeKernel) elements(command int, a []byte) ([][]byte, error) {
	name := netlink.Text(netlink.Find(a, unix.NFTA_SET_ELEM_LIST_SET))
	s := k.tables[name]
	at := slices.IndexFunc(nftSets, func(set nftSet) bool { return set.name() == name })
	if s == nil || at < 0 {
		return nil, unix.ENOENT
	}
	set := nftSets[at]
	asked := addresses(set.appendElements(nil, netlink.Find(a, nftElements)))
	if command == unix.NFT_MSG_GETSETELEM && len(asked) == 0 {
		m := set.elements(command, 0, slices.SortedFunc(maps.Keys(s.members), target.Target.Compare)...)
		return [][]byte{m.RawData}, nil
	}
	if command == unix.NFT_MSG_DELSETELEM && len(asked) == 0 {
		clear(s.members)
	}
	for _, addr := range asked {
		switch has := s.members[addr]; {
		case command == unix.NFT_MSG_NEWSETELEM && !has && len(s.members) >= s.size:
			return nil, unix.ENFILE
		case command == unix.NFT_MSG_NEWSETELEM:
			s.members[addr] = true
		case !has:
			return nil, syscall.ENOENT
		case command == unix.NFT_MSG_DELSETELEM:
			delete(s.members, addr)
		}
	}
	return nil, nil
}

// kernelRule builds the expressions of rules for a chain.
type kernelRules struct{ netlink.Attributes }

func (r *kernelRules) add(expressions ...func(*netlink.Attributes)) {
	r.Nest(1, func() {
		for _, e := range expressions {
			r.Nest(unix.NFTA_LIST_ELEM, func() { e(&r.Attributes) })
		}
	})
}

func expression(name string, fill func(*netlink.Attributes)) func(*netlink.Attributes) {
	return func(a *netlink.Attributes) {
		a.Text(unix.NFTA_EXPR_NAME, name)
		a.Nest(unix.NFTA_EXPR_DATA, func() { fill(a) })
	}
}

func verdict(code int32, chain string) func(*netlink.Attributes) {
	return expression("immediate", func(a *netlink.Attributes) {
		a.Nest(unix.NFTA_IMMEDIATE_DATA, func() {
			a.Nest(unix.NFTA_DATA_VERDICT, func() {
				a.Uint32(unix.NFTA_VERDICT_CODE, uint32(code))
				if chain != "" {
					a.Text(unix.NFTA_VERDICT_CHAIN, chain)
				}
			})
		})
	})
}

func loadSource(length uint32) func(*netlink.Attributes) {
	return expression("payload", func(a *netlink.Attributes) {
		a.Uint32(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER)
		a.Uint32(unix.NFTA_PAYLOAD_OFFSET, map[uint32]uint32{4: 12, 16: 8}[length])
		a.Uint32(unix.NFTA_PAYLOAD_LEN, length)
	})
}

func loadMeta(key uint32) func(*netlink.Attributes) {
	return expression("meta", func(a *netlink.Attributes) { a.Uint32(unix.NFTA_META_KEY, key) })
}

func equals(value []byte) func(*netlink.Attributes) {
	return expression("cmp", func(a *netlink.Attributes) {
		a.Uint32(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ)
		a.Nest(unix.NFTA_CMP_DATA, func() { a.Put(unix.NFTA_DATA_VALUE, value) })
	})
}

func matchSet(flags byte) func(*netlink.Attributes) {
	return expression("match", func(a *netlink.Attributes) {
		a.Text(unix.NFTA_MATCH_NAME, "set")
		a.Put(unix.NFTA_MATCH_INFO, []byte{0, 0, 1, flags})
	})
}

func counter() func(*netlink.Attributes) { return expression("counter", func(*netlink.Attributes) {}) }

func lookup(set string) func(*netlink.Attributes) {
	return expression("lookup", func(a *netlink.Attributes) { a.Text(unix.NFTA_LOOKUP_SET, set) })
}
