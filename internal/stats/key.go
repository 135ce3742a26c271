package stats

import (
	"encoding/binary"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// key is an address as a table knows it: the text of an IPv4 address, so that it need not
// be read to be counted, or the bytes of an IPv6 address; zero for none. The one IPv6
// address whose bytes spell an IPv4 address has the bytes of that one mapped into IPv6
// (::ffff:a.b.c.d), which no other address has: those are IPv4 addresses here.
type key arlog.AddrText

func keyOf(addr netip.Addr) key {
	switch {
	case !addr.IsValid():
		return key{}
	case addr.Is4():
		return key(arlog.TextOf(addr))
	}
	return sixKey(addr.As16())
}

// sixKey is the key of an IPv6 address that is no IPv4 address mapped into it.
func sixKey(addr [16]byte) key {
	k := bytesKey(addr)
	if addr[15] != 0 {
		return k // a text has a zero at its end
	}
	if four, ok := arlog.AddrText(k).Addr(); ok {
		k = bytesKey(four.As16())
	}
	return k
}

func bytesKey(b [16]byte) key {
	return key{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// addr is the address of a key that keyOf made.
func (k key) addr() netip.Addr {
	if four, ok := arlog.AddrText(k).Addr(); ok {
		return four
	}
	addr := netip.AddrFrom16(k.bytes())
	if addr.Is4In6() {
		addr = netip.AddrFrom16(keyOf(addr.Unmap()).bytes())
	}
	return addr
}

func (k key) bytes() (b [16]byte) {
	binary.LittleEndian.PutUint64(b[:8], k.Low)
	binary.LittleEndian.PutUint64(b[8:], k.High)
	return b
}
