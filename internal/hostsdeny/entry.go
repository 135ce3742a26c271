package hostsdeny

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// form is how an entry of ours looks: the daemon list, and whether the option
// "deny" follows the address.
//
// Only what libwrap reads as the one address counts (7.6.q, asked through
// tcpdmatch): 1.2.3.4 in just this spelling, IPv6 in brackets in any spelling, and the network
// of IPv6 addresses as [2001:db8::]/64, not as [2001:db8::/64].
// It does not read ALL:2001:db8::1, [1.2.3.4], [::ffff:1.2.3.4] or 001.2.3.4 as
// that address, so these are the administrator's affair, as are masks (/32).
type form struct {
	daemons string
	tokens  []string
	allow   bool
}

// newForm returns the form for a daemon list; an empty one means ALL.
func newForm(daemons string, allow bool) form {
	tokens := splitDaemons(daemons)
	if len(tokens) == 0 {
		tokens = []string{DefaultDaemons}
	}
	return form{daemons: strings.Join(tokens, ","), tokens: tokens, allow: allow}
}

// check refuses daemon lists that would make lines of another shape.
func (f form) check() error {
	if strings.ContainsAny(f.daemons, ":#\\\"\x00") {
		return fmt.Errorf("daemon list %q holds what no daemon name has", f.daemons)
	}
	return nil
}

func splitDaemons(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t,\r\n", r) })
}

// line returns the entry for addr, without a line end. The two spacings are
// those of the stock scripts.
func (f form) line(addr target.Target) string {
	host := addr.String()
	if addr.Is6() {
		host = "[" + addr.Addr().String() + "]"
	}
	if !addr.IsSingle() {
		host += "/" + strconv.Itoa(addr.Prefix().Bits())
	}
	if f.allow {
		return f.daemons + " : " + host + " : deny"
	}
	return f.daemons + ":" + host
}

// parse reads one line, with or without its end. It knows plain entries for an address or network
// and the configured daemons, or ALL: those were ours before others were configured.
func (f form) parse(line []byte) (target.Target, bool) {
	daemons, rest, _ := bytes.Cut(bytes.Trim(line, " \t\r\n"), []byte(":"))
	rest = bytes.TrimLeft(rest, " \t")
	bracketed := len(rest) > 0 && rest[0] == '['
	end := bytes.IndexAny(rest, " \t:")
	if bracketed {
		end = bytes.IndexByte(rest, ']')
	}
	if end < 0 {
		end = len(rest)
	}
	host, options := rest[:end], rest[end:]
	bits, isNetwork := "", false
	if bracketed {
		host, options = host[1:], bytes.TrimPrefix(options, []byte("]"))
		var length []byte
		if length, isNetwork = bytes.CutPrefix(options, []byte("/")); isNetwork {
			options = bytes.TrimLeft(length, "0123456789")
			bits = string(length[:len(length)-len(options)])
		}
	}
	if !f.optionsFit(options) || !f.daemonsFit(bytes.TrimRight(daemons, " \t")) {
		return target.Target{}, false
	}
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Is6() != bracketed || addr.Is4In6() || addr.Zone() != "" {
		return target.Target{}, false
	}
	if !isNetwork {
		return target.Of(addr), true
	}
	n, err := strconv.Atoi(bits)
	network := netip.PrefixFrom(addr, n)
	return target.Network(network), err == nil && slices.Contains(config.NetworkBits, n) &&
		network == network.Masked()
}

// optionsFit looks at what follows the address.
func (f form) optionsFit(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t")
	if !f.allow {
		return len(rest) == 0
	}
	option, found := bytes.CutPrefix(rest, []byte(":"))
	return found && bytes.EqualFold(bytes.Trim(option, " \t"), []byte("deny"))
}

func (f form) daemonsFit(daemons []byte) bool {
	if bytes.Equal(daemons, []byte(f.daemons)) {
		return true // what nearly every line is
	}
	tokens := splitDaemons(string(daemons))
	return slices.EqualFunc(tokens, f.tokens, strings.EqualFold) ||
		len(tokens) == 1 && strings.EqualFold(tokens[0], DefaultDaemons)
}

// entries returns all entries, in the order of the file.
func (f form) entries(content []byte) []linefile.Entry { return linefile.Entries(content, f.parse) }

// matching returns the entries for any of addrs.
func (f form) matching(content []byte, addrs []target.Target) []linefile.Entry {
	if len(addrs) == 1 {
		return f.find(content, addrs[0])
	}
	return linefile.Of(addrs, f.entries(content))
}

// find returns the entries for addr. It parses only lines that hold the one spelling of an IPv4
// address, or a bracket behind what may be the IPv6 address, which keeps 10,000 lines cheap.
func (f form) find(content []byte, addr target.Target) (found []linefile.Entry) {
	key := []byte(addr.String())
	if addr.Is6() {
		key = []byte("]")
	}
	for from := 0; ; {
		i := bytes.Index(content[from:], key)
		if i < 0 {
			return found
		}
		hit := from + i
		if addr.Is6() && !mayEnd(content[from:hit], addr) {
			from = hit + 1
			continue
		}
		line := linefile.LineAt(content, hit)
		got, ok := f.parse(content[line.Start:line.End])
		if ok && got == addr && !linefile.Continues(content, line.Start) {
			found = append(found, linefile.Entry{Span: line, Target: got})
		}
		from = line.End
	}
}

// mayEnd reports whether the IPv6 address in whatever spelling that text ends in may be addr. It
// compares the last 16 bits, the part in which the addresses of one file differ most.
func mayEnd(text []byte, addr target.Target) bool {
	bytes16 := addr.Addr().As16()
	last := int(bytes16[14])<<8 | int(bytes16[15])
	value := 0
	for i, shift := len(text)-1, 0; i >= 0 && shift <= 16; i, shift = i-1, shift+4 {
		switch c := text[i]; {
		case c == ':':
			return value == last
		case c >= '0' && c <= '9':
			value |= int(c-'0') << shift
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			value |= int(c|0x20-'a'+10) << shift
		default:
			return true // its last 32 bits in the form of IPv4, or no address
		}
	}
	return true // it cannot be known
}
