// Package nullroute blocks addresses by blackhole routes: what this host would
// answer is thrown away by its own routing, which ends TCP connections and
// keeps new ones from coming about. It is an enforcer.Enforcer, over rtnetlink(7)
// and with no external program.
//
// Packets from the address still arrive; a datagram that wants no answer has
// its effect. Only host routes of the main table with this package's protocol
// number are ever deleted or replaced: never a default route, a prefix, or a
// route that somebody else made.
package nullroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

// DefaultProtocol marks the routes that are ours, as the kernel keeps it with
// each route (rtm_protocol). Numbers from 5 up are for user space; iproute2's
// rt_protos takes up to 99 and 186 to 192, FRRouting 186 to 198, Calico 80.
// With the line
//
//	214	ossec_ar
//
// in /etc/iproute2/rt_protos.d/ossec-ar.conf, `ip route` shows it by name.
const DefaultProtocol = 214

// The types of route that drop packets, ip-route(8).
const (
	Blackhole   = "blackhole"   // silently; local senders get EINVAL
	Unreachable = "unreachable" // with ICMP host unreachable; EHOSTUNREACH
	Prohibit    = "prohibit"    // with ICMP administratively prohibited; EACCES
)

// Options says what the routes look like.
type Options struct {
	// Type is Blackhole, Unreachable or Prohibit; empty means Blackhole.
	Type string
	// Protocol is from 5 to 255, 0 means DefaultProtocol. All routes with this
	// number to single addresses in the main table count as ours.
	Protocol int
}

// kinds are the route types with the answer that a look-up in the kernel gives.
var kinds = map[string]kind{
	Blackhole:   {unix.RTN_BLACKHOLE, unix.EINVAL},
	Unreachable: {unix.RTN_UNREACHABLE, unix.EHOSTUNREACH},
	Prohibit:    {unix.RTN_PROHIBIT, unix.EACCES},
}

type kind struct {
	number int
	errno  unix.Errno
}

// firstProtocol is behind those that the kernel and ip(8) itself use (redirect,
// kernel, boot, static): routes with these are somebody else's for sure.
const firstProtocol = 5

// Enforcer makes and removes routes. It holds no state of its own.
type Enforcer struct {
	typeName string
	kind     kind
	protocol int
}

var (
	_ enforcer.Enforcer = (*Enforcer)(nil)
	_ enforcer.Prober   = (*Enforcer)(nil)
)

// New returns an enforcer, or what is wrong with the options.
func New(options Options) (*Enforcer, error) {
	if options.Type == "" {
		options.Type = Blackhole
	}
	if options.Protocol == 0 {
		options.Protocol = DefaultProtocol
	}
	kind, ok := kinds[options.Type]
	if !ok {
		return nil, fmt.Errorf("route type %q is none of %s, %s, %s", options.Type, Blackhole, Unreachable, Prohibit)
	}
	if options.Protocol < firstProtocol || options.Protocol > 255 {
		return nil, fmt.Errorf("route protocol %d is not from %d to 255", options.Protocol, firstProtocol)
	}
	return &Enforcer{typeName: options.Type, kind: kind, protocol: options.Protocol}, nil
}

// Block makes the route to addr and asks the kernel whether it now drops what
// goes there: an address of this host, or policy routing (ip-rule(8)), would
// lead past the main table, which is an error. Routes of others to addr stay;
// ours goes in front of them. Policy routing by the source leads only some packets past,
// which is a note. fresh is a promise that none of ours is there.
func (e *Enforcer) Block(ctx context.Context, addr netip.Addr, fresh bool) (enforcer.Outcome, error) {
	notes, err := e.block(ctx, addr, fresh)
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding %s route for %s: %w", e.typeName, addr, explain(addr, err))
	}
	return enforcer.Outcome{Notes: notes}, nil
}

// Unblock deletes our routes to addr, whatever their type and metric.
func (e *Enforcer) Unblock(ctx context.Context, addr netip.Addr) error {
	s, err := netlink.Open(ctx)
	if err == nil {
		defer s.Close()
		err = e.remove(s, addr)
	}
	if err != nil && !(addr.Is6() && noIPv6(err)) {
		return fmt.Errorf("removing route for %s: %w", addr, explain(addr, err))
	}
	return nil
}

// Missing implements enforcer.Prober.
func (e *Enforcer) Missing(ctx context.Context, addr netip.Addr) bool {
	s, err := netlink.Open(ctx)
	if err != nil {
		return false
	}
	defer s.Close()
	answers, err := s.Ask(lookup(addr))
	return err == nil && (answers[0].Err == nil || errors.Is(answers[0].Err, unix.ENETUNREACH))
}

// BlockAll is Block for many. Notes on single addresses are not told.
func (e *Enforcer) BlockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	if err := e.blockAll(ctx, addrs, progress); err != nil {
		return fmt.Errorf("adding %s routes: %w", e.typeName, err)
	}
	return nil
}

// UnblockAll is Unblock for many.
func (e *Enforcer) UnblockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	if err := e.unblockAll(ctx, addrs, progress); err != nil {
		return fmt.Errorf("removing routes: %w", err)
	}
	return nil
}

// List returns the addresses that our routes lead to, each once.
func (e *Enforcer) List(ctx context.Context) ([]enforcer.Block, error) {
	addrs, err := e.addresses(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", explain(netip.Addr{}, err))
	}
	blocks := make([]enforcer.Block, len(addrs))
	for i, addr := range addrs {
		blocks[i].Addr = addr
	}
	return blocks, nil
}

// Flush deletes all our routes.
func (e *Enforcer) Flush(ctx context.Context) error {
	addrs, err := e.addresses(ctx)
	if err != nil {
		return fmt.Errorf("removing all routes: %w", explain(netip.Addr{}, err))
	}
	if err := e.unblockAll(ctx, addrs, nil); err != nil {
		return fmt.Errorf("removing all routes: %w", err)
	}
	return nil
}

// Describe says which route Block would add.
func (e *Enforcer) Describe(addr netip.Addr) string {
	return fmt.Sprintf("add the route %s %s/%d proto %d to the main table", e.typeName, addr, addr.BitLen(), e.protocol)
}
