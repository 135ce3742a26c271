package nullroute

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var _ enforcer.Stock = (*Enforcer)(nil)

// ofStock returns the enforcer of the routes that the stock route-null makes by `route add ADDRESS reject`,
// which takes IPv4 only.
func ofStock() *Enforcer { return &Enforcer{kind: kindOf(Unreachable), protocol: unix.RTPROT_BOOT} }

// Stock implements enforcer.Stock. It goes by the form of the routes, which an administrator may
// have made, too.
func (e *Enforcer) Stock(ctx context.Context) (found []target.Target, err error) {
	stock := ofStock()
	like := stock.like(unix.AF_INET)
	like.Type = uint8(stock.kind.number)
	if found, err = list(ctx, like); err != nil {
		return nil, fmt.Errorf("listing the routes of the stock script: %w", err)
	}
	return found, nil
}

// LiftStock implements enforcer.Stock.
func (e *Enforcer) LiftStock(ctx context.Context, targets []target.Target) error {
	stock := ofStock()
	return each(ctx, targets, func(s *netlink.Socket, addr target.Target) error {
		return s.AskOne(stock.del(addr, stock.kind.number))
	})
}
