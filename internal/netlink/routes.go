package netlink

import (
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Routes calls visit with each route that has the family, and the table, protocol and type where
// these are not 0, and with its attributes. The kernel itself leaves out others (strict checking,
// Linux 4.20), so that the null routes of an attack, which may be a hundred thousand, are not copied
// out where they are not asked for; an older one sends all. Where routes change meanwhile, every one
// that stood all along has been seen; Torn reports that.
func (s *Socket) Routes(filter unix.RtMsg, visit func(route unix.RtMsg, attributes []byte)) error {
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	request.AddData(&nl.RtMsg{RtMsg: filter})
	fits := func(wanted, got uint8) bool { return wanted == 0 || wanted == got }
	return s.Dump(request, func(message []byte) (more bool) {
		if len(message) < unix.SizeofRtMsg {
			return true
		}
		m := nl.DeserializeRtMsg(message).RtMsg
		if m.Family == filter.Family && fits(filter.Table, m.Table) && fits(filter.Protocol, m.Protocol) &&
			fits(filter.Type, m.Type) {
			visit(m, message[unix.SizeofRtMsg:])
		}
		return true
	})
}

// DefaultRoutes calls visit with the attributes of each default route, of all tables.
func (s *Socket) DefaultRoutes(v6 bool, visit func(attributes []byte)) error {
	filter := unix.RtMsg{Family: Family(v6), Type: unix.RTN_UNICAST}
	err := s.Routes(filter, func(route unix.RtMsg, attributes []byte) {
		if route.Dst_len == 0 {
			visit(attributes)
		}
	})
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) { // a kernel without IPv6
		return nil
	}
	return err
}
