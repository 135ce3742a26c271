// Package nullroute blocks addresses by blackhole routes: what this host would
// answer is thrown away by its own routing, which ends TCP connections and
// keeps new ones from coming about. It is an enforcer.Enforcer, over rtnetlink(7)
// and with no external program.
//
// Packets from the address still arrive; a datagram that wants no answer has
// its effect. Only routes of the main table with this package's protocol number, to
// one address or an IPv6 network of 64, 56 or 48 bits, are ever deleted or replaced: never
// a default route, another prefix, or a route that somebody else made.
package nullroute

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Kind is route-null.
var Kind = enforcer.Kind{
	Name:    "route-null",
	Summary: "route the way back to attackers into a blackhole",
	New: func(c config.Config, _ string) (enforcer.Enforcer, error) {
		return New(Options{Type: c.RouteNull.Type})
	},
	Hint: hint,
}

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
	// number to addresses, and to IPv6 networks as they are blocked, in the main table count as ours.
	Protocol int
}

// kinds are the route types with the answer that a look-up in the kernel gives.
var kinds = []kind{
	{Blackhole, unix.RTN_BLACKHOLE, unix.EINVAL},
	{Unreachable, unix.RTN_UNREACHABLE, unix.EHOSTUNREACH},
	{Prohibit, unix.RTN_PROHIBIT, unix.EACCES},
}

type kind struct {
	name   string
	number int
	errno  unix.Errno
}

// kindOf returns the type of that name, the zero kind when there is none.
func kindOf(name string) (found kind) {
	for _, k := range kinds {
		if k.name == name {
			found = k
		}
	}
	return found
}

// firstProtocol is behind those that the kernel and ip(8) itself use (redirect,
// kernel, boot, static): routes with these are somebody else's for sure.
const firstProtocol = 5

// Enforcer makes and removes routes. It holds no state of its own.
type Enforcer struct {
	kind     kind
	protocol int
}

var _ enforcer.Enforcer = (*Enforcer)(nil)

// Backend returns the type of the routes.
func (e *Enforcer) Backend(context.Context) string { return e.kind.name + " routes" }

// New returns an enforcer, or what is wrong with the options.
func New(options Options) (*Enforcer, error) {
	if options.Type == "" {
		options.Type = Blackhole
	}
	if options.Protocol == 0 {
		options.Protocol = DefaultProtocol
	}
	kind := kindOf(options.Type)
	if kind.name == "" {
		return nil, fmt.Errorf("route type %q is none of %s, %s, %s", options.Type,
			Blackhole, Unreachable, Prohibit)
	}
	if options.Protocol < firstProtocol || options.Protocol > 255 {
		return nil, fmt.Errorf("route protocol %d is not from %d to 255", options.Protocol, firstProtocol)
	}
	return &Enforcer{kind: kind, protocol: options.Protocol}, nil
}

// Block makes the route to addr and asks the kernel whether it now drops what
// goes there: an address of this host, or policy routing (ip-rule(8)), would
// lead past the main table, which is an error. Routes of others to addr stay;
// ours goes in front of them. Policy routing by the source leads only some packets past,
// which is a note. Routes have no place that could be missing, so none is ever made.
func (e *Enforcer) Block(ctx context.Context, addr target.Target,
	known enforcer.Known) (enforcer.Outcome, error) {
	s, err := netlink.Open(ctx)
	if err != nil {
		return enforcer.Outcome{}, e.adding(addr, err)
	}
	defer s.Close()
	out, err := e.block(ctx, s, addr, known)
	if err != nil {
		return enforcer.Outcome{}, e.adding(addr, err)
	}
	out.Notes = append(out.Notes, waysPast(s, addr)...)
	return out, nil
}

func (e *Enforcer) adding(addr target.Target, err error) error {
	return fmt.Errorf("adding %s route for %s: %w", e.kind.name, addr, explain(addr, err))
}

// BlockAll is Block for many, without notes. That one cannot be blocked, such as what has
// become an address of this host, does not keep the others from it.
func (e *Enforcer) BlockAll(ctx context.Context, addrs []target.Target) error {
	s, err := netlink.Open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	rest, failed := e.addNew(ctx, s, addrs)
	if ctx.Err() != nil {
		return errors.Join(failed, ctx.Err())
	}
	return errors.Join(failed, each(ctx, rest, func(s *netlink.Socket, addr target.Target) error {
		if _, err := e.block(ctx, s, addr, enforcer.Unknown); err != nil {
			return e.adding(addr, err)
		}
		return nil
	}))
}

// Unblock deletes our routes to addr, whatever their type and metric.
func (e *Enforcer) Unblock(ctx context.Context, addr target.Target) error {
	s, err := netlink.Open(ctx)
	if err != nil {
		return removing(addr, err)
	}
	defer s.Close()
	return e.unblock(s, addr)
}

func (e *Enforcer) unblock(s *netlink.Socket, addr target.Target) error {
	if err := e.remove(s, addr); err != nil && !(addr.Is6() && noIPv6(err)) {
		return removing(addr, err)
	}
	return nil
}

func removing(addr target.Target, err error) error {
	return fmt.Errorf("removing route for %s: %w", addr, explain(addr, err))
}

// UnblockAll is Unblock for many.
func (e *Enforcer) UnblockAll(ctx context.Context, addrs []target.Target) error {
	return each(ctx, addrs, e.unblock)
}

// each calls do with each address, and goes on with the next when it fails, but for the end
// of ctx.
func each(ctx context.Context, addrs []target.Target,
	do func(s *netlink.Socket, addr target.Target) error) error {
	s, err := netlink.Open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	var failed enforcer.Failures
	for _, addr := range addrs {
		err := do(s, addr)
		failed.Add(err)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if ctx.Err() != nil {
			failed.Add(ctx.Err())
			break
		}
	}
	return failed.All()
}

// List returns the addresses that our routes lead to. One that the kernel routes another way
// all the same, by a route that somebody put in front, is open.
func (e *Enforcer) List(ctx context.Context) (enforcer.Listing, error) {
	addrs, err := e.addresses(ctx)
	if err != nil {
		return enforcer.Listing{}, fmt.Errorf("listing routes: %w", explain(target.Target{}, err))
	}
	blocks, err := lookUp(ctx, addrs)
	if err != nil {
		return enforcer.Listing{}, fmt.Errorf("looking routes up: %w", explain(target.Target{}, err))
	}
	return enforcer.Listing{Blocks: blocks}, nil
}

// Mend has nothing to do: routes need no place.
func (e *Enforcer) Mend(context.Context) ([]string, error) { return nil, nil }

// Flush deletes all our routes.
func (e *Enforcer) Flush(ctx context.Context) error {
	addrs, err := e.addresses(ctx)
	if err != nil {
		return fmt.Errorf("removing all routes: %w", explain(target.Target{}, err))
	}
	return e.UnblockAll(ctx, addrs)
}

// Describe returns which route Block would add.
func (e *Enforcer) Describe(addr target.Target) string {
	return fmt.Sprintf("add the route %s %s proto %d to the main table", e.kind.name, addr.Prefix(),
		e.protocol)
}

// hint is Kind.Hint.
func hint(err error) string {
	switch {
	case errors.Is(err, errPast):
		return "firewall-drop blocks an address whatever way its packets take"
	case errors.Is(err, unix.EPERM):
		return "run it as root"
	}
	return ""
}
