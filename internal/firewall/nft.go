package firewall

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// nftTable is a table of nf_tables, iptables' own or ours, as the kernel shows it: to read a
// chain this way takes a tenth of the time of a run of iptables.
type nftTable struct {
	family uint8
	name   string
}

// nftTable is the table that iptables over nf_tables works in.
func (h *host) nftTable() nftTable {
	if h.v6 {
		return nftTable{unix.NFPROTO_IPV6, h.table}
	}
	return nftTable{unix.NFPROTO_IPV4, h.table}
}

// request returns a request about the table; more appends to its attributes.
func (t nftTable) request(command, flags int, more func(*netlink.Attributes)) *nl.NetlinkRequest {
	var a netlink.Attributes
	a.Text(1, t.name) // the table is the first attribute of all requests
	if more != nil {
		more(&a)
	}
	return netlink.Netfilter(unix.NFNL_SUBSYS_NFTABLES<<8|command, flags, t.family, a)
}

// one asks what one thing is: nil when it is not there.
func (t nftTable) one(k socket, command, nameKind int, name string) (attributes []byte, err error) {
	answers, err := k.Ask(t.request(command, 0, func(a *netlink.Attributes) {
		if name != "" {
			a.Text(nameKind, name)
		}
	}))
	if err == nil {
		err = answers[0].Err
	}
	if err != nil {
		return nil, ignoreMissing(err)
	}
	return netlink.NetfilterAttributes(answers[0].Message), nil
}

// ignoreMissing skips that there is no table, set, element, or no nf_tables at all.
func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// isDormant reports whether the kernel asks none of the table's chains (nft add table ... { flags dormant; }).
func (t nftTable) isDormant(k socket) bool {
	is, err := t.one(k, unix.NFT_MSG_GETTABLE, 0, "")
	return err == nil && netlink.Uint32(netlink.Find(is, unix.NFTA_TABLE_FLAGS))&unix.NFT_TABLE_F_DORMANT != 0
}

func (t nftTable) chain(k socket, name string) (attributes []byte, err error) {
	return t.one(k, unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_NAME, name)
}

// errTorn says that what was listed changed meanwhile.
var errTorn = errors.New("it keeps changing while it is read")

// dump lists something, anew while others change it. begin is called before each try.
func dump(k socket, request func() *nl.NetlinkRequest, begin func(), visit func(attributes []byte)) error {
	for range 5 {
		begin()
		err := k.Dump(request(), func(message []byte) (more bool) {
			visit(netlink.NetfilterAttributes(message))
			return true
		})
		if err != nil || !k.Torn() {
			return ignoreMissing(err)
		}
	}
	return errTorn
}

// rules returns the rules of a chain in order. No chain has none.
func (t nftTable) rules(k socket, chain string) (all []rule, err error) {
	err = dump(k, func() *nl.NetlinkRequest {
		return t.request(unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP,
			func(a *netlink.Attributes) { a.Text(unix.NFTA_RULE_CHAIN, chain) })
	}, func() { all = nil }, func(attributes []byte) {
		// Linux before 4.16 sends the rules of other chains too.
		if netlink.Text(netlink.Find(attributes, unix.NFTA_RULE_CHAIN)) == chain &&
			netlink.Text(netlink.Find(attributes, unix.NFTA_RULE_TABLE)) == t.name {
			all = append(all, readRule(netlink.Find(attributes, unix.NFTA_RULE_EXPRESSIONS), t.family))
		}
	})
	return all, err
}

// chains returns all chains of the table, and fails where it has none.
func (t nftTable) chains(k socket) (all chains, err error) {
	var names []string
	err = dump(k, func() *nl.NetlinkRequest {
		return t.request(unix.NFT_MSG_GETCHAIN, unix.NLM_F_DUMP, nil)
	}, func() { names = nil }, func(attributes []byte) {
		if netlink.Text(netlink.Find(attributes, unix.NFTA_CHAIN_TABLE)) == t.name {
			names = append(names, netlink.Text(netlink.Find(attributes, unix.NFTA_CHAIN_NAME)))
		}
	})
	if err == nil && len(names) == 0 {
		err = unix.ENOENT
	}
	all = chains{}
	for _, name := range names {
		if err == nil {
			all[name], err = t.rules(k, name)
		}
	}
	return all, err
}

// look returns the table's chains as they are asked for. What cannot be read is not there.
func (t nftTable) look(k socket) look {
	seen := chains{}
	return func(name string) ([]rule, bool) {
		if rules, exists := seen[name]; exists {
			return rules, true
		}
		rules, err := t.rules(k, name)
		if err == nil && len(rules) == 0 {
			var attributes []byte
			if attributes, err = t.chain(k, name); attributes == nil {
				return nil, false
			}
		}
		if err != nil {
			return nil, false
		}
		seen[name] = rules
		return rules, true
	}
}

// readRule reads the expressions of a rule.
func readRule(expressions []byte, family uint8) rule {
	p := ruleReader{family: family}
	for {
		_, element, rest, ok := netlink.Next(expressions)
		if !ok {
			break
		}
		expressions = rest
		p.expression(netlink.Text(netlink.Find(element, unix.NFTA_EXPR_NAME)),
			netlink.Find(element, unix.NFTA_EXPR_DATA))
	}
	p.rule.always = p.conditions == 0
	if p.conditions != 1 || p.other {
		p.rule.source, p.rule.set = target.Target{}, ""
	}
	return p.rule
}

// ruleReader keeps what the expression before put into the register.
type ruleReader struct {
	family     uint8
	rule       rule
	loaded     string // source, protocol, interface; "" for anything else
	length     int    // of the source, in bytes
	bits       int    // of it that are compared
	conditions int
	other      bool // one of the conditions is none that is understood here
}

