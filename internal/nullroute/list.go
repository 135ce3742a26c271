package nullroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

// dumpTries is how often a list is read anew that changed while it was read.
const dumpTries = 5

// addresses returns what our routes lead to, each address once.
func (e *Enforcer) addresses(ctx context.Context) ([]netip.Addr, error) {
	var err error
	for range dumpTries {
		var addrs []netip.Addr
		seen := map[netip.Addr]bool{}
		for _, family := range []int{vnl.FAMILY_V4, vnl.FAMILY_V6} {
			err = e.each(ctx, family, func(addr netip.Addr) {
				if !seen[addr] {
					seen[addr] = true
					addrs = append(addrs, addr)
				}
			})
			if family == vnl.FAMILY_V6 && noIPv6(err) || errors.Is(err, unix.ENOENT) {
				err = nil // the latter: nothing was ever routed, so there is no table
			}
			if err != nil {
				break
			}
		}
		if !errors.Is(err, vnl.ErrDumpInterrupted) {
			return addrs, err
		}
	}
	return nil, err
}

// each calls f with the address of every route of ours to a single one.
func (e *Enforcer) each(ctx context.Context, family int, f func(addr netip.Addr)) error {
	wait, err := netlink.Patience(ctx)
	if err != nil {
		return err
	}
	table, err := vnl.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink socket: %w", err)
	}
	defer table.Close()
	if err := table.SetSocketTimeout(wait); err != nil {
		return fmt.Errorf("setting netlink timeout: %w", err)
	}
	// With this the kernel itself leaves out the routes of others; one older than
	// 4.20 does not know it and sends all of them.
	_ = table.SetStrictCheck(true)
	filter := &vnl.Route{Protocol: vnl.RouteProtocol(e.protocol), Table: unix.RT_TABLE_MAIN}
	const fields = vnl.RT_FILTER_PROTOCOL | vnl.RT_FILTER_TABLE
	return table.RouteListFilteredIter(family, filter, fields, func(route vnl.Route) bool {
		if route.Dst == nil {
			return true
		}
		addr, ok := netip.AddrFromSlice(route.Dst.IP)
		if ones, bits := route.Dst.Mask.Size(); !ok || ones != bits || bits != addr.BitLen() {
			return true
		}
		for _, kind := range kinds {
			if route.Type == kind.number {
				f(addr)
			}
		}
		return true
	})
}
