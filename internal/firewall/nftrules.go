package firewall

import (
	"context"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

const nftSubsystem = unix.NFNL_SUBSYS_NFTABLES << 8

// nftTable is a table of nf_tables: iptables' own, or ours.
type nftTable struct {
	family uint8
	name   string
}

// iptablesTable is the table that iptables over nf_tables works in.
func iptablesTable(v6 bool) nftTable {
	if v6 {
		return nftTable{unix.NFPROTO_IPV6, table}
	}
	return nftTable{unix.NFPROTO_IPV4, table}
}

// request begins a request about the table.
func (t nftTable) request(r *requests, command, flags int) {
	r.add(nftSubsystem|command, flags, t.family)
	r.text(1, t.name) // the table is the first attribute of all requests
}

// use returns how many rules stand in a chain and jump to it, which the kernel knows
// without counting; -1 when there is no such chain.
func (t nftTable) use(c *conn, chain string) (int, error) {
	attributes, err := t.chain(c, chain)
	if err != nil {
		return 0, err
	}
	if attributes == nil {
		return -1, nil
	}
	return int(uint32Of(find(attributes, unix.NFTA_CHAIN_USE))), nil
}

// chain returns what a chain is, nil when there is none.
func (t nftTable) chain(c *conn, chain string) (attributes []byte, err error) {
	var r requests
	t.request(&r, unix.NFT_MSG_GETCHAIN, 0)
	r.text(unix.NFTA_CHAIN_NAME, chain)
	return c.askForOne(&r)
}

// dormant tells that the table is switched off: nft(8), flags dormant.
func (t nftTable) dormant(c *conn) (bool, error) {
	var r requests
	t.request(&r, unix.NFT_MSG_GETTABLE, 0)
	attributes, err := c.askForOne(&r)
	return uint32Of(find(attributes, unix.NFTA_TABLE_FLAGS))&unix.NFT_TABLE_F_DORMANT != 0, err
}

// rules calls do with the rules of a chain in order. No chain has none.
func (t nftTable) rules(c *conn, chain string, do func(kernelRule) error) error {
	return t.rulesBy(c.list, chain, do)
}

// firstRules is rules for who ends it after a few, with errStop. It takes a socket of its
// own, which is of no more use then, and on which the kernel has not seen a larger reader.
func (t nftTable) firstRules(ctx context.Context, chain string, do func(kernelRule) error) error {
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return t.rulesBy(c.beginning, chain, do)
}

func (t nftTable) rulesBy(list func(*requests, func([]byte) error) error, chain string, do func(kernelRule) error) error {
	var err error
	for range bulkRounds {
		var r requests
		t.request(&r, unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP)
		r.text(unix.NFTA_RULE_CHAIN, chain)
		err = list(&r, func(attributes []byte) error {
			// Linux before 4.16 sends the rules of other chains too.
			if textOf(find(attributes, unix.NFTA_RULE_CHAIN)) != chain || textOf(find(attributes, unix.NFTA_RULE_TABLE)) != t.name {
				return nil
			}
			rule := readRule(find(attributes, unix.NFTA_RULE_EXPRESSIONS), t.family)
			rule.handle = uint64Of(find(attributes, unix.NFTA_RULE_HANDLE))
			return do(rule)
		})
		if !errors.Is(err, errInterrupted) {
			break
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// readRule reads the expressions of a rule.
func readRule(expressions []byte, family uint8) kernelRule {
	p := ruleParser{family: family, rule: kernelRule{plain: true}}
	for {
		_, element, rest, ok := attribute(expressions)
		if !ok {
			return p.rule
		}
		expressions = rest
		p.expression(textOf(find(element, unix.NFTA_EXPR_NAME)), find(element, unix.NFTA_EXPR_DATA))
	}
}

// ruleParser keeps what the expression before put into the register.
type ruleParser struct {
	family uint8
	rule   kernelRule
	loaded string // "source", "protocol", or ""
	length int    // of the source
}

func (p *ruleParser) expression(name string, data []byte) {
	switch name {
	case "counter":
	case "meta":
		if p.loaded = ""; uint32Of(find(data, unix.NFTA_META_KEY)) == unix.NFT_META_NFPROTO {
			p.loaded = "protocol"
			return
		}
		p.rule.plain = false
	case "payload":
		p.payload(data)
	case "bitwise":
		p.bitwise(data)
	case "cmp":
		p.compare(data)
	case "lookup":
		p.rule.plain = p.rule.plain && p.loaded == "source" && uint32Of(find(data, unix.NFTA_LOOKUP_FLAGS)) == 0
		p.rule.set = textOf(find(data, unix.NFTA_LOOKUP_SET))
	case "match":
		p.match(data)
	case "immediate":
		p.verdict(path(data, unix.NFTA_IMMEDIATE_DATA, unix.NFTA_DATA_VERDICT))
	case "reject":
		p.rule.verdict = "REJECT"
	case "target":
		p.rule.verdict = textOf(find(data, unix.NFTA_TARGET_NAME))
	default:
		p.rule.plain = false
	}
}

// payload sees whether it is the source address that is loaded.
func (p *ruleParser) payload(data []byte) {
	base := uint32Of(find(data, unix.NFTA_PAYLOAD_BASE))
	offset := uint32Of(find(data, unix.NFTA_PAYLOAD_OFFSET))
	p.length = int(uint32Of(find(data, unix.NFTA_PAYLOAD_LEN)))
	v4, v6 := offset == 12 && p.length == 4, offset == 8 && p.length == 16
	p.loaded = "source"
	switch {
	case base != unix.NFT_PAYLOAD_NETWORK_HEADER,
		p.family == unix.NFPROTO_IPV4 && !v4, p.family == unix.NFPROTO_IPV6 && !v6, !v4 && !v6:
		p.loaded, p.rule.plain = "", false
	}
}

// bitwise is a mask, which old versions write for a single address too.
func (p *ruleParser) bitwise(data []byte) {
	mask := path(data, unix.NFTA_BITWISE_MASK, unix.NFTA_DATA_VALUE)
	for _, b := range mask {
		if b != 0xff {
			p.rule.plain = false
		}
	}
	if len(mask) == 0 {
		p.rule.plain = false
	}
}

func (p *ruleParser) compare(data []byte) {
	value := path(data, unix.NFTA_CMP_DATA, unix.NFTA_DATA_VALUE)
	if uint32Of(find(data, unix.NFTA_CMP_OP)) != unix.NFT_CMP_EQ {
		p.rule.plain = false
		return
	}
	switch p.loaded {
	case "source":
		addr, ok := netip.AddrFromSlice(value)
		p.rule.plain = p.rule.plain && ok && len(value) == p.length && !p.rule.source.IsValid()
		p.rule.source = addr
	case "protocol": // says no more than what the source is looked for in
	default:
		p.rule.plain = false
	}
}

// match is one of iptables. It may be `-m set --match-set NAME src`: struct
// xt_set_info of linux/netfilter/xt_set.h begins with the number of the set (16 bits),
// the dimension and flags.
func (p *ruleParser) match(data []byte) {
	info := find(data, unix.NFTA_MATCH_INFO)
	if textOf(find(data, unix.NFTA_MATCH_NAME)) != "set" || !bySource(info) || p.rule.set != "" {
		p.rule.plain = false
		return
	}
	p.rule.set = anySet
}

// bySource tells whether struct xt_set_info says one dimension, by source, not inverted.
func bySource(info []byte) bool {
	const inverted, source = 1 << 0, 1 << 1
	return len(info) >= 4 && info[2] == 1 && info[3]&(inverted|source) == source
}

func (p *ruleParser) verdict(verdict []byte) {
	switch int32(uint32Of(find(verdict, unix.NFTA_VERDICT_CODE))) {
	case 0: // NF_DROP
		if verdict != nil {
			p.rule.verdict = "DROP"
		}
	case 1: // NF_ACCEPT
		p.rule.verdict = "ACCEPT"
	case unix.NFT_RETURN:
		p.rule.verdict = "RETURN"
	case unix.NFT_JUMP:
		p.rule.verdict = textOf(find(verdict, unix.NFTA_VERDICT_CHAIN))
	}
}
