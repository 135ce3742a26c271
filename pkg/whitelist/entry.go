package whitelist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// value is one parsed entry: a network, or a host name still to be resolved.
type value struct {
	prefix netip.Prefix
	host   string // lower case, without a final dot; "" for a network
}

// ErrBadEntry says that an entry means no address, network or host name.
var ErrBadEntry = errors.New("means no address, network or host name")

// CheckEntry says whether an entry can be honoured, and why not.
func CheckEntry(text string) error {
	_, faults := parseEntry(text)
	return errors.Join(faults...)
}

// parseEntry reads an entry in all the forms that people write and whose meaning is
// clear: an address, a network (CIDR or dotted mask), 10.0.0.*, a host name, how an address
// begins (^10.0.), an address or a host name between ^ and $, and lists of them with commas or |.
// What is broken in a list does not spoil the rest of it.
func parseEntry(text string) (out []value, faults []error) {
	for piece := range strings.SplitSeq(strings.ReplaceAll(text, "|", ","), ",") {
		piece = strings.TrimSpace(piece)
		values, err := parseOne(piece)
		if err != nil {
			faults = append(faults, fmt.Errorf("entry %q: %w", clip(piece), err))
		}
		out = append(out, values...)
	}
	return out, faults
}

// loopback is what every resolver says of localhost, or should (RFC 6761).
var loopback = []value{
	{prefix: netip.MustParsePrefix("127.0.0.0/8")}, {prefix: netip.MustParsePrefix("::1/128")},
}

func parseOne(s string) ([]value, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return nil, fmt.Errorf("%w: a zone cannot be matched", ErrBadEntry)
		}
		addr = addr.Unmap()
		return []value{{prefix: netip.PrefixFrom(addr, addr.BitLen())}}, nil
	}
	switch {
	case s == "":
		return nil, fmt.Errorf("%w: it is empty", ErrBadEntry)
	case strings.HasPrefix(s, "!"):
		return nil, fmt.Errorf("%w: exceptions with ! are not known", ErrBadEntry)
	case strings.HasPrefix(s, "^"):
		return parsePattern(strings.ReplaceAll(s[1:], `\.`, "."))
	case strings.Contains(s, "/"):
		return parseNetwork(s)
	case strings.Contains(s, "*"):
		for strings.HasSuffix(s, ".*.*") {
			s = strings.TrimSuffix(s, ".*")
		}
		if strings.HasSuffix(s, ".*") {
			s = strings.TrimSuffix(s, "*")
		}
		return parseBeginning(s)
	}
	return parseHost(s)
}

// parsePattern reads what stands behind a ^: Wazuh takes an entry that is no address or network for
// a pattern of the address's text.
func parsePattern(s string) ([]value, error) {
	inside, ends := strings.CutSuffix(s, "$")
	if ends && !strings.HasPrefix(inside, "^") {
		return parseOne(inside)
	}
	values, err := parseBeginning(s)
	if err != nil {
		return nil, fmt.Errorf("%w: of patterns only how an IPv4 address begins (^10.0.) is known, "+
			"write it as a network (10.0.0.0/16)", ErrBadEntry)
	}
	return values, nil
}

// parseBeginning reads how the text of an IPv4 address begins: "10.0." is 10.0.0.0/16, and
// "10.1" is 10.1.0.0/16, 10.10.0.0/16 to 10.19.0.0/16 and 10.100.0.0/16 to 10.199.0.0/16.
func parseBeginning(s string) (out []value, err error) {
	const most = 4
	bad := fmt.Errorf("%w: a star stands for whole numbers at the end, as in 10.0.0.*", ErrBadEntry)
	parts := strings.Split(s, ".")
	last := len(parts) - 1
	var b [most]byte
	for i, part := range parts[:last] {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || i == most-1 {
			return nil, bad
		}
		b[i] = byte(n)
	}
	if parts[last] == "" && last > 0 {
		return []value{{prefix: netip.PrefixFrom(netip.AddrFrom4(b), 8*last)}}, nil
	}
	for n := range 256 {
		if last < most && parts[last] != "" && strings.HasPrefix(strconv.Itoa(n), parts[last]) {
			b[last] = byte(n)
			out = append(out, value{prefix: netip.PrefixFrom(netip.AddrFrom4(b), 8*(last+1))})
		}
	}
	if out == nil {
		return nil, bad
	}
	return out, nil
}

// parseNetwork reads ADDRESS/BITS and ADDRESS/255.255.255.0. Bits set right of the
// mask are ignored.
func parseNetwork(s string) ([]value, error) {
	left, right, _ := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(left)
	if err != nil || addr.Zone() != "" {
		return nil, fmt.Errorf("%w: no address before the /", ErrBadEntry)
	}
	bits, err := strconv.ParseUint(right, 10, 8) // no signs
	if mask, merr := netip.ParseAddr(right); merr == nil && mask.Is4() && addr.Is4() {
		bits, err = maskBits(mask)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: no mask behind the /", ErrBadEntry)
	}
	if addr.Is4In6() { // of which fewer than 96 bits would be all of IPv4, and more
		if bits < 96 {
			return nil, fmt.Errorf("%w: the mask does not fit an IPv4 address that is mapped into IPv6",
				ErrBadEntry)
		}
		addr, bits = addr.Unmap(), bits-96
	}
	p, err := addr.Prefix(int(bits))
	if err != nil {
		return nil, fmt.Errorf("%w: the mask does not fit", ErrBadEntry)
	}
	return []value{{prefix: p}}, nil
}

// maskBits counts the ones of a mask like 255.255.240.0.
func maskBits(mask netip.Addr) (uint64, error) {
	m := binary.BigEndian.Uint32(mask.AsSlice())
	ones := bits.LeadingZeros32(^m)
	if m<<ones != 0 {
		return 0, errors.New("the ones of the mask are not together")
	}
	return uint64(ones), nil
}

// parseHost checks the form of a host name (RFC 1123, underscores tolerated). What
// looks like a mistyped address is no host name.
func parseHost(s string) ([]value, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if name == "localhost" || name == "localhost.localdomain" { // the second is in every stock ossec.conf
		return loopback, nil
	}
	if len(name) > 253 {
		return nil, fmt.Errorf("%w: longer than a host name", ErrBadEntry)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return nil, ErrBadEntry
		}
	}
	if !strings.ContainsAny(name, "abcdefghijklmnopqrstuvwxyz") {
		return nil, fmt.Errorf("%w: a mistyped address?", ErrBadEntry)
	}
	return []value{{host: name}}, nil
}

// clip keeps a broken entry from filling an error message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
