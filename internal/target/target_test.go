package target

import (
	"net/netip"
	"slices"
	"testing"
)

func TestTargets(t *testing.T) {
	address, host6 := MustParse("203.0.113.7"), MustParse("2001:db8::7")
	network, account := MustParse("2001:db8::7/64"), Account("www")
	for _, tt := range []struct {
		target   Target
		text     string
		addr     string
		is6, one bool
	}{
		{address, "203.0.113.7", "203.0.113.7", false, true},
		{host6, "2001:db8::7", "2001:db8::7", true, true},
		{network, "2001:db8::/64", "2001:db8::", true, false},
		{account, "www", "invalid IP", false, false},
	} {
		if tt.target.String() != tt.text || tt.target.Addr().String() != tt.addr ||
			tt.target.Is6() != tt.is6 || tt.target.IsSingle() != tt.one || !tt.target.IsValid() {
			t.Errorf("%+v is not %+v", tt.target, tt)
		}
	}
	if network != Network(netip.MustParsePrefix("2001:db8::/64")) || host6 != MustParse("2001:db8::7/128") {
		t.Error("two ways to the same target give two")
	}
	inside := netip.MustParseAddr("2001:db8::8")
	if !network.Contains(inside) || host6.Contains(inside) || account.Contains(inside) {
		t.Error("what the targets contain is not what they block")
	}
	for _, none := range []Target{{}, Of(netip.Addr{}), Account("")} {
		if none.IsValid() || none != (Target{}) || none.String() != "nobody" {
			t.Errorf("%+v counts as a target", none)
		}
	}
}

func TestOrder(t *testing.T) {
	want := []Target{MustParse("192.0.2.1"), MustParse("203.0.113.7"), MustParse("2001:db8::/64"),
		MustParse("2001:db8::"), MustParse("2001:db8::7"), Account("mail"), Account("www")}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Target.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("in order: %v, want %v", got, want)
	}
}
