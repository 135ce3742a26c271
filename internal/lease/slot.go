package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/target"
)

// A lease stands in one slot of the file. A slot is a sector, and what a disk has begun to
// write of a sector it finishes or leaves as it was: after a loss of power a slot holds the
// lease as it was or as it is, and no other lease suffers. A free slot is all zeros, and so
// is what a lease leaves of one.
const slotSize = 512

// Where things stand in a slot. The texts follow one another.
const (
	atSum     = 0 // of all behind it
	atFlags   = 8 // never zero in a used slot
	atState   = 9
	atLengths = 10 // of the texts, a byte each
	atNet     = 18 // bits of the network that is blocked, 0 for none
	atPID     = 20 // of the daemon
	atAddr    = 24 // of an account nothing: it is the user
	atSince   = 40 // nanoseconds since 1970
	atRenewed = 48
	atUntil   = 56
	atStart   = 64 // of the daemon, in clock ticks
	atTexts   = 72
)

const (
	flagUsed = 1 << iota
	flagDaemon
	flagAccount
	flagAnnounced
)

// The longest name of a program that can hold a lease, and of an account, in bytes. Linux has
// none longer than 32: useradd(8).
const (
	maxName    = 100
	maxAccount = 64
)

// encode returns the bytes of a slot up to the zeros at its end.
func encode(l Lease) ([]byte, error) {
	addr, account := l.Target.Addr(), l.Target.Account()
	switch {
	case account != "":
		l.User = account
		if len(account) > maxAccount {
			return nil, fmt.Errorf("the account's name is longer than %d bytes", maxAccount)
		}
	case !l.Target.IsSingle() || addr.Is4In6():
		return nil, fmt.Errorf("%q is not an address that can be leased", l.Target)
	case l.Net.IsValid() && (addr.Is4() || l.Net.Bits() < widest ||
		l.Net != netip.PrefixFrom(addr, l.Net.Bits()).Masked()):
		return nil, fmt.Errorf("%s is not a network that can be leased for %s", l.Net, addr)
	}
	if len(l.Program) > maxName {
		return nil, fmt.Errorf("the program's name is longer than %d bytes", maxName)
	}
	var s [slotSize]byte
	var daemon Daemon
	s[atFlags], s[atState] = flagUsed, byte(l.State)
	if l.Daemon != nil {
		s[atFlags] |= flagDaemon
		daemon = *l.Daemon
	}
	binary.LittleEndian.PutUint32(s[atPID:], uint32(daemon.PID))
	binary.LittleEndian.PutUint64(s[atStart:], daemon.Start)
	if l.Announced {
		s[atFlags] |= flagAnnounced
	}
	if account != "" {
		s[atFlags] |= flagAccount
	} else {
		bytes := addr.As16()
		copy(s[atAddr:], bytes[:])
	}
	s[atNet] = byte(max(0, l.Net.Bits()))
	putTime(s[atSince:], l.Since)
	putTime(s[atRenewed:], l.Renewed)
	putTime(s[atUntil:], l.Until)
	end := atTexts
	for i, text := range texts(&l, &daemon) {
		n := copy(s[end:], cut(*text.text, text.most))
		end, s[atLengths+i] = end+n, byte(n)
	}
	binary.LittleEndian.PutUint64(s[atSum:], checksum(s[atFlags:end]))
	return s[:end:end], nil
}

// textField is a text of a lease and how many bytes of it are kept.
type textField struct {
	text *string
	most int
}

// texts are a lease's texts in the order in which they stand in a slot: all of them fit into
// one. A reason has room for an error with its causes.
func texts(l *Lease, d *Daemon) [7]textField {
	return [...]textField{
		{&l.Program, maxName}, {&d.Name, 16}, {&d.Boot, 36}, // a name has 15 bytes at most, a boot id 36
		{&l.RuleID, 24}, {&l.AlertID, 40}, {&l.User, maxAccount}, {&l.Reason, 160},
	}
}

// cut returns the beginning of a text, of whole characters where it has them.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return text[:n]
		}
	}
	return text[:most]
}

var errNoLease = errors.New("a slot holds no lease")

// decode reads a slot, or what encode returned. used is false for a free one.
func decode(s []byte) (l Lease, used bool, err error) {
	if allZero(s) {
		return l, false, nil
	}
	end := atTexts
	var daemon Daemon
	fields := texts(&l, &daemon)
	for i := range fields {
		end += int(s[atLengths+i])
	}
	if end > len(s) || s[atFlags]&flagUsed == 0 || s[atState] > byte(Lifting) ||
		binary.LittleEndian.Uint64(s) != checksum(s[atFlags:end]) || !allZero(s[end:]) {
		return l, false, errNoLease
	}
	l.State, l.Announced = State(s[atState]), s[atFlags]&flagAnnounced != 0
	l.Since, l.Renewed, l.Until = getTime(s[atSince:]), getTime(s[atRenewed:]), getTime(s[atUntil:])
	rest := string(s[atTexts:end]) // one piece of memory for all of them
	for i, field := range fields {
		n := int(s[atLengths+i])
		*field.text, rest = rest[:n], rest[n:]
	}
	addr := netip.AddrFrom16([16]byte(s[atAddr:])).Unmap()
	if l.Target = target.Of(addr); s[atFlags]&flagAccount != 0 {
		l.Target = target.Account(l.User)
	}
	if s[atNet] > 0 {
		l.Net = netip.PrefixFrom(addr, int(s[atNet])).Masked()
	}
	if s[atFlags]&flagDaemon != 0 {
		daemon.PID = int(int32(binary.LittleEndian.Uint32(s[atPID:])))
		daemon.Start = binary.LittleEndian.Uint64(s[atStart:])
		l.Daemon = &daemon
	}
	return l, true, nil
}

// lastTime is the latest that 64 bits of nanoseconds hold, in the year 2262: what is later
// comes to the same.
var lastTime = time.Unix(0, math.MaxInt64)

func putTime(b []byte, t time.Time) {
	switch {
	case t.IsZero():
	case t.After(lastTime):
		binary.LittleEndian.PutUint64(b, math.MaxInt64)
	default:
		binary.LittleEndian.PutUint64(b, uint64(t.UnixNano()))
	}
}

func getTime(b []byte) time.Time {
	if n := binary.LittleEndian.Uint64(b); n != 0 {
		return time.Unix(0, int64(n)).UTC()
	}
	return time.Time{}
}

// checksum is FNV-1a of 64 bits (RFC 9923), which needs no tables to be made first.
func checksum(b []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
