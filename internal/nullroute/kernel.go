package nullroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// metricV6 is the best one that a route can be given: the kernel reads 0 as
// 1024, what ip(8) gives its routes. In IPv4 the best is 0, which is the default.
const metricV6 = 1

// errPast means that the kernel routes packets for the address in spite of us.
var errPast = errors.New("it would have no effect")

// errLinkLocal is known without a look-up, which would find the route: packets name the
// interface that a link-local address is behind, and go by its own route.
var errLinkLocal = fmt.Errorf("%w: packets to a link-local address pass by the main table's other routes; "+
	"firewall-drop blocks it", errPast)

// block adds the route and looks up where it leads, in one go.
func (e *Enforcer) block(
	ctx context.Context, s *netlink.Socket, addr target.Target, known enforcer.Known,
) (out enforcer.Outcome, err error) {
	answers, err := s.Ask(e.add(addr, unix.NLM_F_CREATE|unix.NLM_F_EXCL), lookup(addr))
	if err != nil {
		return out, err
	}
	switch err := answers[0].Err; {
	case err == nil:
		return out, e.inForce(s, addr, answers[1])
	case !errors.Is(err, unix.EEXIST):
		return out, err
	case !addr.Is6():
		return e.blockBesideV4(s, addr)
	}
	return e.blockBesideV6(ctx, s, addr, known, answers[1])
}

// addNew is block for many, as far as there is no route to them yet; rest are the others.
func (e *Enforcer) addNew(ctx context.Context, s *netlink.Socket, addrs []target.Target) (
	rest []target.Target, err error) {
	var failed enforcer.Failures
	for some := range slices.Chunk(addrs, lookUpAtOnce/2) {
		requests := make([]*nl.NetlinkRequest, 0, 2*len(some))
		for _, addr := range some {
			requests = append(requests, e.add(addr, unix.NLM_F_CREATE|unix.NLM_F_EXCL), lookup(addr))
		}
		answers, err := s.Ask(requests...)
		if err != nil || ctx.Err() != nil {
			failed.Add(err)
			break
		}
		for i, addr := range some {
			if answers[2*i].Err != nil {
				rest = append(rest, addr)
			} else if err := e.inForce(s, addr, answers[2*i+1]); err != nil {
				failed.Add(e.adding(addr, err))
			}
		}
	}
	return rest, failed.All()
}

// inForce checks the answer to the look-up after a route was added, and takes
// the route away again when it is of no use.
func (e *Enforcer) inForce(s *netlink.Socket, addr target.Target, looked netlink.Answer) error {
	if err := checkDropped(addr, looked); err != nil {
		return errors.Join(err, e.remove(s, addr))
	}
	return nil
}

// blockBesideV4 is for an address that has a route of metric 0 already. Among
// equals the first decides, and a route that is added without NLM_F_EXCL and
// NLM_F_APPEND (`ip route prepend`) comes first; EEXIST then means that just
// this route of ours is there.
func (e *Enforcer) blockBesideV4(s *netlink.Socket, addr target.Target) (out enforcer.Outcome, err error) {
	answers, err := s.Ask(e.add(addr, unix.NLM_F_CREATE), lookup(addr))
	if err != nil {
		return out, err
	}
	if errors.Is(answers[0].Err, unix.EEXIST) {
		if checkDropped(addr, answers[1]) == nil {
			out.Already = true
			return out, nil
		}
		// Somebody put a route in front of ours: change places.
		answers, err = s.Ask(e.del(addr, e.kind.number), e.add(addr, unix.NLM_F_CREATE), lookup(addr))
		if err != nil {
			return out, err
		}
		answers = answers[1:]
	}
	// a second process of ours was first
	if err := answers[0].Err; err != nil && !errors.Is(err, unix.EEXIST) {
		return out, err
	}
	if err := e.inForce(s, addr, answers[1]); err != nil {
		return out, err
	}
	replaced := false
	for _, other := range kinds {
		if other == e.kind {
			continue
		}
		if err := s.AskOne(e.del(addr, other.number)); err == nil {
			replaced = true
		} else if !errors.Is(err, unix.ESRCH) {
			return out, err
		}
	}
	if replaced {
		return out, nil
	}
	out.Notes = []string{fmt.Sprintf("a route to %s that is not ours stays, behind ours", addr)}
	return out, nil
}

// blockBesideV6 is for an address that has a route of our metric already. IPv6
// knows no order among equals, so one that is not ours either blocks as well as
// ours would, or is in the way.
func (e *Enforcer) blockBesideV6(
	ctx context.Context, s *netlink.Socket, addr target.Target, known enforcer.Known, looked netlink.Answer,
) (out enforcer.Outcome, err error) {
	if !dropped(looked) {
		if ours, err := dump(ctx, e.like(unix.AF_INET6)); err == nil && slices.Contains(ours, addr) {
			return out, e.inForce(s, addr, looked)
		}
		return out, fmt.Errorf("a route that is not ours has the metric %d already", metricV6)
	}
	sameType := errors.Is(looked.Err, e.kind.errno)
	if out.Already = sameType; sameType && known.Leased {
		return out, nil // ours, as a rule; to make sure takes a list of all
	}
	ours, err := dump(ctx, e.like(unix.AF_INET6))
	switch {
	case err != nil && !errors.Is(err, errTorn):
		return out, err
	case !slices.Contains(ours, addr):
		out.Already = true
		out.Notes = []string{fmt.Sprintf("a route to %s that is not ours blocks it already", addr)}
		return out, nil
	case sameType:
		return out, nil
	}
	answers, err := s.Ask(e.add(addr, unix.NLM_F_CREATE|unix.NLM_F_REPLACE), lookup(addr))
	if err != nil {
		return out, err
	}
	if err := answers[0].Err; err != nil {
		return out, err
	}
	return out, checkDropped(addr, answers[1])
}

