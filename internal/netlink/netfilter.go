package netlink

import (
	"context"
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// netfilterHeader is the length of struct nfgenmsg, which precedes the attributes.
const netfilterHeader = 4

// OpenNetfilter returns a socket to netfilter (nfnetlink: ipset, nf_tables), as Open does.
// In a kernel without it every request fails with unix.EINVAL, the answer of nfnetlink
// about a subsystem that it does not have.
func OpenNetfilter(ctx context.Context) (*Socket, error) {
	// No list has messages longer than that.
	return open(ctx, unix.NETLINK_NETFILTER, 32<<10)
}

// Netfilter returns a request to a subsystem of netfilter (kind: subsystem << 8 | command).
func Netfilter(kind, flags int, family uint8, attributes Attributes) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(kind, flags)
	request.RawData = append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attributes...)
	return request
}

// NetfilterAttributes returns the attributes of an answer's or a list's message.
func NetfilterAttributes(message []byte) []byte {
	return message[min(netfilterHeader, len(message)):]
}

// Transact sends nf_tables requests as one transaction and returns the first error.
func (s *Socket) Transact(requests ...*nl.NetlinkRequest) error {
	// Errors come before the acknowledgement of the last request, whose own error that is.
	requests[len(requests)-1].Flags |= unix.NLM_F_ACK
	all := append([]*nl.NetlinkRequest{batchMark(unix.NFNL_MSG_BATCH_BEGIN)}, requests...)
	first := s.seq + 1
	last := first + uint32(len(requests))
	if err := s.send(append(all, batchMark(unix.NFNL_MSG_BATCH_END))...); err != nil {
		return err
	}
	var fault error
	buffer := make([]byte, bufferSize)
	for done := false; !done; {
		messages, err := s.receive(buffer)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.seq-first > uint32(len(requests)) || m.kind != unix.NLMSG_ERROR {
				continue
			}
			if fault == nil {
				fault = m.fault()
			}
			done = done || m.seq == last || m.seq == first // the first is the whole
		}
	}
	return fault
}

// batchMark begins or ends a transaction of nf_tables.
func batchMark(kind int) *nl.NetlinkRequest {
	request := Netfilter(kind, 0, unix.AF_UNSPEC, nil)
	binary.BigEndian.PutUint16(request.RawData[2:], unix.NFNL_SUBSYS_NFTABLES)
	return request
}
