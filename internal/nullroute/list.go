package nullroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	vnl "github.com/vishvananda/netlink"
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
func (e *Enforcer) addresses(ctx context.Context) (addrs []target.Target, err error) {
	for range dumpTries {
		addrs = addrs[:0]
		for _, family := range []int{vnl.FAMILY_V4, vnl.FAMILY_V6} {
			var some []target.Target
			some, err = e.dump(ctx, family)
			addrs = append(addrs, some...)
			if family == vnl.FAMILY_V6 && noIPv6(err) || errors.Is(err, unix.ENOENT) {
				err = nil // the latter: nothing was ever routed, so there is no table
			}
			if err != nil {
				break
			}
		}
		if !errors.Is(err, vnl.ErrDumpInterrupted) {
			break
		}
	}
	slices.SortFunc(addrs, target.Target.Compare)
	return slices.Compact(addrs), err
}

// dump returns what every route of ours leads to, an address or a network of IPv6.
func (e *Enforcer) dump(ctx context.Context, family int) (addrs []target.Target, err error) {
	wait, err := netlink.Patience(ctx)
	if err != nil {
		return nil, err
	}
	table, err := vnl.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening netlink socket: %w", err)
	}
	defer table.Close()
	if err := table.SetSocketTimeout(wait); err != nil {
		return nil, fmt.Errorf("setting netlink timeout: %w", err)
	}
	// With this the kernel itself leaves out the routes of others; one older than
	// 4.20 does not know it and sends all of them.
	_ = table.SetStrictCheck(true)
	filter := &vnl.Route{Protocol: vnl.RouteProtocol(e.protocol), Table: unix.RT_TABLE_MAIN}
	const fields = vnl.RT_FILTER_PROTOCOL | vnl.RT_FILTER_TABLE
	err = table.RouteListFilteredIter(family, filter, fields, func(route vnl.Route) bool {
		if route.Dst == nil {
			return true
		}
		addr, ok := netip.AddrFromSlice(route.Dst.IP)
		ones, bits := route.Dst.Mask.Size()
		single := ones == bits && bits == addr.BitLen()
		if !ok || !single && (addr.Is4() || !slices.Contains(config.NetworkBits, ones)) {
			return true
		}
		for _, kind := range kinds {
			if route.Type == kind.number {
				addrs = append(addrs, target.Network(netip.PrefixFrom(addr, ones)))
			}
		}
		return true
	})
	return addrs, err
}

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
