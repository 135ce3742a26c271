// Package enforcertest holds the contract of package enforcer as a test. The
// fakes run it always and the kernel runs it in e2e/kernel, so that a fake
// cannot drift from what it stands for.
package enforcertest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// Contract checks all that Enforcer promises, on one that blocks nothing yet.
func Contract(t *testing.T, e enforcer.Enforcer) {
	t.Helper()
	ctx := t.Context()
	v4 := netip.MustParseAddr("203.0.113.7")
	near := netip.MustParseAddr("203.0.113.70")
	v6 := netip.MustParseAddr("2001:db8::7")

	want := func(step string, addrs ...netip.Addr) {
		t.Helper()
		blocks, err := e.List(ctx)
		if err != nil {
			t.Fatalf("%s: List: %v", step, err)
		}
		var got []netip.Addr
		for _, b := range blocks {
			got = append(got, b.Addr)
			if b.Idle != "" {
				t.Fatalf("%s: %s is idle: %s", step, b.Addr, b.Idle)
			}
		}
		slices.SortFunc(got, netip.Addr.Compare)
		slices.SortFunc(addrs, netip.Addr.Compare)
		if d := cmp.Diff(addrs, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%s: in force (-want +got):\n%s", step, d)
		}
		if prober, ok := e.(enforcer.Prober); ok {
			missing := func(addr netip.Addr) bool { return prober.Missing(ctx, addr) }
			if i := slices.IndexFunc(got, missing); i >= 0 {
				t.Fatalf("%s: %s is in force, and Missing says it is not", step, got[i])
			}
		}
	}
	block := func(addr netip.Addr, fresh bool) enforcer.Outcome {
		t.Helper()
		out, err := e.Block(ctx, addr, fresh)
		if err != nil {
			t.Fatalf("Block(%s): %v", addr, err)
		}
		return out
	}
	unblock := func(addr netip.Addr) {
		t.Helper()
		if err := e.Unblock(ctx, addr); err != nil {
			t.Fatalf("Unblock(%s): %v", addr, err)
		}
	}

	want("at the start")
	unblock(v4)
	want("unblocking what was never blocked")
	block(v4, false)
	want("first block", v4)
	if out := block(v4, false); out.Founded {
		t.Error("a second Block says that it founded the place of the first")
	}
	want("blocking twice", v4)
	block(near, true)
	block(v6, true)
	want("neighbour and IPv6", v4, near, v6)
	unblock(v4)
	want("unblocking one", near, v6)
	unblock(v4)
	want("unblocking it again", near, v6)
	unblock(v6)
	want("unblocking IPv6", near)
	block(v4, true)
	block(v6, false)
	if err := e.Flush(ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
	want("flush")
	block(v4, false)
	want("block after flush", v4)
	unblock(v4)
	want("the end")

	bulk(t, e, want)

	if line := e.Describe(v4); !strings.Contains(line, v4.String()) || strings.Contains(line, "\n") {
		t.Errorf("Describe(%s) = %q, want one line that names it", v4, line)
	}
}

// bulk checks BlockAll and UnblockAll on an enforcer that blocks nothing, and leaves
// it so.
func bulk(t *testing.T, e enforcer.Enforcer, want func(step string, addrs ...netip.Addr)) {
	t.Helper()
	ctx := t.Context()
	var all []netip.Addr
	for i := range 20 {
		all = append(all,
			netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}),
			netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)}))
	}
	do := func(name string, f func(context.Context, []netip.Addr, func(int)) error, addrs []netip.Addr) {
		t.Helper()
		last := 0
		progress := func(done int) {
			if done < last || done > len(addrs) {
				t.Errorf("%s of %d: progress tells %d after %d", name, len(addrs), done, last)
			}
			last = done
		}
		if err := f(ctx, addrs, progress); err != nil {
			t.Fatalf("%s of %d: %v", name, len(addrs), err)
		}
		if last != len(addrs) {
			t.Errorf("%s of %d: progress ends with %d", name, len(addrs), last)
		}
	}
	do("BlockAll", e.BlockAll, nil)
	do("UnblockAll", e.UnblockAll, nil)
	do("UnblockAll", e.UnblockAll, all)
	want("unblocking many that were never blocked")
	if _, err := e.Block(ctx, all[0], true); err != nil {
		t.Fatal(err)
	}
	do("BlockAll", e.BlockAll, all[:30])
	want("many, one of them blocked already", slices.Clone(all[:30])...)
	do("BlockAll", e.BlockAll, append(slices.Clone(all), all...))
	want("more, all of them twice", slices.Clone(all)...)
	if err := e.Unblock(ctx, all[1]); err != nil {
		t.Fatal(err)
	}
	want("one of many unblocked", append(slices.Clone(all[:1]), all[2:]...)...)
	do("UnblockAll", e.UnblockAll, append(slices.Clone(all[:10]), all[:10]...))
	want("some of many unblocked", slices.Clone(all[10:])...)
	if err := errors.Join(e.BlockAll(ctx, all, nil), e.UnblockAll(ctx, all, nil)); err != nil {
		t.Fatalf("without progress: %v", err)
	}
	want("all unblocked")
}
