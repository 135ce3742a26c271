package kernel

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// Ping sends one ICMP echo request from the host and waits for the answer.
func (h *Host) Ping(t *testing.T, to netip.Addr, wait time.Duration) error {
	t.Helper()
	return h.in(func() error { return ping(to, wait) })
}

// ping needs no ping(8): its options and set-uid bits differ between systems.
func ping(to netip.Addr, wait time.Duration) error {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	conn, err := net.DialIP(network, nil, &net.IPAddr{IP: to.AsSlice()})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	message := []byte{request, 0, 0, 0, 0, 0, 0, 1, 'p', 'i', 'n', 'g'}
	id := uint16(os.Getpid())
	binary.BigEndian.PutUint16(message[4:], id)
	if to.Is4() { // the kernel does it for ICMPv6
		binary.BigEndian.PutUint16(message[2:], checksum(message))
	}
	if _, err := conn.Write(message); err != nil {
		return err
	}
	answer := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFromIP(answer) // unlike Read, without the IP header
		if err != nil {
			return fmt.Errorf("waiting for the answer of %s: %w", to, err)
		}
		if n >= 8 && answer[0] == reply && binary.BigEndian.Uint16(answer[4:]) == id {
			return nil
		}
	}
}

// checksum is that of RFC 1071, for an even number of bytes.
func checksum(message []byte) uint16 {
	var sum uint32
	for ; len(message) > 1; message = message[2:] {
		sum += uint32(binary.BigEndian.Uint16(message))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum + sum>>16)
}
