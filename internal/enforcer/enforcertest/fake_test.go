package enforcertest_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

var (
	one = target.MustParse("203.0.113.7")
	two = target.MustParse("2001:db8::7")
)

func TestFakeKeepsTheContract(t *testing.T) { enforcertest.Contract(t, enforcertest.NewFake()) }

func TestFakeFails(t *testing.T) {
	ctx := t.Context()
	boom := errors.New("boom")
	f := enforcertest.NewFake()
	f.Fail("List", boom)
	if _, err := f.List(ctx); !errors.Is(err, boom) {
		t.Errorf("List: %v, want boom", err)
	}
	f.Fail("List", nil)
	f.FailAddr(one, boom)
	if _, err := f.Block(ctx, one, enforcer.Known{}); !errors.Is(err, boom) {
		t.Errorf("Block: %v, want boom", err)
	}
	if err := f.BlockAll(ctx, []target.Target{one, two}); !errors.Is(err, boom) {
		t.Errorf("BlockAll: %v, want boom", err)
	}
	if got := f.Blocked(); !slices.Equal(got, []target.Target{two}) {
		t.Errorf("blocked %v, want the other one", got)
	}
	f.FailAddr(one, nil)
	f.Room = 1
	if _, err := f.Block(ctx, one, enforcer.Known{}); !errors.Is(err, enforcer.ErrFull) {
		t.Errorf("Block where there is no room: %v, want ErrFull", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.Unblock(ended, two); !errors.Is(err, context.Canceled) {
		t.Errorf("Unblock after its time: %v", err)
	}
	want := []string{"List", "Block 203.0.113.7", "BlockAll 203.0.113.7 2001:db8::7", "Block 203.0.113.7", "Unblock 2001:db8::7"}
	if got := f.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestFakeLoses(t *testing.T) {
	ctx := t.Context()
	f := enforcertest.NewFake()
	block := func(addr target.Target, made bool) {
		t.Helper()
		if out, err := f.Block(ctx, addr, enforcer.Unknown); err != nil || out.Made != made {
			t.Fatalf("Block(%s): made %v, %v; want made %v", addr, out.Made, err, made)
		}
	}
	block(one, true)
	f.Lose()
	block(two, false)
	f.Bypass()
	listing, err := f.List(ctx)
	if err != nil || len(listing.Faults) != 1 || len(listing.Blocks) != 1 || listing.Blocks[0].Open == "" {
		t.Errorf("bypassed: %+v, %v; want a fault and an open block", listing, err)
	}
	if changes, err := f.Mend(ctx); err != nil || len(changes) != 1 {
		t.Errorf("Mend: %q, %v", changes, err)
	}
	block(one, false)
	f.Bypass()
	block(one, true)
	f.LosePlace()
	if got := f.Blocked(); len(got) != 0 {
		t.Errorf("blocked %v after the place went, want nothing", got)
	}
	block(one, true)
}
