package firewall

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// forwards reports whether packets of a family that the host passes on are dropped too.
func (h *host) forwards() bool {
	return h.hostForwards() || h.opts.Forward != "never" && interfaceForwards(h.v6)
}

// hostForwards is forwards without a question to the kernel about each interface: enough for a call
// whose place stands, which is made and mended by forwards.
func (h *host) hostForwards() bool {
	switch h.opts.Forward {
	case "always":
		return true
	case "never":
		return false
	}
	sysctl := "sys/net/ipv4/ip_forward"
	if h.v6 {
		sysctl = "sys/net/ipv6/conf/all/forwarding"
	}
	value, err := state.Read(filepath.Join(h.opts.Proc, sysctl), 64)
	return err == nil && strings.TrimSpace(string(value)) != "0"
}

// interfaceForwards reports whether an interface forwards though the host as a whole does not,
// as systemd-networkd's IPv4Forwarding= makes it. For IPv6 that is conf/*/force_forwarding
// (Linux 6.17): conf/*/forwarding says other things there. One request is about all
// interfaces, be they thousands; procfs takes three calls for each.
func interfaceForwards(v6 bool) bool {
	s, err := netlink.Open(context.Background())
	if err != nil {
		return false
	}
	defer s.Close()
	what, family, says := unix.RTM_GETNETCONF, unix.AF_INET, netconfForwards
	if v6 {
		what, family, says = unix.RTM_GETLINK, unix.AF_INET6, linkForwards
	}
	request := nl.NewNetlinkRequest(what, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(family)) // longer than what RTM_GETNETCONF takes, which is as well
	forwards := false
	err = s.Dump(request, func(message []byte) (more bool) {
		forwards = says(message)
		return !forwards
	})
	return err == nil && forwards
}

// netconfForwards reads conf/*/forwarding of IPv4, of one interface: linux/netconf.h. The
// settings for all and for those to come have negative numbers.
func netconfForwards(message []byte) bool {
	const header, index, forwarding = 4, 1, 2
	attributes := message[min(header, len(message)):]
	return int32At(netlink.Find(attributes, index), 0) > 0 &&
		int32At(netlink.Find(attributes, forwarding), 0) != 0
}

// linkForwards reads conf/*/force_forwarding of IPv6, of one interface: linux/ipv6.h.
func linkForwards(message []byte) bool {
	const conf, forceForwarding = 2, 59 // IFLA_INET6_CONF, DEVCONF_FORCE_FORWARDING
	settings := netlink.Find(message[min(unix.SizeofIfInfomsg, len(message)):], unix.IFLA_PROTINFO, conf)
	return int32At(settings, forceForwarding) != 0
}

// int32At reads a number of a list in the machine's order, 0 where the list ends before.
func int32At(list []byte, at int) int32 {
	if len(list) < 4*at+4 {
		return 0
	}
	return int32(binary.NativeEndian.Uint32(list[4*at:]))
}
