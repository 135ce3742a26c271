package hold_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var (
	in1, in2 = target.MustParse("2001:db8::1"), target.MustParse("2001:db8::2")
	net64    = target.MustParse("2001:db8::/64")
)

// whitelisted is the whitelist of one address.
func whitelisted(one target.Target) hold.Whitelisted {
	return func(t target.Target) (string, bool) { return one.String(), t.Contains(one.Addr()) }
}

// takeWide is take of addresses whose network is blocked.
func takeWide(t *testing.T, h *hold.Holder, program string, addrs ...target.Target) {
	t.Helper()
	for _, a := range addrs {
		l := lease.Lease{Target: a, Program: program, Since: now, Renewed: now}
		if err := h.Widen(&l, nobody); err != nil {
			t.Error(err)
		}
		taken, err := h.Take(t.Context(), l)
		if err := errors.Join(err, taken.LeaseErr); err != nil {
			t.Fatal(err)
		}
	}
}

func release(t *testing.T, h *hold.Holder, program string, a target.Target) hold.Released {
	t.Helper()
	r, err := h.Release(t.Context(), a, program)
	if err := errors.Join(err, r.LeaseErr); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNetworkIsShared: two attackers in one network share its block as two leases do.
func TestNetworkIsShared(t *testing.T) {
	for _, inFile := range []bool{false, true} {
		h, fake := newHolder(t, inFile)
		h.IPv6Prefix = 64
		takeWide(t, h, "a", in1, in2, addr(1))
		takeWide(t, h, "b", in1)
		wantBlocked(t, "taken", fake, addr(1), net64)
		if r := release(t, h, "a", in1); len(r.Others) != 1 || !r.Held() {
			t.Errorf("another program holds it: %+v", r)
		}
		h.IPv6Prefix = 128 // a delete goes by the lease
		if r := release(t, h, "b", in1); len(r.Others) != 0 || len(r.Networks) != 1 || r.Networks[0] != net64 {
			t.Errorf("another address of the network holds it: %+v", r)
		}
		wantBlocked(t, "one of two released", fake, addr(1), net64)
		fake.Lose()
		if r, err := h.Repair(t.Context(), nobody); err != nil || len(r.Blocked) != 2 {
			t.Errorf("repaired %+v, %v", r, err)
		}
		wantBlocked(t, "repaired", fake, addr(1), net64)
		if r := release(t, h, "a", in2); r.Held() || !r.Leased {
			t.Errorf("nobody holds it: %+v", r)
		}
		wantBlocked(t, "both released", fake, addr(1))
	}
}

// TestNetworkIsFreed: whoever frees an address frees the networks that it is in.
func TestNetworkIsFreed(t *testing.T) {
	h, fake := newHolder(t, false)
	h.IPv6Prefix = 64
	takeWide(t, h, "a", in1, in2)
	h.IPv6Prefix = 48
	takeWide(t, h, "b", in2)
	wantBlocked(t, "taken", fake, target.MustParse("2001:db8::/48"), net64)
	if r := release(t, h, "a", target.MustParse("2001:db8::99")); r.Leased || len(r.Networks) != 2 {
		t.Errorf("an address that nobody leased: %+v", r)
	}
	if r, err := h.Free(t.Context(), target.MustParse("2001:db8::99")); err != nil || !r.Leased || r.Held() {
		t.Errorf("freed: %+v, %v", r, err)
	}
	wantBlocked(t, "freed", fake, []target.Target{}...)
	if all, err := h.Leases.All(); err != nil || len(all) != 0 {
		t.Errorf("leases left: %+v, %v", all, err)
	}
}

// TestWhitelistInNetwork: a network with a part of the whitelist is not blocked, and no longer where
// the whitelist grows into it.
func TestWhitelistInNetwork(t *testing.T) {
	for _, inFile := range []bool{false, true} {
		h, fake := newHolder(t, inFile)
		h.IPv6Prefix = 64
		never := whitelisted(target.MustParse("2001:db8::99"))
		l := lease.Lease{Target: in1, Program: "a", Since: now, Renewed: now}
		if err := h.Widen(&l, never); err == nil || l.Net.IsValid() {
			t.Errorf("no warning, or the network: %+v", l)
		}
		takeWide(t, h, "a", in1, in2)
		d, err := h.Compare(t.Context(), never)
		if err != nil || len(d.Narrow) != 1 || d.Narrow[0].Target != net64 || len(d.Missing)+len(d.Extra) != 0 {
			t.Errorf("differs: %+v, %v", d, err)
		}
		r, err := h.Repair(t.Context(), never)
		if err != nil || len(r.Narrowed) != 1 {
			t.Errorf("repaired: %+v, %v", r, err)
		}
		wantBlocked(t, "narrowed", fake, in1, in2)
		if d, err := h.Compare(t.Context(), never); err != nil || !d.None() {
			t.Errorf("differs afterwards: %+v, %v", d, err)
		}
		takeWide(t, h, "b", in2) // by somebody who does not know yet
		if r, err := h.Repair(t.Context(), whitelisted(in2)); err != nil || len(r.Never) != 1 {
			t.Errorf("repaired: %+v, %v", r, err)
		}
		wantBlocked(t, "one is on the whitelist itself", fake, in1)
		release(t, h, "a", in1)
		wantBlocked(t, "released", fake, []target.Target{}...)
	}
}

// TestManyInNetworks: lists and flushes go by networks, too.
func TestManyInNetworks(t *testing.T) {
	h, fake := open(t, enforcertest.NewFake(), filepath.Join(t.TempDir(), "ossec"), false)
	h.IPv6Prefix = 64
	other := target.MustParse("2001:db8:0:1::1")
	like := lease.Lease{Program: "import", Since: now, Renewed: now}
	err := h.TakeAll(t.Context(), []target.Target{addr(1), in1, in2, other}, like, whitelisted(target.MustParse("2001:db8:0:1::9")), nil)
	if err != nil {
		t.Error(err)
	}
	wantBlocked(t, "imported", fake, addr(1), net64, other)
	take(t, h, "a", in1)
	freed, err := h.ReleaseProgram(t.Context(), "import", nil)
	if err != nil || len(freed) != 4 {
		t.Errorf("freed %v, %v", freed, err)
	}
	wantBlocked(t, "released", fake, in1)
}
