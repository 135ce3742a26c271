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
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

// addHost adds the host's own addresses, the broadcast addresses of its networks and its
// gateways. It spares the kernel that where addr, if one is given, is surely none of them.
func (l *List) addHost(addr netip.Addr) {
	b := l.unasked
	if !b.OwnAddresses && !b.Broadcast && !b.Gateways {
		return
	}
	socket, err := netlink.Open(context.Background())
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("reading the host's own addresses: %w", err))
		return
	}
	defer socket.Close()
	if addr.IsValid() && isElsewhere(socket, addr) {
		return
	}
	l.unasked = BuiltIn{}
	if b.OwnAddresses || b.Broadcast {
		err := socket.Addresses(unix.AF_UNSPEC, func(p netip.Prefix) { l.addInterface(p, b) })
		if err != nil {
			l.faults = append(l.faults, fmt.Errorf("reading the host's own addresses: %w", err))
		}
	}
	if !b.Gateways {
		return
	}
	for _, v6 := range []bool{false, true} {
		if err := socket.DefaultRoutes(v6, l.addRouteGateways); err != nil {
			l.faults = append(l.faults, fmt.Errorf("reading default gateways: %w", err))
		}
	}
}

func (l *List) addInterface(p netip.Prefix, b BuiltIn) {
	if b.OwnAddresses {
		l.addOne(p.Addr(), "own address")
	}
	if b.Broadcast && p.Addr().Is4() && p.IsValid() && p.Bits() < 31 { // RFC 3021: a /31 has none
		l.addOne(lastOf(p), "broadcast")
	}
}

// lastOf returns the highest address of an IPv4 network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// isElsewhere reports whether addr is neither the host's own, nor a broadcast address, nor a
// default gateway, for far less than looking through all of them costs: the kernel's way to it
// leads through another gateway, as to nearly every attacker, or there is none, and no rule leads
// to further tables. That passes over a backup gateway outside the host's networks ("onlink") and
// the address of an interface that is down. Any other doubt is a no.
func isElsewhere(socket *netlink.Socket, addr netip.Addr) bool {
	if addr.IsLinkLocalUnicast() {
		return false
	}
	family := netlink.Family(addr.Is6())
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Dst_len: uint8(addr.BitLen())}})
	request.AddData(nl.NewRtAttr(unix.RTA_DST, addr.AsSlice()))
	answers, err := socket.Ask(request)
	if err != nil || !leadsAway(addr, answers[0]) {
		return false
	}
	rules, err := socket.Rules(family)
	return err == nil && !slices.ContainsFunc(rules, netlink.Rule.Elsewhere)
}

// leadsAway reports whether the kernel's way to addr leads through another gateway, or there is
// none.
func leadsAway(addr netip.Addr, way netlink.Answer) bool {
	switch {
	case errors.Is(way.Err, unix.ENETUNREACH): // not even a default route leads there
		return true
	case errors.Is(way.Err, unix.EINVAL), errors.Is(way.Err, unix.EHOSTUNREACH),
		errors.Is(way.Err, unix.EACCES):
		return true // blackhole, unreachable, prohibit: null-routed already
	case len(way.Message) < unix.SizeofRtMsg:
		return false
	}
	message := nl.DeserializeRtMsg(way.Message)
	if message.Type != unix.RTN_UNICAST {
		return false // our own (RTN_LOCAL), or RTN_BROADCAST
	}
	var hops List
	hops.addRouteGateways(way.Message[message.Len():])
	return len(hops.networks) > 0 && !slices.ContainsFunc(hops.networks,
		func(n network) bool { return n.prefix.Addr() == addr })
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
