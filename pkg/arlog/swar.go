package arlog

import (
	"encoding/binary"
	"math/bits"
)

// This file reads words and IPv4 addresses eight bytes at a time and without branches
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

// exact is equal with all marks right.
func exact(x uint64, c byte) uint64 {
	x ^= uint64(c) * ones
	return ^(x&^highs + ^uint64(highs) | x) & highs
}

// parseAddr4 reads an IPv4 address in front of a blank and returns the length of both.
// It wants 19 bytes to be there and otherwise says no, as for all that netip refuses.
func parseAddr4(s []byte) (quad [4]byte, length int, ok bool) {
	if len(s) < 19 {
		return quad, 0, false
	}
	low, high := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
	length = bits.TrailingZeros64(movemask(exact(low, ' ')) | movemask(exact(high, ' '))<<8 | 1<<16)
	dots := movemask(exact(low, '.')) | movemask(exact(high, '.'))<<8
	if dots &= 1<<length - 1; bits.OnesCount64(dots) != 3 || length > 15 {
		return quad, 0, false
	}
	good := true
	for i, from := 0, 0; i < 4; i++ {
		to := length
		if i < 3 {
			to = bits.TrailingZeros64(dots)
			dots &= dots - 1
		}
		n := to - from
		// The digits, moved so that the last is in the highest byte and zeros before the
		// first.
		digits := (binary.LittleEndian.Uint32(s[from:]) - 0x30303030) << (8 * uint(4-n) & 31)
		h, t, o := digits>>8&0xff, digits>>16&0xff, digits>>24
		value := h*100 + t*10 + o
		// Where a byte is no digit, the subtraction borrows from the next one: then either
		// has its highest bit set or is more than nine.
		good = good && n >= 1 && n <= 3 && h <= 9 && t <= 9 && o <= 9 && value <= 255 && (n < 2 || value >= 10) && (n < 3 || value >= 100)
		quad[i] = byte(value)
		from = to + 1
	}
	return quad, length + 1, good
}
