package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a blocking socket to netfilter in the kernel, nfnetlink. The libraries for
// ipset and nftables go through the runtime's poller with a socket for each request, and
// know neither several requests at once nor lists that end early: of the 2 ms that a
// whole response takes they would be a good part.
type conn struct {
	fd  int // -1 where the kernel has no nfnetlink, and so none of what is asked for through it
	seq uint32
}

// answerTimeout bounds each answer of the kernel where the context does not.
const answerTimeout = 20 * time.Second

func dial(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	wait := answerTimeout
	if deadline, ok := ctx.Deadline(); ok {
		if wait = time.Until(deadline); wait < time.Millisecond {
			return nil, context.DeadlineExceeded
		}
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return &conn{fd: -1}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening netfilter socket: %w", err)
	}
	limit := unix.NsecToTimeval(wait.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("setting netfilter timeout: %w", err)
	}
	return &conn{fd: fd}, nil
}

// close has nothing to lose: all that was asked is answered, or not waited for.
func (c *conn) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
}

// requests is a run of netlink messages that is sent at once.
type requests struct {
	bytes []byte
	count int
	last  int // where the last message begins
}

// add begins a message of a subsystem of netfilter; what is added next belongs to it.
func (r *requests) add(kind, flags int, family uint8) {
	r.finish()
	r.last = len(r.bytes)
	r.count++
	r.bytes = append(r.bytes, make([]byte, unix.NLMSG_HDRLEN+4)...)
	header := r.bytes[r.last:]
	binary.NativeEndian.PutUint16(header[4:], uint16(kind))
	binary.NativeEndian.PutUint16(header[6:], uint16(unix.NLM_F_REQUEST|flags))
	header[unix.NLMSG_HDRLEN] = family
}

// finish writes the length of the last message.
func (r *requests) finish() {
	if r.count > 0 {
		binary.NativeEndian.PutUint32(r.bytes[r.last:], uint32(len(r.bytes)-r.last))
	}
}

func (r *requests) attr(kind int, value []byte) {
	length := unix.SizeofNlAttr + len(value)
	r.bytes = binary.NativeEndian.AppendUint16(r.bytes, uint16(length))
	r.bytes = binary.NativeEndian.AppendUint16(r.bytes, uint16(kind))
	r.bytes = append(r.bytes, value...)
	for ; length%4 != 0; length++ {
		r.bytes = append(r.bytes, 0)
	}
}

func (r *requests) text(kind int, value string) { r.attr(kind, append([]byte(value), 0)) }

func (r *requests) uint8(kind int, value uint8) { r.attr(kind, []byte{value}) }

// uint32 writes a number in network order, as netfilter has it.
func (r *requests) uint32(kind int, value uint32) {
	r.attr(kind, binary.BigEndian.AppendUint32(nil, value))
}

// nest begins an attribute that holds others; end must be called with what it returns.
func (r *requests) nest(kind int) int {
	start := len(r.bytes)
	r.bytes = binary.NativeEndian.AppendUint16(r.bytes, 0)
	r.bytes = binary.NativeEndian.AppendUint16(r.bytes, uint16(kind|unix.NLA_F_NESTED))
	return start
}

func (r *requests) end(start int) {
	binary.NativeEndian.PutUint16(r.bytes[start:], uint16(len(r.bytes)-start))
}

// answer is what the kernel said to one request.
type answer struct {
	err  error  // nil or a unix.Errno
	data []byte // attributes of the answer, where there is one
}

// send hands all requests over and returns the sequence number of the first.
func (c *conn) send(r *requests) (first uint32, err error) {
	r.finish()
	first = c.seq + 1
	for at := 0; at < len(r.bytes); {
		c.seq++
		binary.NativeEndian.PutUint32(r.bytes[at+8:], c.seq)
		at += int(binary.NativeEndian.Uint32(r.bytes[at:]))
	}
	if c.fd < 0 {
		return 0, unix.EINVAL // as nfnetlink answers about a subsystem that is not there
	}
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := retry(func() error { return unix.Sendto(c.fd, r.bytes, 0, kernel) }); err != nil {
		return 0, fmt.Errorf("asking the kernel: %w", err)
	}
	return first, nil
}

// receive calls do with the messages of the next datagram from the kernel.
func (c *conn) receive(buffer []byte, do func(m message) error) error {
	var n int
	var from unix.Sockaddr
	err := retry(func() (err error) {
		n, from, err = unix.Recvfrom(c.fd, buffer, 0)
		return err
	})
	if errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("the kernel did not answer in time: %w", context.DeadlineExceeded)
	}
	if err != nil {
		return fmt.Errorf("waiting for the kernel's answer: %w", err)
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return nil // not from the kernel
	}
	for rest := buffer[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
		length, kind := int(binary.NativeEndian.Uint32(rest)), binary.NativeEndian.Uint16(rest[4:])
		if kind == unix.NLMSG_ERROR {
			length = min(length, len(rest)) // behind the error is the whole request, which may not fit
		}
		if length < unix.NLMSG_HDRLEN || length > len(rest) {
			return errBadAnswer
		}
		err := do(message{
			kind: kind, flags: binary.NativeEndian.Uint16(rest[6:]),
			seq: binary.NativeEndian.Uint32(rest[8:]), body: rest[unix.NLMSG_HDRLEN:length],
		})
		if err != nil {
			return err
		}
		rest = rest[min(len(rest), (length+3)&^3):]
	}
	return nil
}

