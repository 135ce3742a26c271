package firewall

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
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
	ipsetDataBits     = 3 // of a network
	ipsetDataTimeout  = 6
	ipsetDataFlags    = 8
	ipsetDataBitmask  = 12
	ipsetDataHashSize = 18
	ipsetDataMaxElem  = 19
	ipsetDataNetmask  = 20
	ipsetDataElements = 24
	ipsetDataBytes    = 24
	ipsetDataPackets  = 25

	ipsetOnlyHeader   = 1 << 2
	ipsetWithCounters = 1 << 3
	ipsetNoMatch      = 1 << 2 // of an element: it is an exception
	ipsetForceAdd     = 1 << 5

	ipsetErrKind    = unix.Errno(4096 + 1) // the set takes no such element
	ipsetErrBusy    = unix.Errno(4096 + 4)
	ipsetErrAbsent  = unix.Errno(4096 + 7) // not in the set; of an add, in it already
	ipsetErrFull    = unix.Errno(4352)     // of hash types
	bigEndian       = unix.NLA_F_NET_BYTEORDER
	ipsetSubsystem  = unix.NFNL_SUBSYS_IPSET << 8
	ipsetBatchBytes = 30_000 // of one attribute, whose length has 16 bits
)

// ipset is one set of the kernel. That of IPv6 takes networks too: of a few lengths, for each of
// which a packet is looked for once.
type ipset struct {
	name string
	v6   bool
}

// kind returns the type of the set and the first revision of it that counts packets: any later
// ipset(8) can show a set of it.
func (s ipset) kind() (name string, revision uint8) {
	if s.v6 {
		return "hash:net", 3
	}
	return "hash:ip", 1
}

func setOf(v6 bool) ipset { return ipset{setName(v6), v6} }

// request returns a request about the set; more appends to its attributes.
func (s ipset) request(command, flags int, more func(*netlink.Attributes)) *nl.NetlinkRequest {
	var a netlink.Attributes
	a.Uint8(ipsetAttrProtocol, ipsetProtocol)
	a.Text(ipsetAttrName, s.name)
	if more != nil {
		more(&a)
	}
	return netlink.Netfilter(ipsetSubsystem|command, flags, unix.AF_INET, a)
}

// element appends an address.
func (s ipset) element(a *netlink.Attributes, addr target.Target) {
	a.Nest(ipsetAttrData, func() {
		a.Nest(ipsetDataIP, func() {
			if b := addr.Addr().As16(); s.v6 {
				a.Put(2|bigEndian, b[:])
			} else {
				a.Put(1|bigEndian, b[12:])
			}
		})
		if s.v6 {
			a.Uint8(ipsetDataBits, uint8(addr.Prefix().Bits()))
		}
	})
}

// do carries a command on one address out. With NLM_F_EXCL it fails by ipsetErrAbsent where a
// delete does not find it, or an add does.
func (s ipset) do(k socket, command, flags int, addr target.Target) error {
	return ipsetError(k.AskOne(s.request(command, unix.NLM_F_ACK|flags,
		func(a *netlink.Attributes) { s.element(a, addr) })))
}

// has reports whether addr is in the set; no set has it, nor one of another kind.
func (s ipset) has(k socket, addr target.Target) (bool, error) {
	err := s.do(k, ipsetTest, 0, addr)
	if errors.Is(err, ipsetErrAbsent) || errors.Is(err, ipsetErrKind) || noSet(err) {
		return false, nil
	}
	return err == nil, err
}

// errNoSets says that the kernel has no ipset.
var errNoSets = errors.New("the kernel has no ipset")

// knowsSets reports whether the kernel has ipset.
func knowsSets(k socket) bool {
	const protocol = 1 // which the kernel speaks
	var a netlink.Attributes
	a.Uint8(ipsetAttrProtocol, ipsetProtocol)
	answers, err := k.Ask(netlink.Netfilter(ipsetSubsystem|protocol, 0, unix.AF_INET, a))
	return err == nil && !errors.Is(answers[0].Err, unix.EINVAL)
}

// noSet reports whether err says that there is no such set. A kernel without ipset knows no
// such subsystem of netfilter, which it says as EINVAL.
func noSet(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) }

