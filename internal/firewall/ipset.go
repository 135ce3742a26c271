package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// The names of the ipsets, as `ipset list` shows them.
const (
	ipset4 = "ossec_ar4"
	ipset6 = "ossec_ar6"
)

func setName(v6 bool) string {
	if v6 {
		return ipset6
	}
	return ipset4
}

// The protocol of linux/netfilter/ipset/ip_set.h, as far as it is spoken here.
const (
	ipsetProtocol = 6

	ipsetCreate  = 2
	ipsetDestroy = 3
	ipsetFlush   = 4
	ipsetSwap    = 6
	ipsetList    = 7
	ipsetAdd     = 9
	ipsetDel     = 10
	ipsetTest    = 11
	ipsetHead    = 12 // what a set is, without its members and their number

	ipsetAttrProtocol = 1
	ipsetAttrName     = 2
	ipsetAttrType     = 3 // the other name, for a swap
	ipsetAttrRevision = 4
	ipsetAttrFamily   = 5
	ipsetAttrFlags    = 6
	ipsetAttrData     = 7
	ipsetAttrMany     = 8 // ADT: several times data
	ipsetAttrLine     = 9

	ipsetDataIP       = 1
	ipsetDataTimeout  = 6
	ipsetDataFlags    = 8
	ipsetDataBitmask  = 12
	ipsetDataHashSize = 18
	ipsetDataMaxElem  = 19
	ipsetDataNetmask  = 20
	ipsetDataElements = 24
	ipsetDataRefs     = 25
	ipsetDataBytes    = 24
	ipsetDataPackets  = 25

	ipsetOnlyHeader   = 1 << 2
	ipsetWithCounters = 1 << 3
	// ipsetRevision is the first of hash:ip that counts packets: any later ipset(8) can
	// show a set of it.
	ipsetRevision = 1

	ipsetErrKind    = unix.Errno(4096 + 1) // the set takes no such element
	ipsetErrBusy    = unix.Errno(4096 + 4)
	ipsetErrAbsent  = unix.Errno(4096 + 7) // not in the set
	ipsetErrFull    = unix.Errno(4352)     // of hash types
	bigEndian       = unix.NLA_F_NET_BYTEORDER
	ipsetSubsystem  = unix.NFNL_SUBSYS_IPSET << 8
	ipsetBatchBytes = 30_000 // of one attribute, whose length has 16 bits
)

// ErrFull says that no further address fits: there are firewall.max_addresses.
var ErrFull = enforcer.ErrFull

// ipset is one set of the kernel.
type ipset struct {
	name string
	v6   bool
}

func setOf(v6 bool) ipset { return ipset{setName(v6), v6} }

// request begins a request about the set.
func (s ipset) request(r *requests, command, flags int) {
	r.add(ipsetSubsystem|command, flags, unix.AF_INET)
	r.uint8(ipsetAttrProtocol, ipsetProtocol)
	r.text(ipsetAttrName, s.name)
}

// element adds an address to a request.
func (s ipset) element(r *requests, addr netip.Addr) {
	data := r.nest(ipsetAttrData)
	ip := r.nest(ipsetDataIP)
	if b := addr.As16(); s.v6 {
		r.attr(2|bigEndian, b[:])
	} else {
		r.attr(1|bigEndian, b[12:])
	}
	r.end(ip)
	r.end(data)
}

// do carries a command on one address out. What an add finds there already, and a
// delete does not find, is ipsetErrAbsent's business with NLM_F_EXCL only.
func (s ipset) do(c *conn, command, flags int, addr netip.Addr) error {
	var r requests
	s.request(&r, command, unix.NLM_F_ACK|flags)
	s.element(&r, addr)
	return ipsetFault(c.askOne(&r))
}

// add makes sure that addr is in the set.
func (s ipset) add(c *conn, addr netip.Addr) error { return s.do(c, ipsetAdd, 0, addr) }

// remove makes sure that addr is not in the set, and tells whether it was.
func (s ipset) remove(c *conn, addr netip.Addr) (was bool, err error) {
	return isIn(s.do(c, ipsetDel, unix.NLM_F_EXCL, addr))
}

// has tells whether addr is in the set.
func (s ipset) has(c *conn, addr netip.Addr) (bool, error) {
	return isIn(s.do(c, ipsetTest, 0, addr))
}

// isIn is found for an address: a set of another kind, which somebody gave our name, does
// not have it.
func isIn(err error) (bool, error) {
	if errors.Is(err, ipsetErrKind) {
		return false, nil
	}
	return found(err)
}

