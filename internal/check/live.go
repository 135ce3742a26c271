package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Networks for documentation, which nobody has: RFC 5737 and RFC 3849.
var (
	testNet4 = netip.MustParseAddr("192.0.2.0")
	testNet6 = netip.MustParseAddr("2001:db8:192:2::")
)

// freeLimit bounds freeing an address again, whatever happened before.
const freeLimit = 30 * time.Second

// live blocks an address that is nobody's, checks whether it is blocked, frees it, and
// checks whether it is free. It writes no line in the log: OSSEC would raise an alert.
func (h enforcement) live(ctx context.Context, s *sheet) {
	if h.subject.Hold == nil {
		s.fault("see the rows above", "nothing can be blocked: %v", h.subject.Failure)
		return
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	h.liveOne(ctx, s, "live IPv4", testNet4)
	if _, err := os.Stat(filepath.Join(h.Proc, "net/if_inet6")); err == nil {
		h.liveOne(ctx, s, "live IPv6", testNet6)
	}
}

func (h enforcement) liveOne(ctx context.Context, s *sheet, topic string, network netip.Addr) {
	s.begin(topic)
	addr, err := h.unused(ctx, network)
	if err != nil {
		s.fault("see leases and white_list above", "no address to try: %v", err)
		return
	}
	now := h.Now().UTC()
	// With a lease nobody takes the block for one that is left over; should this process be
	// killed, `unban` and `flush` know it.
	taken, blockErr := h.subject.Hold.Take(ctx,
		lease.Lease{Target: target.Of(addr), Program: h.Name + " check", Since: now, Renewed: now})
	if blockErr == nil {
		blockErr = h.listed(ctx, addr, true)
	}
	// It is freed even when the person has lost patience meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), freeLimit)
	defer cancel()
	released, freeErr := h.subject.Hold.Free(ctx, target.Of(addr))
	if freeErr == nil {
		freeErr = h.listed(ctx, addr, false)
	}
	switch leaseErr := errors.Join(taken.LeaseErr, released.LeaseErr); {
	case blockErr != nil && freeErr != nil:
		s.fault("see the rows above", "%v", errors.Join(blockErr, freeErr))
	case blockErr != nil:
		s.fault("see the rows above", "%v", blockErr)
	case freeErr != nil:
		s.fault(h.tool("unban "+addr.String()), "%v", freeErr)
	case leaseErr != nil:
		s.warn("see leases above", "%s was blocked and freed, but: %v", addr, leaseErr)
	}
	s.ok("%s was blocked, seen to be, freed, and seen to be free", addr)
}

// listed returns an error unless the address is listed as blocked, or with want false as free.
func (h enforcement) listed(ctx context.Context, addr netip.Addr, want bool) error {
	listing, err := h.subject.Hold.Enforcer.List(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(listing.Blocks, func(b enforcer.Block) bool { return b.Target == target.Of(addr) })
	switch {
	case at < 0 && want:
		return fmt.Errorf("%s was blocked without an error, but is not listed among the blocked", addr)
	case at >= 0 && !want:
		return fmt.Errorf("%s was freed without an error, but is still listed among the blocked", addr)
	case at >= 0 && listing.Blocks[at].Open != "":
		return fmt.Errorf("%s was blocked without an error, but is not in force: %s", addr,
			listing.Blocks[at].Open)
	}
	return nil
}

// unused returns an address of the network that is not the host's or anybody's whom the
// whitelist covers, nor leased or blocked.
func (h enforcement) unused(ctx context.Context, network netip.Addr) (netip.Addr, error) {
	listing, err := h.subject.Hold.Enforcer.List(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	leases, err := h.subject.Hold.Leases.All()
	if err != nil {
		return netip.Addr{}, err
	}
	list, err := neverblock.List(h.Home, h.Settings.Whitelist, h.Now())
	if err != nil && !h.conf.unread {
		return netip.Addr{}, err
	}
	const most = 254
	addr := network
	for range most {
		addr = addr.Next()
		blocked := func(b enforcer.Block) bool { return b.Target == target.Of(addr) }
		used := slices.ContainsFunc(listing.Blocks, blocked) ||
			slices.ContainsFunc(leases, func(l lease.Lease) bool { return l.Target == target.Of(addr) })
		if used {
			continue
		}
		if _, covered := list.Match(addr); !covered {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all of %s to %s are in use or in the whitelist", network.Next(), addr)
}