// ipsetPlaces is the most places that the table of a set has from the start: 8 MiB. One
// for each address that it may hold keeps the look-up of who is not in it, which each
// packet takes, from going on beyond the table. Left to itself the kernel begins with 1,024,
// has 32,768 at 100,000 members, and lets 6% fewer packets through then (Linux 6.18);
// with 262,144 it is 3%.
const ipsetPlaces = 1 << 20

// create makes the set.
func (s ipset) create(k socket, size int) error {
	err := s.createWith(k, size, min(size, ipsetPlaces))
	if errors.Is(err, unix.ENOMEM) {
		err = s.createWith(k, size, 0)
	}
	if err != nil {
		return fmt.Errorf("making set %s: %w", s.name, ipsetError(err))
	}
	return nil
}

// createWith makes the set with so many places, rounded up to a power of two; 0 leaves
// that to the kernel.
func (s ipset) createWith(k socket, size, places int) error {
	return k.AskOne(s.request(ipsetCreate, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		func(a *netlink.Attributes) {
			kind, revision := s.kind()
			a.Text(ipsetAttrType, kind)
			a.Uint8(ipsetAttrRevision, revision)
			a.Uint8(ipsetAttrFamily, s.family())
			a.Nest(ipsetAttrData, func() {
				if places > 0 {
					a.Uint32(ipsetDataHashSize|bigEndian, uint32(places))
				}
				a.Uint32(ipsetDataMaxElem|bigEndian, uint32(size))
				a.Uint32(ipsetDataFlags|bigEndian, ipsetWithCounters)
			})
		}))
}

func (s ipset) family() uint8 {
	if s.v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// whole carries out a command on the whole set.
func (s ipset) whole(k socket, command int) error {
	return ipsetError(k.AskOne(s.request(command, unix.NLM_F_ACK, nil)))
}

// doAll adds or deletes many; what is so already is fine.
func (s ipset) doAll(ctx context.Context, k socket, command int, addrs []target.Target) error {
	for len(addrs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		request := s.request(command, unix.NLM_F_ACK, func(a *netlink.Attributes) {
			a.Put(ipsetAttrLine, []byte{0, 0, 0, 0}) // asked for where there are many
			a.Nest(ipsetAttrMany, func() {
				for start := len(*a); len(addrs) > 0 && len(*a)-start < ipsetBatchBytes; addrs = addrs[1:] {
					s.element(a, addrs[0])
				}
			})
		})
		if err := ipsetError(k.AskOne(request)); err != nil {
			return err
		}
	}
	return nil
}

// grow makes room for size members, in a new set that takes the place of the full one in all
// rules at once. Counters begin anew. Who is taken out meanwhile may be back afterwards.
func (s ipset) grow(ctx context.Context, k socket, size int) error {
	next := ipset{s.name + "_new", s.v6}
	if err := next.whole(k, ipsetDestroy); err != nil && !noSet(err) {
		return fmt.Errorf("clearing set %s: %w", next.name, err)
	}
	members, err := s.members(k)
	if err == nil {
		err = next.create(k, size)
	}
	if err == nil {
		err = next.doAll(ctx, k, ipsetAdd, addresses(members))
	}
	if err == nil { // the two change their names
		err = ipsetError(k.AskOne(s.request(ipsetSwap, unix.NLM_F_ACK,
			func(a *netlink.Attributes) { a.Text(ipsetAttrType, next.name) })))
	}
	if err == nil {
		err = next.whole(k, ipsetDestroy)
	}
	return err
}

func addresses(blocks []enforcer.Block) []target.Target {
	addrs := make([]target.Target, len(blocks))
	for i, b := range blocks {
		addrs[i] = b.Target
	}
	return addrs
}

// ipsetError gives numbers a meaning that only ipset has.
func ipsetError(err error) error {
	var errno unix.Errno
	switch {
	case err == nil || !errors.As(err, &errno):
		return err
	case errno == ipsetErrFull:
		return enforcer.ErrFull
	case errno == ipsetErrKind:
		return fmt.Errorf("%w: the set is of another kind", errno)
	case errno == ipsetErrBusy:
		return fmt.Errorf("%w: a rule refers to the set", errno)
	}
	return err
}
