package nullroute

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

// routeType returns where the route that was looked up leads, 0 for no such answer.
func routeType(looked netlink.Answer) uint8 {
	if len(looked.Message) < unix.SizeofRtMsg {
		return 0
	}
	return nl.DeserializeRtMsg(looked.Message).Type
}

// add is the request for a new route; flags are of NLM_F_CREATE and its like.
func (e *Enforcer) add(addr netip.Addr, flags int) *nl.NetlinkRequest {
	message := nl.NewRtMsg() // of the main table
	message.Type = uint8(e.kind.number)
	return e.request(unix.RTM_NEWROUTE, flags, message, addr, addr.Is6())
}

// del is the request to delete one route of ours, of that type in IPv4 (the
// kernel does not look at it in IPv6); 0 means any.
func (e *Enforcer) del(addr netip.Addr, routeType int) *nl.NetlinkRequest {
	message := nl.NewRtDelMsg() // of the main table, any scope
	message.Type = uint8(routeType)
	return e.request(unix.RTM_DELROUTE, 0, message, addr, false)
}

func (e *Enforcer) request(what, flags int, message *nl.RtMsg, addr netip.Addr, metric bool) *nl.NetlinkRequest {
	message.Protocol = uint8(e.protocol)
	request := toward(addr, what, flags|unix.NLM_F_ACK, message)
	if metric {
		request.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(metricV6)))
	}
	return request
}

// lookup is the request to say where a packet to addr would go.
func lookup(addr netip.Addr) *nl.NetlinkRequest {
	return toward(addr, unix.RTM_GETROUTE, 0, &nl.RtMsg{})
}

// lookupFrom is lookup for a packet with that source.
func lookupFrom(source, addr netip.Addr) *nl.NetlinkRequest {
	request := toward(addr, unix.RTM_GETROUTE, 0, &nl.RtMsg{RtMsg: unix.RtMsg{Src_len: uint8(source.BitLen())}})
	request.AddData(nl.NewRtAttr(unix.RTA_SRC, source.AsSlice()))
	return request
}

func toward(addr netip.Addr, what, flags int, message *nl.RtMsg) *nl.NetlinkRequest {
	message.Family = netlink.Family(addr.Is6())
	message.Dst_len = uint8(addr.BitLen())
	request := nl.NewNetlinkRequest(what, flags)
	request.AddData(message)
	request.AddData(nl.NewRtAttr(unix.RTA_DST, addr.AsSlice()))
	return request
}
