package whitelist

import (
	"net"
	"net/netip"
	"testing"
)

func TestBuiltInHere(t *testing.T) {
	var l List
	l.AddBuiltIn(AllBuiltIn())
	for _, err := range l.Faults() {
		t.Error(err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		p := netip.MustParsePrefix(a.String())
		if _, ok := l.Match(p.Addr()); !ok {
			t.Errorf("own address %s is not covered", p.Addr())
		}
	}
	for _, n := range l.networks {
		t.Log(n)
	}
}
