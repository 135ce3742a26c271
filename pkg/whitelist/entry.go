package whitelist

import (
	"errors"
	"fmt"
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
// clear: an address, a network (CIDR or dotted mask), 10.0.0.*, a host name, an address or
// a host name between ^ and $, and lists of them with commas. What is broken in a list does not spoil the rest of it.
func parseEntry(text string) (out []value, faults []error) {
	for piece := range strings.SplitSeq(text, ",") {
		piece = strings.TrimSpace(piece)
		v, err := parseOne(piece)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("entry %q: %w", clip(piece), err))
		case v.host == "localhost", v.host == "localhost.localdomain":
			// What every resolver says, or should (RFC 6761, nss-myhostname(8)). The second
			// is in the ossec.conf that OSSEC and Wazuh are installed with.
			out = append(out, value{prefix: loopback4}, value{prefix: loopback6})
		default:
			out = append(out, v)
		}
	}
	return out, faults
}

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
)

func parseOne(s string) (value, error) {
	if name, anchored := unanchor(s); anchored {
		return parseOne(name)
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return value{}, fmt.Errorf("%w: a zone cannot be matched", ErrBadEntry)
		}
		addr = addr.Unmap()
		return value{prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	switch {
	case s == "":
		return value{}, fmt.Errorf("%w: it is empty", ErrBadEntry)
	case strings.HasPrefix(s, "!"):
		return value{}, fmt.Errorf("%w: exceptions with ! are not known", ErrBadEntry)
	case strings.HasPrefix(s, "^"):
		return value{}, fmt.Errorf("%w: patterns are not known, write it as a network (10.0.0.0/8)",
			ErrBadEntry)
	case strings.Contains(s, "/"):
		p, err := parseNetwork(s)
		return value{prefix: p}, err
	case strings.Contains(s, "*"):
		p, err := parseStars(s)
		return value{prefix: p}, err
	}
	host, err := parseHost(s)
	return value{host: host}, err
}

// unanchor returns what stands between ^ and $, as Wazuh's own ossec.conf writes it, when
// that is one address or one host name: then the whole can mean nothing else.
func unanchor(s string) (string, bool) {
	inside, begins := strings.CutPrefix(s, "^")
	inside, ends := strings.CutSuffix(inside, "$")
	if !begins || !ends {
		return "", false
	}
	inside = strings.ReplaceAll(inside, `\.`, ".")
	if _, err := netip.ParseAddr(inside); err == nil {
		return inside, true
	}
	_, err := parseHost(inside)
	return inside, err == nil
}

// parseNetwork reads ADDRESS/BITS and ADDRESS/255.255.255.0. Bits set right of the
// mask are ignored.
func parseNetwork(s string) (netip.Prefix, error) {
	left, right, _ := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(left)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%w: %q is no address", ErrBadEntry, clip(left))
	}
	bits, err := strconv.ParseUint(right, 10, 8) // no signs
	if mask, merr := netip.ParseAddr(right); merr == nil && mask.Is4() && addr.Is4() {
		bits, err = maskBits(mask)
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%w: %q is no mask", ErrBadEntry, clip(right))
	}
	if addr.Is4In6() { // of which fewer than 96 bits would be all of IPv4, and more
		if bits < 96 {
			return netip.Prefix{},
				fmt.Errorf("%w: a mask of %q bits does not fit an IPv4 address that is mapped into IPv6",
					ErrBadEntry, clip(right))
		}
		addr, bits = addr.Unmap(), bits-96
	}
	p, err := addr.Prefix(int(bits))
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%w: a mask of %q bits does not fit", ErrBadEntry, clip(right))
	}
	return p, nil
}

// maskBits counts the ones of a mask like 255.255.240.0.
func maskBits(mask netip.Addr) (uint64, error) {
	b := mask.As4()
	m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if inverse := ^m; inverse&(inverse+1) != 0 {
		return 0, errors.New("the ones of the mask are not together")
	}
	var bits uint64
	for ; m != 0; m <<= 1 {
		bits++
	}
	return bits, nil
}

// parseStars reads 10.0.0.*, 10.0.*.* and the short form 10.*.
func parseStars(s string) (netip.Prefix, error) {
	parts := strings.Split(s, ".")
	bad := fmt.Errorf("%w: a star stands for whole numbers at the end, as in 10.0.0.*", ErrBadEntry)
	if len(parts) < 2 || len(parts) > 4 {
		return netip.Prefix{}, bad
	}
	var b [4]byte
	fixed := 0
	for i, part := range parts {
		if part == "*" {
			continue
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || fixed != i {
			return netip.Prefix{}, bad
		}
		b[i] = byte(n)
		fixed++
	}
	if fixed == 0 {
		return netip.Prefix{}, bad
	}
	return netip.PrefixFrom(netip.AddrFrom4(b), fixed*8), nil
}

// parseHost checks the form of a host name (RFC 1123, underscores tolerated). What
// looks like a mistyped address is no host name.
func parseHost(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if len(name) > 253 {
		return "", fmt.Errorf("%w: longer than a host name", ErrBadEntry)
	}
	letters := false
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", ErrBadEntry
		}
		for _, c := range label {
			switch {
			case c >= 'a' && c <= 'z':
				letters = true
			case c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return "", ErrBadEntry
			}
		}
	}
	if !letters {
		return "", fmt.Errorf("%w: a mistyped address?", ErrBadEntry)
	}
	return name, nil
}

// clip keeps a broken entry from filling an error message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
