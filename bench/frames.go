package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	frameSize = 60   // the least that Ethernet has
	perCall   = 1024 // messages in one sendmmsg(2), UIO_MAXIOV
	port      = 40000
)

// frame makes an Ethernet frame with a UDP packet to our port.
func frame(from, to netip.Addr, mac [6]byte) []byte {
	f := make([]byte, frameSize)
	copy(f, mac[:])
	copy(f[6:], []byte{2, 0, 0, 0, 0, 1})
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IP)
	ip, udp := f[14:34], f[34:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], frameSize-14)
	ip[8], ip[9] = 64, unix.IPPROTO_UDP
	src, dst := from.As4(), to.As4()
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	binary.BigEndian.PutUint16(udp, port)
	binary.BigEndian.PutUint16(udp[2:], port)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp))) // and no checksum (RFC 768)
	return f
}

// checksum is the Internet checksum of an even number of bytes (RFC 1071).
func checksum(data []byte) uint16 {
	var total uint32
	for i := 0; i < len(data); i += 2 {
		total += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}

// message is struct mmsghdr of sendmmsg(2) and recvmmsg(2), which golang.org/x/sys/unix lacks.
type message struct {
	header unix.Msghdr
	length uint32
}

// volley is frames as the kernel takes and gives them.
type volley struct {
	frames   [][]byte
	parts    []unix.Iovec
	messages []message
}

func newVolley(frames [][]byte) *volley {
	v := &volley{frames, make([]unix.Iovec, len(frames)), make([]message, len(frames))}
	for i, f := range frames {
		v.parts[i].Base = &f[0]
		v.parts[i].SetLen(len(f))
		v.messages[i].header.Iov = &v.parts[i]
		v.messages[i].header.SetIovlen(1)
	}
	return v
}

// send sends all of at most perCall messages.
func send(socket int, messages []message) error {
	for len(messages) > 0 {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(socket),
			uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), 0, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("sendmmsg: %w", errno)
		}
		if errno == 0 {
			messages = messages[n:]
		}
	}
	return nil
}

// drain takes what has arrived at a socket, and says how much.
func drain(socket int, room []message) (count int, err error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(socket), uintptr(unsafe.Pointer(&room[0])),
			uintptr(len(room)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			count += int(n)
		case unix.EAGAIN:
			return count, nil
		case unix.EINTR:
		default:
			return count, fmt.Errorf("recvmmsg: %w", errno)
		}
	}
}

// packetSocket sends frames out of a device, without its queue.
func packetSocket(device int) (int, error) {
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return s, errors.Join(unix.SetsockoptInt(s, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(s, &unix.SockaddrLinklayer{Ifindex: device}))
}

// udpSocket listens at our port in the network namespace of a process, with room for what
// one call sends. The calling goroutine must be locked to its thread.
func udpSocket(pid int) (s int, err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return -1, err
	}
	defer home.Close() // it is only looked at
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return -1, err
	}
	defer there.Close() // as above
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("into the namespace of %d: %w", pid, err)
	}
	s, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
			unix.Bind(s, &unix.SockaddrInet4{Port: port}))
	}
	return s, errors.Join(err, unix.Setns(int(home.Fd()), unix.CLONE_NEWNET))
}
