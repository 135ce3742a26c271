// Package enforcertest holds the contract of package enforcer as a test. The
// fakes run it always and the kernel runs it in e2e/kernel, so that a fake
// cannot drift from what it stands for.
package enforcertest

import (
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
		}
		slices.SortFunc(got, netip.Addr.Compare)
		slices.SortFunc(addrs, netip.Addr.Compare)
		if d := cmp.Diff(addrs, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%s: in force (-want +got):\n%s", step, d)
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

	if line := e.Describe(v4); !strings.Contains(line, v4.String()) || strings.Contains(line, "\n") {
		t.Errorf("Describe(%s) = %q, want one line that names it", v4, line)
	}
}
