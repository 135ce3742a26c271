package netlink

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Addresses calls visit with each address of the host's interfaces, of that family
// (AF_UNSPEC: of both), and its network.
func (s *Socket) Addresses(family int, visit func(netip.Prefix)) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfAddrmsg(family))
	return s.Dump(request, func(message []byte) (more bool) {
		if p, ok := interfaceAddr(message); ok {
			visit(p)
		}
		return true
	})
}

// interfaceAddr reads one address of an interface and its network (rtnetlink(7)). With a
// point-to-point peer IFA_ADDRESS is the peer's, and IFA_LOCAL ours.
func interfaceAddr(message []byte) (netip.Prefix, bool) {
	if len(message) < unix.SizeofIfAddrmsg {
		return netip.Prefix{}, false
	}
	attrs, err := nl.ParseRouteAttr(message[unix.SizeofIfAddrmsg:])
	if err != nil {
		return netip.Prefix{}, false
	}
	var addr netip.Addr
	for _, a := range attrs {
		if a.Attr.Type == unix.IFA_LOCAL || a.Attr.Type == unix.IFA_ADDRESS && !addr.IsValid() {
			addr, _ = netip.AddrFromSlice(a.Value)
		}
	}
	return netip.PrefixFrom(addr, int(message[1])), addr.IsValid() // the second byte is ifa_prefixlen
}
