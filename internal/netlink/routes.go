package netlink

import (
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// DefaultRoutes calls visit with the attributes of each default route, of all tables. The kernel
// is asked for unicast routes only (strict checking, Linux 4.20), so that the null routes of an
// attack, which may be a hundred thousand, are not copied out; an older one sends all, and they
// are passed over. Where routes change meanwhile, as in a storm of null routes, every default route
// that stood all along has been seen.
func (s *Socket) DefaultRoutes(v6 bool, visit func(attributes []byte)) error {
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	family := Family(v6)
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Type: unix.RTN_UNICAST}})
	err := s.Dump(request, func(message []byte) (more bool) {
		if len(message) < unix.SizeofRtMsg {
			return true
		}
		m := nl.DeserializeRtMsg(message)
		if m.Dst_len == 0 && m.Type == unix.RTN_UNICAST && m.Family == family {
			visit(message[unix.SizeofRtMsg:])
		}
		return true
	})
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) { // a kernel without IPv6
		return nil
	}
	return err
}
