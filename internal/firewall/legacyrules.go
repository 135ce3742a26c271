package firewall

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The old iptables in the kernel hands out a table only as a whole, which is quick all
// the same: iptables-legacy does so for each command. The layout is that of
// linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h and
// linux/netfilter/x_tables.h, with 64-bit counters on their natural boundary. Where a
// machine lays them out differently, reading fails and the programs are asked instead.
const (
	legacyGetInfo    = 64 // IPT_SO_GET_INFO and IP6T_SO_GET_INFO
	legacyGetEntries = 65

	legacyNameSize   = 32
	legacyHeadSize   = 32 // of a match or target: size, name, revision
	legacyHookIn     = 1  // NF_INET_LOCAL_IN
	legacyHookFwd    = 2  // NF_INET_FORWARD
	legacyHookOut    = 3  // NF_INET_LOCAL_OUT
	legacyChainEntry = "ERROR"
)

// legacyLayout says where things stand in an entry of one family.
type legacyLayout struct {
	level                      int // of the socket option
	address                    int // bytes of one: source, destination, their masks
	conditions                 int // bytes up to where the conditions of the entry itself end
	targetAt, nextAt, elements int // offsets
}

func legacyLayoutOf(v6 bool) legacyLayout {
	if v6 {
		return legacyLayout{level: unix.SOL_IPV6, address: 16, conditions: 136, targetAt: 140, nextAt: 142, elements: 168}
	}
	return legacyLayout{level: unix.SOL_IP, address: 4, conditions: 84, targetAt: 88, nextAt: 90, elements: 112}
}

// legacyInfo is struct ipt_getinfo.
type legacyInfo struct {
	name               [legacyNameSize]byte
	validHooks         uint32
	hookEntry          [5]uint32
	underflow          [5]uint32
	numEntries, length uint32
}

// legacyTable is the filter table of one family.
type legacyTable struct {
	legacyLayout
	info    legacyInfo
	entries []byte
}

var errLegacyLayout = errors.New("the kernel's table does not read as one")

// legacySocket opens what the table is asked for through.
func legacySocket(v6 bool) (int, error) {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, fmt.Errorf("opening raw socket: %w", err)
	}
	return fd, nil
}

func (t *legacyTable) option(fd, option int, value unsafe.Pointer, length uint32) error {
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(t.level), uintptr(option),
		uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return fmt.Errorf("asking the kernel for table %s: %w", table, errno)
	}
	return nil
}

// legacyEntries returns how many entries the whole table has, those of other chains
// included, without reading it.
func legacyEntries(v6 bool) (int, error) {
	fd, err := legacySocket(v6)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	t := &legacyTable{legacyLayout: legacyLayoutOf(v6)}
	copy(t.info.name[:], table)
	err = t.option(fd, legacyGetInfo, unsafe.Pointer(&t.info), uint32(unsafe.Sizeof(t.info)))
	return int(t.info.numEntries), err
}

// readLegacy fetches the table.
func readLegacy(v6 bool) (*legacyTable, error) {
	fd, err := legacySocket(v6)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	t := &legacyTable{legacyLayout: legacyLayoutOf(v6)}
	for range bulkRounds {
		t.info = legacyInfo{}
		copy(t.info.name[:], table)
		if err := t.option(fd, legacyGetInfo, unsafe.Pointer(&t.info), uint32(unsafe.Sizeof(t.info))); err != nil {
			return nil, err
		}
		// struct ipt_get_entries: name, length, padding, entries.
		const head = legacyNameSize + 8
		all := make([]byte, head+int(t.info.length))
		copy(all, table)
		binary.NativeEndian.PutUint32(all[legacyNameSize:], t.info.length)
		if err = t.option(fd, legacyGetEntries, unsafe.Pointer(&all[0]), uint32(len(all))); err == nil {
			t.entries = all[head:]
			return t, nil
		}
		if !errors.Is(err, unix.EAGAIN) { // it changed its length in between
			return nil, err
		}
	}
	return nil, err
}

// firstLegacyRules calls do with the rules of our chain in order, until it returns
// errStop. The table is fetched as a whole, since there is no other way; the program that
// adds a rule does so twice.
func firstLegacyRules(v6 bool, do func(kernelRule) error) error {
	t, err := readLegacy(v6)
	if err != nil {
		return err
	}
	inside := false
	var stopped error
	err = t.each(func(_ int, entry []byte) {
		name := t.chainName(entry)
		switch {
		case name == Chain:
			inside = true
		case name != "":
			inside = false
		case inside && stopped == nil:
			stopped = do(t.rule(entry, nil))
		}
	})
	if errors.Is(stopped, errStop) {
		stopped = nil
	}
	return errors.Join(err, stopped)
}

