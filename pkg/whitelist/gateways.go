package whitelist

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

// mayBeGateway reports whether addr may be the gateway of a default route, for far less than
// looking through all routes costs. What is reached through some other gateway, as nearly
// every attacker is, is none where no rule leads to further tables; but for a backup gateway
// outside the host's networks ("onlink"), which is not worth that look at each attack. Any
// other doubt is a yes.
func mayBeGateway(addr netip.Addr) bool {
	family := netlink.Family(addr.Is6())
	socket, err := netlink.Open(context.Background())
	if err != nil {
		return true
	}
	defer socket.Close()
	if !isElsewhere(socket, family, addr) {
		return true
	}
	rules, err := socket.Rules(family)
	return err != nil || slices.ContainsFunc(rules, netlink.Rule.Elsewhere)
}

// isElsewhere reports whether the kernel's way to addr leads through another gateway, or there
// is none.
func isElsewhere(socket *netlink.Socket, family uint8, addr netip.Addr) bool {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Dst_len: uint8(addr.BitLen())}})
	req.AddData(nl.NewRtAttr(unix.RTA_DST, addr.AsSlice()))
	answers, err := socket.Ask(req)
	if err != nil {
		return false
	}
	switch answer := answers[0]; {
	case errors.Is(answer.Err, unix.ENETUNREACH): // not even a default route leads there
		return true
	case errors.Is(answer.Err, unix.EINVAL), errors.Is(answer.Err, unix.EHOSTUNREACH), errors.Is(answer.Err, unix.EACCES):
		return true // blackhole, unreachable, prohibit: null-routed already
	case len(answer.Message) < unix.SizeofRtMsg:
		return false
	default:
		msg := nl.DeserializeRtMsg(answer.Message)
		if msg.Type != unix.RTN_UNICAST {
			return false
		}
		var way List
		way.addRouteGateways(answer.Message[msg.Len():])
		return len(way.networks) > 0 && !way.has(addr)
	}
}

// has reports whether addr itself is in the list.
func (l *List) has(addr netip.Addr) bool {
	return slices.ContainsFunc(l.networks, func(n network) bool { return n.prefix.Addr() == addr })
}

// addGateways adds the gateways of all default routes. It asks the kernel for
// unicast routes only (strict checking, Linux 4.20), so that the null routes of an
// attack, which may be a hundred thousand, are not copied out; netlink.RouteListFiltered
// would fetch and decode them all. An older kernel sends all and they are skipped.
func (l *List) addGateways() {
	l.gateways = false
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("reading default gateways: %w", err))
		return
	}
	defer socket.Close()
	if err := socket.SetReceiveTimeout(&unix.Timeval{Sec: 1}); err != nil {
		l.faults = append(l.faults, fmt.Errorf("reading default gateways: %w", err))
		return
	}
	_ = unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
		req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Type: unix.RTN_UNICAST}})
		err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(m []byte) bool {
			if msg := nl.DeserializeRtMsg(m); msg.Dst_len == 0 && msg.Type == unix.RTN_UNICAST && msg.Family == family {
				l.addRouteGateways(m[msg.Len():])
			}
			return true
		})
		// Interrupted means that routes changed meanwhile, as in a storm of null routes:
		// every default route that stood all along has been seen.
		if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
			l.faults = append(l.faults, fmt.Errorf("reading default gateways: %w", err))
		}
	}
}

// addRouteGateways reads the attributes of one route or of one hop of it (rtnetlink(7)).
func (l *List) addRouteGateways(attributes []byte) {
	attrs, err := nl.ParseRouteAttr(attributes)
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("reading default gateways: %w", err))
		return
	}
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_GATEWAY:
			l.addGateway(a.Value)
		case unix.RTA_VIA: // a family, then the address
			if len(a.Value) > 2 {
				l.addGateway(a.Value[2:])
			}
		case unix.RTA_MULTIPATH:
			for hops := a.Value; len(hops) >= syscall.SizeofRtNexthop; {
				size := int(binary.NativeEndian.Uint16(hops))
				if size < syscall.SizeofRtNexthop || size > len(hops) {
					break
				}
				l.addRouteGateways(hops[syscall.SizeofRtNexthop:size])
				hops = hops[min(len(hops), (size+3)&^3):]
			}
		}
	}
}

func (l *List) addGateway(ip []byte) {
	if addr, ok := netip.AddrFromSlice(ip); ok {
		l.addOne(addr, "default gateway")
	}
}
