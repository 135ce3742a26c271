package nullroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// answerTimeout bounds each answer of the kernel where the context does not.
const answerTimeout = 10 * time.Second

// socket is a blocking rtnetlink socket for requests of one answer each. The
// library's own goes through the runtime's poller and asks one thing at a time:
// measured, 0.15 ms more of the 2 ms that a whole process takes.
type socket struct {
	fd  int
	seq uint32
}

// open returns a socket whose answers are waited for until ctx ends.
func open(ctx context.Context) (*socket, error) {
	wait, err := patience(ctx)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening netlink socket: %w", err)
	}
	limit := unix.NsecToTimeval(wait.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("setting netlink timeout: %w", err)
	}
	return &socket{fd: fd}, nil
}

// patience is how long ctx lets us wait for an answer.
func patience(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return answerTimeout, nil
	}
	wait := time.Until(deadline)
	if wait < time.Millisecond {
		return 0, context.DeadlineExceeded
	}
	return wait, nil
}

func (s *socket) close() { _ = unix.Close(s.fd) }

// answer is what the kernel said to one request: an errno, or where the route
// that was looked up leads.
type answer struct {
	err       error // nil or a syscall.Errno
	routeType uint8
}

// ask sends all requests at once and returns an answer for each, in order. The
// kernel goes through them one by one, whatever comes of those before.
func (s *socket) ask(requests ...*nl.NetlinkRequest) ([]answer, error) {
	var out []byte
	first := s.seq + 1
	for _, request := range requests {
		s.seq++
		request.Seq = s.seq
		out = append(out, request.Serialize()...)
	}
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := retry(func() error { return unix.Sendto(s.fd, out, 0, kernel) }); err != nil {
		return nil, fmt.Errorf("asking the kernel: %w", err)
	}
	answers := make([]answer, len(requests))
	buffer := make([]byte, 8192)
	for missing := len(requests); missing > 0; {
		var n int
		var from unix.Sockaddr
		err := retry(func() (err error) {
			n, from, err = unix.Recvfrom(s.fd, buffer, 0)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("waiting for the kernel's answer: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != nl.PidKernel {
			continue
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return nil, fmt.Errorf("reading the kernel's answer: %w", err)
		}
		for _, message := range messages {
			if i := message.Header.Seq - first; i < uint32(len(answers)) {
				answers[i] = read(message)
				missing--
			}
		}
	}
	return answers, nil
}

func read(message syscall.NetlinkMessage) answer {
	switch {
	case message.Header.Type == unix.NLMSG_ERROR && len(message.Data) >= 4:
		if errno := int32(nl.NativeEndian().Uint32(message.Data)); errno != 0 {
			return answer{err: syscall.Errno(-errno)}
		}
		return answer{}
	case message.Header.Type == unix.RTM_NEWROUTE && len(message.Data) >= unix.SizeofRtMsg:
		return answer{routeType: nl.DeserializeRtMsg(message.Data).Type}
	}
	return answer{err: unix.EBADMSG}
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// askOne is ask for one request, where its errno is all that counts.
func (s *socket) askOne(request *nl.NetlinkRequest) error {
	answers, err := s.ask(request)
	if err != nil {
		return err
	}
	return answers[0].err
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

func toward(addr netip.Addr, what, flags int, message *nl.RtMsg) *nl.NetlinkRequest {
	message.Family = unix.AF_INET
	if addr.Is6() {
		message.Family = unix.AF_INET6
	}
	message.Dst_len = uint8(addr.BitLen())
	request := nl.NewNetlinkRequest(what, flags)
	request.AddData(message)
	request.AddData(nl.NewRtAttr(unix.RTA_DST, addr.AsSlice()))
	return request
}
