package netlink

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Rule is one of `ip rule` that sends packets to a table.
type Rule struct {
	Priority, Table uint32
	From            netip.Prefix // of the source; the zero Prefix for any
	// Always reports that it is for all packets, and takes any route of the table.
	Always bool
}

// Elsewhere reports whether it sends packets to another table than those that every network has.
// The table is 0 where the interface says which (l3mdev).
func (r Rule) Elsewhere() bool {
	return r.Table != unix.RT_TABLE_LOCAL && r.Table != unix.RT_TABLE_MAIN && r.Table != unix.RT_TABLE_DEFAULT
}

// Rules lists the rules of AF_INET or AF_INET6 in the order in which the kernel applies them.
// A kernel without policy routing has none.
func (s *Socket) Rules(family uint8) ([]Rule, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
	request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}})
	var rules []Rule
	err := s.Dump(request, func(message []byte) (more bool) {
		if rule, ok := readRule(message); ok {
			rules = append(rules, rule)
		}
		return true
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, nil
	}
	return rules, err
}

// readRule reads struct fib_rule_hdr and what follows: linux/fib_rules.h.
func readRule(message []byte) (Rule, bool) {
	const (
		header  = 12
		toTable = 1 // FR_ACT_TO_TBL
		noBound = ^uint32(0)
	)
	if len(message) < header || message[7] != toTable {
		return Rule{}, false
	}
	rule := Rule{Table: uint32(message[4]), Always: message[1] == 0 && message[2] == 0 && message[3] == 0}
	attributes, err := nl.ParseRouteAttr(message[header:])
	if err != nil {
		return Rule{}, false
	}
	for _, a := range attributes {
		number := uint32(0)
		if len(a.Value) >= 4 {
			number = binary.NativeEndian.Uint32(a.Value)
		}
		switch a.Attr.Type {
		case unix.FRA_PRIORITY:
			rule.Priority = number
		case unix.FRA_TABLE:
			rule.Table = number
		case unix.FRA_SRC:
			addr, _ := netip.AddrFromSlice(a.Value)
			rule.From = netip.PrefixFrom(addr, int(message[2]))
		case unix.FRA_PROTOCOL, unix.FRA_PAD:
		case unix.FRA_SUPPRESS_PREFIXLEN:
			rule.Always = rule.Always && number == noBound
		default: // a condition
			rule.Always = false
		}
	}
	return rule, true
}
