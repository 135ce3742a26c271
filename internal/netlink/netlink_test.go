package netlink_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

func open(t *testing.T) *netlink.Socket {
	t.Helper()
	s, err := netlink.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestDump: a list of the host's addresses is whole, and the socket is good for another.
func TestDump(t *testing.T) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t)
	for range 2 {
		n := 0
		if err := s.Addresses(unix.AF_UNSPEC, func(netip.Prefix) { n++ }); err != nil {
			t.Fatal(err)
		}
		if n != len(all) {
			t.Errorf("%d addresses, want the %d of %v", n, len(all), all)
		}
	}
}

// TestAsk: of several requests each has its own answer, in order, errors among them.
func TestAsk(t *testing.T) {
	way := func(addr string) *nl.NetlinkRequest {
		a := netip.MustParseAddr(addr)
		request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
		request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET, Dst_len: 32}})
		request.AddData(nl.NewRtAttr(unix.RTA_DST, a.AsSlice()))
		return request
	}
	wrong := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	wrong.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET, Dst_len: 32}})
	wrong.AddData(nl.NewRtAttr(unix.RTA_DST, []byte{1, 2})) // too short
	answers, err := open(t).Ask(way("127.0.0.1"), wrong, way("127.0.0.2"))
	if err != nil || len(answers) != 3 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for _, i := range []int{0, 2} {
		if a := answers[i]; a.Err != nil || nl.DeserializeRtMsg(a.Message).Type != unix.RTN_LOCAL {
			t.Errorf("answer %d: %+v, want a local route", i, a)
		}
	}
	if answers[1].Err == nil {
		t.Errorf("the wrong request is answered by %x", answers[1].Message)
	}
}

func TestOpenWithoutTime(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := netlink.Open(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := netlink.Open(past); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no time left: %v", err)
	}
}