var errBadAnswer = errors.New("the kernel's answer does not read as one")

// message is one message of the kernel.
type message struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

// fault returns the error that an error message or the end of a list carries.
func (m message) fault() error {
	if len(m.body) < 4 {
		return nil
	}
	if errno := int32(binary.NativeEndian.Uint32(m.body)); errno < 0 {
		return unix.Errno(-errno)
	}
	return nil
}

// attributes skips the header that netfilter puts before them.
func (m message) attributes() []byte {
	if len(m.body) < 4 {
		return nil
	}
	return m.body[4:]
}

// ask sends requests that each get one answer and returns these in order.
func (c *conn) ask(r *requests) ([]answer, error) {
	first, err := c.send(r)
	if err != nil {
		return nil, err
	}
	answers := make([]answer, r.count)
	buffer := make([]byte, 8192)
	for missing := r.count; missing > 0; {
		err := c.receive(buffer, func(m message) error {
			i := m.seq - first
			if i >= uint32(len(answers)) {
				return nil
			}
			missing--
			if m.kind == unix.NLMSG_ERROR {
				answers[i].err = m.fault()
			} else {
				answers[i].data = append([]byte(nil), m.attributes()...)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// askOne is ask where the error of a single request is all that counts.
func (c *conn) askOne(r *requests) error {
	answers, err := c.ask(r)
	if err != nil {
		return err
	}
	return answers[0].err
}

// askForOne is ask for what one thing is: nil when it is not there.
func (c *conn) askForOne(r *requests) ([]byte, error) {
	answers, err := c.ask(r)
	switch {
	case err != nil:
		return nil, err
	case errors.Is(answers[0].err, unix.ENOENT):
		return nil, nil
	}
	return answers[0].data, answers[0].err
}

// errStop ends a list early; the socket is of no more use then.
var errStop = errors.New("stop")

// errInterrupted says that what was listed changed meanwhile.
var errInterrupted = errors.New("it keeps changing while it is read")

// largestMessage is that of a list: the kernel makes none larger.
const largestMessage = 32 << 10

// list sends one request for a list and calls do with the attributes of each message.
func (c *conn) list(r *requests, do func(attributes []byte) error) error {
	return c.listInto(make([]byte, largestMessage), r, do)
}

// beginning is list for who looks at the first few only: the kernel prepares as much at
// once as the reader has room for, and no less than fits into a page.
func (c *conn) beginning(r *requests, do func(attributes []byte) error) error {
	return c.listInto(make([]byte, max(4096, min(os.Getpagesize(), 8192))), r, do)
}

func (c *conn) listInto(buffer []byte, r *requests, do func(attributes []byte) error) error {
	first, err := c.send(r)
	if err != nil {
		return err
	}
	interrupted := false
	for done := false; !done; {
		err := c.receive(buffer, func(m message) error {
			if m.seq != first || done {
				return nil
			}
			interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
			if m.kind == unix.NLMSG_DONE || m.kind == unix.NLMSG_ERROR {
				done = true
				return m.fault()
			}
			return do(m.attributes())
		})
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if interrupted {
		return errInterrupted
	}
	return nil
}

// transact sends nf_tables requests as one transaction. It returns the first fault.
func (c *conn) transact(r *requests) error {
	all := &requests{bytes: make([]byte, 0, len(r.bytes)+64)}
	all.add(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC)
	batchSubsystem(all)
	all.finish()
	r.finish()
	// The last request alone is acknowledged: faults come before that.
	flags := r.bytes[r.last+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	all.bytes, all.count = append(all.bytes, r.bytes...), all.count+r.count
	all.last = len(all.bytes) - (len(r.bytes) - r.last)
	all.add(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC)
	batchSubsystem(all)
	first, err := c.send(all)
	if err != nil {
		return err
	}
	last := first + uint32(r.count)
	var fault error
	buffer := make([]byte, 8192)
	for done := false; !done; {
		err := c.receive(buffer, func(m message) error {
			if m.seq-first > uint32(r.count) || m.kind != unix.NLMSG_ERROR {
				return nil
			}
			if fault == nil {
				fault = m.fault()
			}
			done = done || m.seq == last || m.seq == first // the first is the whole
			return nil
		})
		if err != nil {
			return err
		}
	}
	return fault
}

// batchSubsystem says in the header of a batch's mark whose batch it is.
func batchSubsystem(r *requests) {
	binary.BigEndian.PutUint16(r.bytes[r.last+unix.NLMSG_HDRLEN+2:], unix.NFNL_SUBSYS_NFTABLES)
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
