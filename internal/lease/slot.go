package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A lease stands in one slot of the file. Slots are half a sector and never straddle two,
// and what a disk has begun to write of a sector it finishes or leaves as it was: after a
// loss of power a slot holds the lease as it was or as it is, and no other lease suffers.
// A free slot is all zeros.
const slotSize = 256

// Where things stand in a slot. The texts follow one another.
const (
	atSum     = 0  // of all behind it
	atFlags   = 8  // never zero in a used slot
	atLengths = 9  // of the texts, a byte each
	atPID     = 16 // of the daemon
	atAddr    = 20
	atSince   = 36 // nanoseconds since 1970
	atRenewed = 44
	atStart   = 52 // of the daemon, in clock ticks
	atTexts   = 60
)

const (
	flagUsed = 1 << iota
	flagLifting
	flagDaemon
)

// maxName is the longest name of a program that can hold a lease, in bytes. What is left
// of the slot beside it and the daemon is for rule, alert and user: of an overlong one the
// beginning is kept.
const maxName = 100

// encode puts a lease into a slot.
func encode(l Lease) ([slotSize]byte, error) {
	var s [slotSize]byte
	if len(l.Program) > maxName {
		return s, fmt.Errorf("the program's name is longer than %d bytes", maxName)
	}
	daemon := Daemon{}
	s[atFlags] = flagUsed
	if l.Lifting {
		s[atFlags] |= flagLifting
	}
	if l.Daemon != nil {
		s[atFlags] |= flagDaemon
		daemon = *l.Daemon
	}
	binary.LittleEndian.PutUint32(s[atPID:], uint32(daemon.PID))
	binary.LittleEndian.PutUint64(s[atStart:], daemon.Start)
	addr := l.Addr.As16()
	copy(s[atAddr:], addr[:])
	putTime(s[atSince:], l.Since)
	putTime(s[atRenewed:], l.Renewed)
	rest := s[atTexts:]
	// What comes from the log, the user, comes last: it cannot crowd out the others.
	for i, text := range []string{l.Program, daemon.Name, daemon.Boot, l.RuleID, l.AlertID, l.User} {
		n := copy(rest, text)
		rest, s[atLengths+i] = rest[n:], byte(n)
	}
	binary.LittleEndian.PutUint64(s[atSum:], checksum(s[atFlags:]))
	return s, nil
}

var errNoLease = errors.New("a slot holds no lease")

// decode reads a slot. used is false for a free one.
func decode(s []byte) (l Lease, used bool, err error) {
	if allZero(s) {
		return l, false, nil
	}
	if s[atFlags]&flagUsed == 0 || binary.LittleEndian.Uint64(s[atSum:]) != checksum(s[atFlags:]) {
		return l, false, errNoLease
	}
	l.Addr = netip.AddrFrom16([16]byte(s[atAddr:])).Unmap()
	l.Since, l.Renewed = getTime(s[atSince:]), getTime(s[atRenewed:])
	l.Lifting = s[atFlags]&flagLifting != 0
	var daemon Daemon
	rest := s[atTexts:]
	for i, text := range []*string{&l.Program, &daemon.Name, &daemon.Boot, &l.RuleID, &l.AlertID, &l.User} {
		n := int(s[atLengths+i])
		if n > len(rest) {
			return Lease{}, false, errNoLease
		}
		*text, rest = string(rest[:n]), rest[n:]
	}
	if s[atFlags]&flagDaemon != 0 {
		daemon.PID = int(int32(binary.LittleEndian.Uint32(s[atPID:])))
		daemon.Start = binary.LittleEndian.Uint64(s[atStart:])
		l.Daemon = &daemon
	}
	return l, true, nil
}

func putTime(b []byte, t time.Time) {
	if !t.IsZero() {
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