// exists tells whether there is such a set.
func (s ipset) exists(c *conn) (bool, error) {
	var r requests
	s.request(&r, ipsetHead, 0)
	return found(c.askOne(&r))
}

// found reads the answer to a question for an address: no set, and no sets at all in
// this kernel, mean no.
func found(err error) (bool, error) {
	if errors.Is(err, ipsetErrAbsent) || noSet(err) {
		return false, nil
	}
	return err == nil, err
}

// noSet tells that there is no such set. A kernel without ipset knows no such
// subsystem of netfilter, which it says as EINVAL.
func noSet(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) }

// ipsetPlaces is the most places that the table of a set has from the start: 8 MiB. One
// for each address that it may hold keeps the look-up of who is not in it, which each
// packet takes, from going on beyond the table. Left to itself the kernel begins with 1,024,
// has 32,768 at 100,000 members, and lets 6% fewer packets through then (Linux 6.18);
// with 262,144 it is 3%.
const ipsetPlaces = 1 << 20

// create makes the set unless there is one of this name, and tells whether it did.
func (s ipset) create(c *conn, size int) (made bool, err error) {
	err = s.createWith(c, size, min(size, ipsetPlaces))
	if errors.Is(err, unix.ENOMEM) {
		err = s.createWith(c, size, 0)
	}
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("making set %s: %w", s.name, ipsetFault(err))
	}
	return true, nil
}