// each calls do with every entry: the offset, its matches and target, and the rule.
func (t *legacyTable) each(do func(offset int, entry []byte)) error {
	for at := 0; at < len(t.entries); {
		if len(t.entries)-at < t.elements {
			return errLegacyLayout
		}
		next := int(binary.NativeEndian.Uint16(t.entries[at+t.nextAt:]))
		target := int(binary.NativeEndian.Uint16(t.entries[at+t.targetAt:]))
		if next < t.elements+legacyHeadSize || next > len(t.entries)-at || target < t.elements || target > next-legacyHeadSize {
			return errLegacyLayout
		}
		do(at, t.entries[at:at+next])
		at += next
	}
	return nil
}

// chainName returns the name of the chain that begins with the entry, "" when none does.
func (t *legacyTable) chainName(entry []byte) string {
	target := entry[binary.NativeEndian.Uint16(entry[t.targetAt:]):]
	if textOf(target[2:legacyHeadSize-1]) != legacyChainEntry {
		return ""
	}
	return textOf(target[legacyHeadSize:])
}

// rules calls do with every rule and the chain that it stands in.
func (t *legacyTable) rules(do func(chain string, r kernelRule)) error {
	begins := map[int]string{
		int(t.info.hookEntry[legacyHookIn]): inputChain, int(t.info.hookEntry[legacyHookFwd]): forwardChain,
		int(t.info.hookEntry[legacyHookOut]): "OUTPUT",
	}
	err := t.each(func(offset int, entry []byte) {
		if name := t.chainName(entry); name != "" {
			begins[offset+len(entry)] = name
		}
	})
	if err != nil {
		return err
	}
	current := ""
	return t.each(func(offset int, entry []byte) {
		if name, ok := begins[offset]; ok {
			current = name
		}
		if t.chainName(entry) == "" {
			do(current, t.rule(entry, begins))
		}
	})
}

// rule reads an entry. begins has the chains by the offset of their first entry.
func (t *legacyTable) rule(entry []byte, begins map[int]string) kernelRule {
	r := kernelRule{plain: true}
	source, mask := entry[:t.address], entry[2*t.address:3*t.address]
	for i, b := range entry[:t.conditions] {
		part := i / t.address
		if b != 0 && part != 0 && part != 2 {
			r.plain = false // another condition
		}
	}
	if !zero(mask) {
		addr, _ := netip.AddrFromSlice(source)
		r.source = addr
		for _, b := range mask {
			r.plain = r.plain && b == 0xff
		}
	}
	targetAt := int(binary.NativeEndian.Uint16(entry[t.targetAt:]))
	for at := t.elements; at < targetAt; {
		size := 0
		if targetAt-at >= legacyHeadSize {
			size = int(binary.NativeEndian.Uint16(entry[at:]))
		}
		if size < legacyHeadSize || size > targetAt-at {
			r.plain = false
			break
		}
		match := entry[at : at+size]
		if textOf(match[2:legacyHeadSize-1]) == "set" && bySource(match[legacyHeadSize:]) && r.set == "" {
			r.set = anySet
		} else {
			r.plain = false
		}
		at += size
	}
	r.verdict = t.verdict(entry[targetAt:], begins)
	return r
}

// verdict reads a target. The standard one has no name and says a verdict or where to
// jump to.
func (t *legacyTable) verdict(target []byte, begins map[int]string) string {
	if name := textOf(target[2 : legacyHeadSize-1]); name != "" || len(target) < legacyHeadSize+4 {
		return name
	}
	v := int32(binary.NativeEndian.Uint32(target[legacyHeadSize:]))
	if v == -1 { // -NF_DROP - 1
		return "DROP"
	}
	return begins[int(v)]
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// standingLegacy is standingNFT for the old iptables.
func (f family) standingLegacy(chains []string, addr netip.Addr) (standing, error) {
	t, err := readLegacy(f.v6)
	if err != nil {
		return standing{}, err
	}
	s := standing{bare: true, bySet: true}
	bare, bySet, docker := map[string]bool{}, map[string]bool{}, false
	err = t.rules(func(chain string, r kernelRule) {
		bare[chain] = bare[chain] || r.jumps()
		bySet[chain] = bySet[chain] || r.jumpsBySet()
		docker = docker || chain == forwardChain && r.leadsTo(dockerUserChain)
		if chain == Chain {
			s.chain = true // its end, too, is a rule
			s.count(r, f.opts.Target, addr)
		}
	})
	if err != nil || !s.chain {
		return standing{}, err
	}
	for _, chain := range chains {
		if docker && chain == forwardChain {
			chain = dockerUserChain
		}
		s.bare, s.bySet, s.plain = s.bare && bare[chain], s.bySet && bySet[chain], s.plain || bare[chain]
	}
	return s, nil
}
