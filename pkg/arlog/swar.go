package arlog

import (
	"encoding/binary"
	"math/bits"
)

// This file reads words and addresses, IPv4 ones and words eight bytes at a time and without branches
// that depend on their digits: a processor that guesses wrong at each octet's length
// loses more time than all the rest of a line takes.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// equal marks the bytes of x that are c by their highest bit. Marks beyond the first may
// be wrong.
func equal(x uint64, c byte) uint64 {
	x ^= uint64(c) * ones
	return (x - ones) &^ x & highs
}

// word cuts off what stands before the first blank.
func word(s []byte) (first, rest []byte) {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if m := equal(binary.LittleEndian.Uint64(s[i:]), ' '); m != 0 {
			i += bits.TrailingZeros64(m) >> 3
			return s[:i], s[i+1:]
		}
	}
	for ; i < len(s); i++ {
		if s[i] == ' ' {
			return s[:i], s[i+1:]
		}
	}
	return s, nil
}

// movemask makes one bit out of each byte's highest one; x has no other bits.
func movemask(x uint64) uint64 { return x >> 7 * 0x0102040810204080 >> 56 }

// parseAddr4 reads an IPv4 address in front of a blank and returns the length of both.
// It wants 20 bytes to be there and otherwise says no, as for all that netip refuses.
func parseAddr4(s []byte) (addr uint32, length int, ok bool) {
	if len(s) < 20 {
		return 0, 0, false
	}
	low, high := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
	// An octet ends at what is less than '0': three dots and a blank, if all is well.
	const zeros = '0' * ones
	ends := movemask(^((low|highs)-zeros)&highs) | movemask(^((high|highs)-zeros)&highs)<<8
	one := bits.TrailingZeros64(ends)
	ends &= ends - 1
	two := bits.TrailingZeros64(ends)
	ends &= ends - 1
	three := bits.TrailingZeros64(ends)
	ends &= ends - 1
	end := bits.TrailingZeros64(ends)
	if end > 15 || (low|high)&highs != 0 || s[one] != '.' || s[two] != '.' || s[three] != '.' || s[end] != ' ' {
		return 0, 0, false
	}
	a, badA := octet(s, 0, one)
	b, badB := octet(s, one+1, two)
	c, badC := octet(s, two+1, three)
	d, badD := octet(s, three+1, end)
	return a<<24 | b<<16 | c<<8 | d, end + 1, (badA|badB|badC|badD)&(1<<31) == 0
}

// digits are the values of hexadecimal digits, and 255 of all else.
var digits = func() (d [256]uint8) {
	for i := range d {
		d[i] = 255
	}
	for i := range uint8(10) {
		d['0'+i] = i
	}
	for i := range uint8(6) {
		d['a'+i], d['A'+i] = 10+i, 10+i
	}
	return d
}()

// parseAddr6 reads an IPv6 address in groups of hexadecimal digits. It says no to all that
// netip refuses, and to an IPv4 address or a zone at the end.
func parseAddr6(s []byte) (addr [16]byte, ok bool) {
	at, gap := 0, -1 // where the next group goes, and where "::" stands for some
	if len(s) >= 2 && s[0] == ':' && s[1] == ':' {
		s, gap = s[2:], 0
	}
	for len(s) > 0 {
		var group uint32
		n := 0
		for n < len(s) && digits[s[n]] < 16 {
			group = group<<4 | uint32(digits[s[n]])
			n++
		}
		if n == 0 || n > 4 || at == 16 {
			return addr, false
		}
		addr[at], addr[at+1] = byte(group>>8), byte(group)
		at += 2
		switch {
		case n == len(s):
			s = nil
		case s[n] != ':' || n+1 == len(s):
			return addr, false
		case s[n+1] != ':':
			s = s[n+1:]
		case gap >= 0:
			return addr, false
		default:
			s, gap = s[n+2:], at
		}
	}
	if gap >= 0 && at < 16 {
		moved := copy(addr[16-(at-gap):], addr[gap:at])
		clear(addr[gap : 16-moved])
		return addr, true
	}
	return addr, at == 16 && gap < 0
}

// octet reads the number in s[from:to], behind which there are four bytes at least. The
// highest bit of bad tells that it is none.
func octet(s []byte, from, to int) (value, bad uint32) {
	n := uint32(to - from)
	digits := binary.LittleEndian.Uint32(s[from:]) ^ 0x30303030
	first := digits & 0xff
	digits <<= (32 - 8*n) & 31 // the last one is in the highest byte now, with zeros before the first
	value = (digits>>8&0xff)*100 + (digits>>16&0xff)*10 + digits>>24
	const sevens = 0x76767676
	bad = digits + sevens // in any byte: one is more than nine
	bad |= bad<<8 | bad<<16 | bad<<24
	bad |= 255 - value           // less than nothing
	bad |= (n - 1) | (3 - n)     // likewise: not one to three digits
	bad |= (first - 1) & (1 - n) // likewise both: a zero before other digits
	return value, bad
}
