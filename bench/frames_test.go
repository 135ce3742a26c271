package main

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// The example header that RFC 1071's readers know: its checksum is b861.
func TestChecksum(t *testing.T) {
	header, err := hex.DecodeString("45000073000040004011" + "0000" + "c0a80001c0a800c7")
	if err != nil {
		t.Fatal(err)
	}
	if got := checksum(header); got != 0xb861 {
		t.Errorf("checksum %x, want b861", got)
	}
}

func TestFrame(t *testing.T) {
	f := frame(netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("10.77.0.2"), insideMAC)
	want := "020000000002" + "020000000001" + "0800" +
		"4500002e00000000" + "4011" + hex.EncodeToString(f[24:26]) + "c6336407" + "0a4d0002" +
		"9c409c40001a0000" + "000000000000000000000000000000000000"
	if got := hex.EncodeToString(f); got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
	if checksum(f[14:34]) != 0 { // with a right checksum in it, the sum is 0
		t.Errorf("the checksum of the header is wrong: %x", f[24:26])
	}
}

func TestSendAndDrain(t *testing.T) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	if err := unix.Bind(s, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(s, name); err != nil { // to itself
		t.Fatal(err)
	}
	const sent = 100
	v := newVolley(make([][]byte, 0))
	for range sent {
		v = newVolley(append(v.frames, make([]byte, frameSize)))
	}
	if err := send(s, v.messages); err != nil {
		t.Fatal(err)
	}
	if got, err := drain(s, room().messages); err != nil || got != sent {
		t.Errorf("%d of %d arrived, %v", got, sent, err)
	}
	if got, err := drain(s, room().messages); err != nil || got != 0 {
		t.Errorf("then %d more, %v", got, err)
	}
}
