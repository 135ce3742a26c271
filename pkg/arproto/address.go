package arproto

import (
	"net/netip"
	"strconv"
	"strings"
)

// ParseAddr reads exactly one host's address. An IPv4-mapped IPv6 address becomes
// the IPv4 address. What decoders leave around an address is taken off: blanks,
// quotes, a full stop, a port, brackets. Host names, networks, zones and the
// unspecified address are refused with an *AddressError, and so is everything that
// could mean another address to another reader.
func ParseAddr(text string) (netip.Addr, error) {
	refuse := func(reason string) (netip.Addr, error) {
		return netip.Addr{}, &AddressError{text, reason}
	}
	if text == "" {
		return refuse("it is empty")
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		addr, err = netip.ParseAddr(bare(text))
	}
	switch {
	case err != nil && strings.Contains(text, "/"):
		return refuse("a network is never blocked, only one address")
	case err != nil:
		return refuse("not an IPv4 or IPv6 address (names are never resolved)")
	case addr.Zone() != "":
		return refuse("an address with a zone is never blocked")
	}
	addr = addr.Unmap()
	if addr.IsUnspecified() {
		return refuse("the unspecified address stands for every host")
	}
	return addr, nil
}

// bare takes off what stands around the one address of a text. What is left is
// an address only if nothing else was there.
func bare(text string) string {
	const around = " \t\r\n\"'"
	text = strings.Trim(strings.TrimSuffix(strings.Trim(text, around), "."), around)
	host, port := text, ""
	if inside, bracketed := strings.CutPrefix(text, "["); bracketed {
		end := strings.IndexByte(inside, ']')
		if end < 0 {
			return text
		}
		host, port = inside[:end], inside[end+1:]
	} else if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, '.') &&
		strings.Contains(text, ".") {
		// Only behind the dots of an IPv4 address does a colon begin a port:
		// 2001:db8::8:22 is an address.
		host, port = text[:colon], text[colon:]
	}
	if port == "" {
		return host
	}
	if addr, err := netip.ParseAddr(host); err == nil && text[0] != '[' && !addr.Unmap().Is4() {
		return text
	}
	number, isPort := strings.CutPrefix(port, ":")
	if _, err := strconv.ParseUint(number, 10, 16); !isPort || err != nil {
		return text
	}
	return host
}