func (p *ruleReader) condition(understood bool) {
	p.conditions++
	p.other = p.other || !understood
}

func (p *ruleReader) expression(name string, data []byte) {
	switch name {
	case "counter", "log":
	case "meta":
		switch netlink.Uint32(netlink.Find(data, unix.NFTA_META_KEY)) {
		case unix.NFT_META_NFPROTO:
			p.loaded = "protocol"
		case unix.NFT_META_IIFNAME:
			p.loaded = "interface"
		case unix.NFT_META_IIF:
			p.loaded = "interface number"
		default:
			p.loaded = ""
		}
	case "payload":
		p.payload(data)
	case "bitwise": // a mask, which old versions write for a single address too
		p.mask(netlink.Find(data, unix.NFTA_BITWISE_MASK, unix.NFTA_DATA_VALUE))
	case "cmp":
		p.compare(data)
	case "lookup":
		to := netlink.Find(data, unix.NFTA_LOOKUP_DREG)
		if to != nil && netlink.Uint32(to) == unix.NFT_REG_VERDICT {
			p.rule.target = anyVerdict
		}
		p.rule.set = netlink.Text(netlink.Find(data, unix.NFTA_LOOKUP_SET))
		whole := p.bits == 8*p.length || p.rule.set == nftSet{v6: p.length == 16, bits: p.bits}.name()
		p.condition(p.loaded == "source" && whole && netlink.Uint32(netlink.Find(data, unix.NFTA_LOOKUP_FLAGS)) == 0)
	case "match":
		p.match(data)
	case "immediate":
		p.verdict(netlink.Find(data, unix.NFTA_IMMEDIATE_DATA, unix.NFTA_DATA_VERDICT))
	case "reject":
		p.rule.target = "REJECT"
	case "queue":
		p.rule.target = "NFQUEUE"
	case "target":
		p.rule.target = netlink.Text(netlink.Find(data, unix.NFTA_TARGET_NAME))
	default:
		p.condition(false)
	}
}

// payload sees whether it is the source address that is loaded (RFC 791, RFC 8200).
func (p *ruleReader) payload(data []byte) {
	base := netlink.Uint32(netlink.Find(data, unix.NFTA_PAYLOAD_BASE))
	offset := netlink.Uint32(netlink.Find(data, unix.NFTA_PAYLOAD_OFFSET))
	p.length = int(netlink.Uint32(netlink.Find(data, unix.NFTA_PAYLOAD_LEN)))
	v4 := p.family != unix.NFPROTO_IPV6 && offset == 12 && p.length == 4
	v6 := p.family != unix.NFPROTO_IPV4 && offset == 8 && p.length <= 16
	p.bits = 8 * p.length // iptables loads no more of an address than it compares
	if p.loaded = ""; base == unix.NFT_PAYLOAD_NETWORK_HEADER && (v4 || v6) {
		p.loaded = "source"
	}
}

// mask sees how many bits of what is loaded are compared.
func (p *ruleReader) mask(mask []byte) {
	p.bits = 0
	for _, b := range mask {
		p.bits += bits.LeadingZeros8(^b)
		if b != 0xff {
			break
		}
	}
	for _, b := range mask[min(len(mask), (p.bits+7)/8):] {
		if b != 0 { // it is no network
			p.loaded = ""
		}
	}
}

func (p *ruleReader) compare(data []byte) {
	value := netlink.Find(data, unix.NFTA_CMP_DATA, unix.NFTA_DATA_VALUE)
	equal := netlink.Uint32(netlink.Find(data, unix.NFTA_CMP_OP)) == unix.NFT_CMP_EQ
	switch {
	case p.loaded == "protocol" && equal: // says no more than what the source is looked for in
		return
	case p.loaded == "interface":
		p.rule.loopback = p.rule.loopback || equal && string(value) == "lo\x00"
	case p.loaded == "interface number": // lo is the first of each network
		lo := binary.NativeEndian.AppendUint32(nil, 1)
		p.rule.loopback = p.rule.loopback || equal && bytes.Equal(value, lo)
	case p.loaded == "source" && equal && len(value) == p.length:
		if p.length != 4 {
			value = append(bytes.Clone(value), make([]byte, 16-len(value))...)
		}
		addr, _ := netip.AddrFromSlice(value)
		p.rule.setSource(netip.PrefixFrom(addr, p.bits))
		p.condition(true)
		return
	}
	p.condition(false)
}

// match is one of iptables. It may be `-m set --match-set NAME src`: struct xt_set_info of
// linux/netfilter/xt_set.h begins with the number of the set (16 bits), the dimension and flags.
func (p *ruleReader) match(data []byte) {
	const inverted, source = 1 << 0, 1 << 1
	info := netlink.Find(data, unix.NFTA_MATCH_INFO)
	switch name := netlink.Text(netlink.Find(data, unix.NFTA_MATCH_NAME)); {
	case name == "comment":
	case name == "set" && len(info) >= 4 && info[2] == 1 && info[3]&(inverted|source) == source:
		p.rule.set = anySet
		p.condition(true)
	default:
		p.condition(false)
	}
}

func (p *ruleReader) verdict(verdict []byte) {
	if verdict == nil {
		return
	}
	code := int32(netlink.Uint32(netlink.Find(verdict, unix.NFTA_VERDICT_CODE)))
	switch code {
	case 0: // NF_DROP
		p.rule.target = "DROP"
	case 1: // NF_ACCEPT
		p.rule.target = "ACCEPT"
	case unix.NFT_RETURN:
		p.rule.target = "RETURN"
	case unix.NFT_JUMP, unix.NFT_GOTO:
		p.rule.target = netlink.Text(netlink.Find(verdict, unix.NFTA_VERDICT_CHAIN))
		p.rule.leaves = code == unix.NFT_GOTO
	}
}
