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
)

// Networks for documentation, which nobody has: RFC 5737 and RFC 3849.
var (
	testNet4 = netip.MustParseAddr("192.0.2.0")
	testNet6 = netip.MustParseAddr("2001:db8:192:2::")
)

// freeLimit bounds freeing an address again, whatever happened before.
const freeLimit = 30 * time.Second

// live blocks an address that is nobody's, looks whether it is blocked, frees it, and
// looks whether it is free. It writes no line in the log: OSSEC would raise an alert.
func (h *host) live(ctx context.Context) []Finding {
	if h.subject.Enforcer == nil {
		f := skip("%s blocks nobody", h.subject.Name)
		if h.subject.Failure != nil {
			f = fault("see the rows above", "nothing can be blocked: %v", h.subject.Failure)
		}
		f.What = "live"
		return []Finding{f}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	networks := []netip.Addr{testNet4}
	if _, err := os.Stat(filepath.Join(h.Proc, "net/if_inet6")); err == nil {
		networks = append(networks, testNet6)
	}
	var found []Finding
	for i, network := range networks {
		f := h.liveOne(ctx, network)
		f.What = []string{"live IPv4", "live IPv6"}[i]
		found = append(found, f)
	}
	return found
}

func (h *host) liveOne(ctx context.Context, network netip.Addr) Finding {
	addr, err := h.unused(ctx, network)
	if err != nil {
		return fault("see leases and white_list above", "no address to try: %v", err)
	}
	store := h.subject.Store
	lock, err := store.LockAddr(addr)
	if err != nil {
		return fault("see leases above", "%v", err)
	}
	defer lock.Release()
	now := h.Now().UTC()
	// With a lease nobody takes the block for one that is left over; should this process be
	// killed, `unban` and `flush` know it.
	held, settle := store.Acquire(lease.Lease{Addr: addr, Program: h.Name + " check", Since: now, Renewed: now}, lease.Kernel(h.Proc))
	leaseErr := settle()
	blockErr := h.blocked(ctx, addr, held.Fresh())
	freeErr := h.freed(addr)
	if freeErr == nil && leaseErr == nil {
		leaseErr = store.Drop(addr)
	}
	switch {
	case blockErr != nil && freeErr != nil:
		return fault("see the rows above", "%v", errors.Join(blockErr, freeErr))
	case blockErr != nil:
		return fault("see the rows above", "%v", blockErr)
	case freeErr != nil:
		return fault(h.Path()+" unban "+addr.String(), "%v", freeErr)
	case leaseErr != nil:
		return warn("see leases above", "%s was blocked and freed, but: %v", addr, leaseErr)
	}
	return ok("%s was blocked, seen to be, freed, and seen to be free", addr)
}

// blocked blocks and looks.
func (h *host) blocked(ctx context.Context, addr netip.Addr, fresh bool) error {
	if _, err := h.subject.Enforcer.Block(ctx, addr, fresh); err != nil {
		return err
	}
	in, err := h.inForce(ctx, addr)
	if err == nil && !in {
		err = fmt.Errorf("%s was blocked without an error, but is not listed among the blocked", addr)
	}
	return err
}

// freed frees and looks, even when the person has lost patience meanwhile.
func (h *host) freed(addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), freeLimit)
	defer cancel()
	if err := h.subject.Enforcer.Unblock(ctx, addr); err != nil {
		return err
	}
	in, err := h.inForce(ctx, addr)
	if err == nil && in {
		err = fmt.Errorf("%s was freed without an error, but is still listed among the blocked", addr)
	}
	return err
}

func (h *host) inForce(ctx context.Context, addr netip.Addr) (bool, error) {
	blocks, err := h.subject.Enforcer.List(ctx)
	return slices.ContainsFunc(blocks, func(b enforcer.Block) bool { return b.Addr == addr }), err
}

// unused returns an address of the network that is not the host's or anybody's whom the
// whitelist covers, nor leased or blocked.
func (h *host) unused(ctx context.Context, network netip.Addr) (netip.Addr, error) {
	blocks, err := h.subject.Enforcer.List(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	leases, err := h.subject.Store.All()
	if err != nil {
		return netip.Addr{}, err
	}
	settings := h.subject.Config.Whitelist
	settings.ResolveNames = false // a name of a test network covers nobody
	list, err := neverblock.List(h.Home, settings, nil)
	if err != nil && !h.conf.unread {
		return netip.Addr{}, err
	}
	const most = 254
	addr := network
	for range most {
		addr = addr.Next()
		used := slices.ContainsFunc(blocks, func(b enforcer.Block) bool { return b.Addr == addr }) ||
			slices.ContainsFunc(leases, func(l lease.Lease) bool { return l.Addr == addr })
		if used {
			continue
		}
		if _, covered := list.Match(ctx, addr); !covered {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all of %s to %s are in use or in the whitelist", network.Next(), addr)
}