// createWith makes the set with so many places, rounded up to a power of two; 0 leaves
// that to the kernel.
func (s ipset) createWith(c *conn, size, places int) error {
	var r requests
	s.request(&r, ipsetCreate, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	r.text(ipsetAttrType, "hash:ip")
	r.uint8(ipsetAttrRevision, ipsetRevision)
	r.uint8(ipsetAttrFamily, s.family())
	data := r.nest(ipsetAttrData)
	if places > 0 {
		r.uint32(ipsetDataHashSize|bigEndian, uint32(places))
	}
	r.uint32(ipsetDataMaxElem|bigEndian, uint32(size))
	r.uint32(ipsetDataFlags|bigEndian, ipsetWithCounters)
	r.end(data)
	return c.askOne(&r)
}

func (s ipset) family() uint8 {
	if s.v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// whole carries out a command on the whole set.
func (s ipset) whole(c *conn, command int) error {
	var r requests
	s.request(&r, command, unix.NLM_F_ACK)
	return ipsetFault(c.askOne(&r))
}

// swap makes the two sets change their names: whatever refers to one by name or in a
// rule then has the other's members.
func (s ipset) swap(c *conn, other ipset) error {
	var r requests
	s.request(&r, ipsetSwap, unix.NLM_F_ACK)
	r.text(ipsetAttrType, other.name)
	return ipsetFault(c.askOne(&r))
}

// ipsetHeader is what the kernel knows of a set beside its members. It counts these for
// the purpose, at 100,000 in 1.7 ms (Linux 6.18): nothing for the hot path.
type ipsetHeader struct {
	size, members, references int
	foreign                   string // what makes it no set of ours, "" when it is one
}

// header returns nil when there is no such set.
func (s ipset) header(c *conn) (*ipsetHeader, error) {
	var r requests
	s.request(&r, ipsetList, unix.NLM_F_DUMP)
	r.uint32(ipsetAttrFlags|bigEndian, ipsetOnlyHeader)
	var h *ipsetHeader
	err := c.list(&r, func(attributes []byte) error {
		if data := find(attributes, ipsetAttrData); data != nil {
			h = &ipsetHeader{
				foreign:    s.foreign(attributes, data),
				size:       int(uint32Of(find(data, ipsetDataMaxElem))),
				members:    int(uint32Of(find(data, ipsetDataElements))),
				references: int(uint32Of(find(data, ipsetDataRefs))),
			}
		}
		return nil
	})
	if noSet(err) {
		return nil, nil
	}
	return h, err
}

// foreign says what makes a set that somebody gave our name unfit for blocks.
func (s ipset) foreign(attributes, data []byte) string {
	family := find(attributes, ipsetAttrFamily)
	switch {
	case textOf(find(attributes, ipsetAttrType)) != "hash:ip", len(family) != 1 || family[0] != s.family():
		return "it is of another kind"
	case find(data, ipsetDataTimeout) != nil:
		return "it has a timeout, by which blocks end by themselves"
	case find(data, ipsetDataNetmask) != nil, find(data, ipsetDataBitmask) != nil:
		return "it has a mask, by which it takes in neighbours"
	}
	return ""
}

// members calls do with every address in the set; no set has none, nor a foreign one.
func (s ipset) members(c *conn, do func(enforcer.Block)) error {
	var r requests
	s.request(&r, ipsetList, unix.NLM_F_DUMP)
	foreign := false
	err := c.list(&r, func(attributes []byte) error {
		if data := find(attributes, ipsetAttrData); data != nil { // once, before the elements
			foreign = s.foreign(attributes, data) != ""
		}
		elements := find(attributes, ipsetAttrMany)
		for {
			_, data, rest, ok := attribute(elements)
			if !ok || foreign {
				return nil
			}
			elements = rest
			ip := find(data, ipsetDataIP)
			_, raw, _, _ := attribute(ip)
			addr, ok := netip.AddrFromSlice(raw)
			if !ok {
				continue
			}
			packets := find(data, ipsetDataPackets)
			do(enforcer.Block{
				Addr: addr, Counted: packets != nil,
				Packets: uint64Of(packets), Bytes: uint64Of(find(data, ipsetDataBytes)),
			})
		}
	})
	if noSet(err) {
		return nil
	}
	return err
}

// doAll adds or deletes many; what is so already is fine.
func (s ipset) doAll(ctx context.Context, c *conn, command int, addrs []netip.Addr, progress func(done int)) error {
	for done := 0; done < len(addrs); {
		if err := ctx.Err(); err != nil {
			return err
		}
		var r requests
		s.request(&r, command, unix.NLM_F_ACK)
		r.attr(ipsetAttrLine, []byte{0, 0, 0, 0}) // asked for where there are many
		many := r.nest(ipsetAttrMany)
		start := len(r.bytes)
		for done < len(addrs) && len(r.bytes)-start < ipsetBatchBytes {
			s.element(&r, addrs[done])
			done++
		}
		r.end(many)
		if err := ipsetFault(c.askOne(&r)); err != nil {
			return err
		}
		progress(done)
	}
	return nil
}

// grow makes room for size members, in a new set that takes the place of the old one in
// all rules at once.
func (s ipset) grow(ctx context.Context, c *conn, size int) error {
	next := ipset{s.name + "_new", s.v6}
	if err := next.whole(c, ipsetDestroy); err != nil && !noSet(err) {
		return fmt.Errorf("clearing set %s: %w", next.name, err)
	}
	if _, err := next.create(c, size); err != nil {
		return err
	}
	// Counters begin anew.
	before, err := s.addresses(c)
	if err != nil {
		return err
	}
	quiet := func(int) {}
	if err := next.doAll(ctx, c, ipsetAdd, before, quiet); err != nil {
		return fmt.Errorf("filling set %s: %w", next.name, err)
	}
	if err := s.swap(c, next); err != nil {
		return fmt.Errorf("swapping set %s: %w", s.name, err)
	}
	// What others changed until the swap stands in the old set, now called next.
	after, err := next.addresses(c)
	if err != nil {
		return err
	}
	if err := s.doAll(ctx, c, ipsetAdd, without(after, before), quiet); err != nil {
		return fmt.Errorf("filling set %s: %w", s.name, err)
	}
	if err := s.doAll(ctx, c, ipsetDel, without(before, after), quiet); err != nil {
		return fmt.Errorf("clearing set %s: %w", s.name, err)
	}
	if err := next.whole(c, ipsetDestroy); err != nil {
		return fmt.Errorf("clearing set %s: %w", next.name, err)
	}
	return nil
}

func (s ipset) addresses(c *conn) ([]netip.Addr, error) {
	var all []netip.Addr
	err := s.members(c, func(b enforcer.Block) { all = append(all, b.Addr) })
	return all, err
}

// without returns what is in list and not in other.
func without(list, other []netip.Addr) []netip.Addr {
	in := make(map[netip.Addr]bool, len(other))
	for _, addr := range other {
		in[addr] = true
	}
	var rest []netip.Addr
	for _, addr := range list {
		if !in[addr] {
			rest = append(rest, addr)
		}
	}
	return rest
}

// ipsetFault gives numbers a meaning that only ipset has.
func ipsetFault(err error) error {
	var errno unix.Errno
	switch {
	case err == nil || !errors.As(err, &errno):
		return err
	case errno == ipsetErrFull:
		return ErrFull
	case errno == ipsetErrKind:
		return fmt.Errorf("%w: the set is of another kind", errno)
	case errno == ipsetErrBusy:
		return fmt.Errorf("%w: a rule refers to the set", errno)
	}
	return err
}