// remove deletes until there is nothing of ours: the kernel takes away one
// matching route at a time. There is one, as a rule, so two are asked for.
func (e *Enforcer) remove(s *netlink.Socket, addr target.Target) error {
	for {
		answers, err := s.Ask(e.del(addr, 0), e.del(addr, 0))
		if err != nil {
			return err
		}
		for _, answer := range answers {
			if errors.Is(answer.Err, unix.ESRCH) {
				return nil
			}
			if answer.Err != nil {
				return answer.Err
			}
		}
	}
}

// checkDropped reads where the kernel says that a packet of ours to addr goes.
func checkDropped(addr target.Target, looked netlink.Answer) error {
	switch {
	case addr.Is6() && addr.Addr().IsLinkLocalUnicast():
		return errLinkLocal
	case dropped(looked):
		return nil
	case looked.Err != nil:
		return fmt.Errorf("looking it up: %w", looked.Err)
	case routeType(looked) == unix.RTN_LOCAL:
		return fmt.Errorf("%w: this is an address of this host", errPast)
	}
	return fmt.Errorf("%w: packets to it still have a way, look at `ip rule` and `ip route get %s`", errPast,
		addr)
}

// dropped reports whether the answer is that of a route like ours, or that there
// is no route at all.
func dropped(looked netlink.Answer) bool {
	for _, kind := range kinds {
		if errors.Is(looked.Err, kind.errno) {
			return true
		}
	}
	return errors.Is(looked.Err, unix.ENETUNREACH)
}

// noIPv6 reports whether err is how a kernel without IPv6 (ipv6.disable=1) answers.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) ||
		errors.Is(err, unix.EPFNOSUPPORT)
}

// explain puts into words what the errno of a netlink answer does not say.
func explain(addr target.Target, err error) error {
	switch {
	case addr.Is6() && noIPv6(err):
		return fmt.Errorf("IPv6 is disabled in this kernel: %w", err)
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("the kernel did not answer in time: %w", context.DeadlineExceeded)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (needs root or CAP_NET_ADMIN)", err)
	}
	return err
}

// routeType returns where the route that was looked up leads, 0 for no such answer.
func routeType(looked netlink.Answer) uint8 {
	if len(looked.Message) < unix.SizeofRtMsg {
		return 0
	}
	return nl.DeserializeRtMsg(looked.Message).Type
}

// add is the request for a new route; flags are of NLM_F_CREATE and its like.
func (e *Enforcer) add(addr target.Target, flags int) *nl.NetlinkRequest {
	message := nl.NewRtMsg() // of the main table
	message.Type, message.Protocol = uint8(e.kind.number), uint8(e.protocol)
	request := toward(addr, unix.RTM_NEWROUTE, flags|unix.NLM_F_ACK, message)
	if addr.Is6() {
		request.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(metricV6)))
	}
	return request
}

// del is the request to delete one route of ours, of that type in IPv4 (the
// kernel does not look at it in IPv6); 0 means any.
func (e *Enforcer) del(addr target.Target, routeType int) *nl.NetlinkRequest {
	message := nl.NewRtDelMsg() // of the main table, any scope
	message.Type, message.Protocol = uint8(routeType), uint8(e.protocol)
	request := toward(addr, unix.RTM_DELROUTE, unix.NLM_F_ACK, message)
	if !addr.IsSingle() {
		request.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(metricV6)))
	}
	return request
}

// lookup is the request to say where a packet to addr, or to the first address of a network, goes.
func lookup(addr target.Target) *nl.NetlinkRequest {
	return toward(target.Of(addr.Addr()), unix.RTM_GETROUTE, 0, &nl.RtMsg{})
}

// lookupFrom is lookup for a packet with that source.
func lookupFrom(source netip.Addr, addr target.Target) *nl.NetlinkRequest {
	request := toward(target.Of(addr.Addr()), unix.RTM_GETROUTE, 0,
		&nl.RtMsg{RtMsg: unix.RtMsg{Src_len: uint8(source.BitLen())}})
	request.AddData(nl.NewRtAttr(unix.RTA_SRC, source.AsSlice()))
	return request
}

func toward(addr target.Target, what, flags int, message *nl.RtMsg) *nl.NetlinkRequest {
	message.Family = netlink.Family(addr.Is6())
	message.Dst_len = uint8(addr.Prefix().Bits())
	request := nl.NewNetlinkRequest(what, flags)
	request.AddData(message)
	request.AddData(nl.NewRtAttr(unix.RTA_DST, addr.Addr().AsSlice()))
	return request
}
