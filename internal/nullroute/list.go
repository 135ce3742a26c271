package nullroute

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// dumpTries is how often a list is read anew that changed while it was read.
const dumpTries = 5

// addresses returns what our routes lead to, each address once.
func (e *Enforcer) addresses(ctx context.Context) ([]target.Target, error) {
	return list(ctx, e.like(unix.AF_INET), e.like(unix.AF_INET6))
}

// like returns the properties of our routes of a family, for dump.
func (e *Enforcer) like(family uint8) unix.RtMsg {
	return unix.RtMsg{Family: family, Table: unix.RT_TABLE_MAIN, Protocol: uint8(e.protocol)}
}

// list is dump for several kinds of routes; it returns each target once, in order.
func list(ctx context.Context, likes ...unix.RtMsg) (addrs []target.Target, err error) {
	for range dumpTries {
		addrs = addrs[:0]
		for _, like := range likes {
			var some []target.Target
			some, err = dump(ctx, like)
			addrs = append(addrs, some...)
			if like.Family == unix.AF_INET6 && noIPv6(err) || errors.Is(err, unix.ENOENT) {
				err = nil // the latter: nothing was ever routed, so there is no table
			}
			if err != nil {
				break
			}
		}
		if !errors.Is(err, errTorn) {
			break
		}
	}
	slices.SortFunc(addrs, target.Target.Compare)
	return slices.Compact(addrs), err
}

// dump returns the addresses, and the networks of IPv6, to which routes like that drop packets: one a route.
func dump(ctx context.Context, like unix.RtMsg) (addrs []target.Target, err error) {
	s, err := netlink.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	err = s.Routes(like, func(route unix.RtMsg, attributes []byte) {
		addr, ok := netip.AddrFromSlice(netlink.Find(attributes, unix.RTA_DST))
		bits := int(route.Dst_len)
		if !ok || bits != addr.BitLen() && !isNetwork(bits, attributes) {
			return
		}
		for _, kind := range kinds {
			if int(route.Type) == kind.number {
				addrs = append(addrs, target.Network(netip.PrefixFrom(addr, bits)))
			}
		}
	})
	if err == nil && s.Torn() {
		err = errTorn
	}
	return addrs, err
}

// isNetwork reports whether a route is as ours to a network of IPv6, by its length and metric: a route
// to a network with our protocol may be somebody else's.
func isNetwork(bits int, attributes []byte) bool {
	metric := netlink.Find(attributes, unix.RTA_PRIORITY)
	return slices.Contains(config.NetworkBits, bits) && bytes.Equal(metric, nl.Uint32Attr(metricV6))
}

// errTorn says that routes came and went while they were read.
var errTorn = errors.New("the routes keep changing while they are read")

// lookUpAtOnce is how many addresses are looked up by one message to the kernel. The answers
// must fit into a socket's buffer: 212,992 bytes unless somebody changed it, of which each
// takes about 800.
const lookUpAtOnce = 128

// lookUp asks where packets to our addresses go.
func lookUp(ctx context.Context, addrs []target.Target) ([]enforcer.Block, error) {
	s, err := netlink.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	blocks := make([]enforcer.Block, 0, len(addrs))
	for some := range slices.Chunk(addrs, lookUpAtOnce) {
		requests := make([]*nl.NetlinkRequest, len(some))
		for i, addr := range some {
			requests[i] = lookup(addr)
		}
		answers, err := s.Ask(requests...)
		if err != nil {
			return nil, err
		}
		for i, addr := range some {
			block := enforcer.Block{Target: addr}
			if err := checkDropped(addr, answers[i]); err != nil {
				block.Open = err.Error()
			}
			blocks = append(blocks, block)
		}
	}
	return blocks, nil
}
