package netlink

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Attributes is a run of netlink attributes under construction.
type Attributes []byte

// Put appends an attribute; kind may carry flags such as unix.NLA_F_NET_BYTEORDER.
func (a *Attributes) Put(kind int, value []byte) {
	b := binary.NativeEndian.AppendUint16(*a, uint16(unix.SizeofNlAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, uint16(kind)), value...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	*a = b
}

// Text appends a text, which ends in a NUL.
func (a *Attributes) Text(kind int, value string) { a.Put(kind, append([]byte(value), 0)) }

// Uint8 appends a number of one byte.
func (a *Attributes) Uint8(kind int, value uint8) { a.Put(kind, []byte{value}) }

// Uint32 appends a number in network order, as netfilter has it.
func (a *Attributes) Uint32(kind int, value uint32) {
	a.Put(kind, binary.BigEndian.AppendUint32(nil, value))
}

// Nest appends an attribute that holds those which fill appends.
func (a *Attributes) Nest(kind int, fill func()) {
	start := len(*a)
	a.Put(kind|unix.NLA_F_NESTED, nil)
	fill()
	binary.NativeEndian.PutUint16((*a)[start:], uint16(len(*a)-start))
}

// Next takes the first of the attributes in b. Its kind is without flags.
func Next(b []byte) (kind int, value, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlAttr {
		return 0, nil, nil, false
	}
	length := int(binary.NativeEndian.Uint16(b))
	if length < unix.SizeofNlAttr || length > len(b) {
		return 0, nil, nil, false
	}
	kind = int(binary.NativeEndian.Uint16(b[2:]) & ^uint16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER))
	return kind, b[unix.SizeofNlAttr:length], b[min(len(b), align(length)):], true
}

// Find returns the value of the attribute that is nested under the kinds, nil when there is
// none.
func Find(b []byte, kinds ...int) []byte {
	for _, wanted := range kinds {
		for {
			kind, value, rest, ok := Next(b)
			if !ok {
				return nil
			}
			if b = rest; kind == wanted {
				b = value
				break
			}
		}
	}
	return b
}

// Text reads a text that ends in a NUL, or with value.
func Text(value []byte) string {
	for i, c := range value {
		if c == 0 {
			return string(value[:i])
		}
	}
	return string(value)
}

// Uint32 reads a number in network order; what is too short is 0.
func Uint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

// Uint64 reads a number in network order; what is too short is 0.
func Uint64(value []byte) uint64 {
	if len(value) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

func align(length int) int { return (length + unix.NLA_ALIGNTO - 1) &^ (unix.NLA_ALIGNTO - 1) }
