package firewall

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// attribute takes the first of the attributes in b. Its kind is without flags.
func attribute(b []byte) (kind int, value, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlAttr {
		return 0, nil, nil, false
	}
	length := int(binary.NativeEndian.Uint16(b))
	if length < unix.SizeofNlAttr || length > len(b) {
		return 0, nil, nil, false
	}
	kind = int(binary.NativeEndian.Uint16(b[2:]) & ^uint16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER))
	return kind, b[unix.SizeofNlAttr:length], b[min(len(b), (length+3)&^3):], true
}

// find returns the attribute of that kind in b, or nil.
func find(b []byte, kind int) []byte {
	for {
		k, value, rest, ok := attribute(b)
		if !ok {
			return nil
		}
		if k == kind {
			return value
		}
		b = rest
	}
}

// path returns the attribute that is nested under the kinds, or nil.
func path(b []byte, kinds ...int) []byte {
	for _, kind := range kinds {
		b = find(b, kind)
	}
	return b
}

// textOf reads a text that ends in a NUL.
func textOf(value []byte) string {
	for i, c := range value {
		if c == 0 {
			return string(value[:i])
		}
	}
	return string(value)
}

func uint32Of(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

func uint64Of(value []byte) uint64 {
	if len(value) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}
