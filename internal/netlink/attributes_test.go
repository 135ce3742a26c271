package netlink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAttributes: what is built is found again.
func TestAttributes(t *testing.T) {
	var a Attributes
	a.Uint8(1, 7)
	a.Text(2, "ossec_ar4")
	a.Nest(3, func() {
		a.Uint32(4|unix.NLA_F_NET_BYTEORDER, 1<<20)
		a.Nest(5, func() { a.Put(6, []byte{1, 2, 3, 4, 5, 6, 7, 8}) })
	})
	a.Text(7, "after")
	if got := Find(a, 1); !bytes.Equal(got, []byte{7}) {
		t.Errorf("1: %v", got)
	}
	if got := Text(Find(a, 2)) + Text(Find(a, 7)); got != "ossec_ar4after" {
		t.Errorf("texts: %q", got)
	}
	if got := Uint32(Find(a, 3, 4)); got != 1<<20 {
		t.Errorf("3, 4: %d", got)
	}
	if got := Uint64(Find(a, 3, 5, 6)); got != 0x0102030405060708 {
		t.Errorf("3, 5, 6: %x", got)
	}
	if Find(a, 4) != nil || Find(a, 3, 9, 1) != nil || Uint32(nil) != 0 || Uint64(nil) != 0 || Text(nil) != "" {
		t.Error("what is not there is found")
	}
}

// TestParse: several messages of one datagram; an error whose request did not fit; what is cut
// off is no message.
func TestParse(t *testing.T) {
	noNumber := message{kind: unix.NLMSG_ERROR}
	build := func(kind uint16, length int, body ...byte) []byte {
		m := binary.NativeEndian.AppendUint32(nil, uint32(length))
		m = binary.NativeEndian.AppendUint16(m, kind)
		m = append(m, make([]byte, 10)...)
		return append(m, body...)
	}
	enoent := binary.NativeEndian.AppendUint32(nil, ^uint32(unix.ENOENT)+1)
	both := append(build(99, 20, 1, 2, 3, 4), build(unix.NLMSG_ERROR, 5000, enoent...)...)
	got, err := parse(both)
	if err != nil || len(got) != 2 || !bytes.Equal(got[0].answer().Message, []byte{1, 2, 3, 4}) || !errors.Is(got[1].fault(), unix.ENOENT) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parse(build(99, 5000, 1, 2, 3, 4)); err == nil {
		t.Error("a message that is cut off is taken for whole")
	}
	if err := noNumber.fault(); err == nil {
		t.Error("an error without a number is none")
	}
}
