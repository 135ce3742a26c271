package nullroute

import (
	"context"
	"fmt"
	"net/netip"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var _ enforcer.Stock = (*Enforcer)(nil)

// ofStock is the enforcer of the routes that the stock route-null makes by `route add ADDRESS reject`,
// which takes IPv4 only.
var ofStock = &Enforcer{typeName: Unreachable, kind: kinds[Unreachable], protocol: unix.RTPROT_BOOT}

// Stock implements enforcer.Stock. It goes by the form of the routes, which an administrator may
// have made, too.
func (e *Enforcer) Stock(context.Context) (found []target.Target, err error) {
	like := &vnl.Route{Protocol: vnl.RouteProtocol(ofStock.protocol), Table: unix.RT_TABLE_MAIN,
		Type: ofStock.kind.number}
	routes, err := vnl.RouteListFiltered(vnl.FAMILY_V4, like,
		vnl.RT_FILTER_PROTOCOL|vnl.RT_FILTER_TABLE|vnl.RT_FILTER_TYPE)
	if err != nil {
		return nil, fmt.Errorf("listing the routes of the stock script: %w", err)
	}
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(route.Dst.IP.To4())
		if ones, bits := route.Dst.Mask.Size(); ok && ones == bits {
			found = append(found, target.Of(addr))
		}
	}
	return found, nil
}

// LiftStock implements enforcer.Stock.
func (e *Enforcer) LiftStock(ctx context.Context, targets []target.Target) error {
	return each(ctx, targets, func(s *netlink.Socket, addr target.Target) error {
		return s.AskOne(ofStock.del(addr, ofStock.kind.number))
	})
}
