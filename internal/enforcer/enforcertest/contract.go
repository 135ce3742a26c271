// Package enforcertest holds the contract of package enforcer as a test, and a fake that
// passes it. The fake runs it always and the kernel runs it in e2e/kernel, so that the fake
// cannot drift from what it stands for.
package enforcertest

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Contract checks what Enforcer promises, on one that blocks nothing yet. It leaves it so.
func Contract(t *testing.T, e enforcer.Enforcer) {
	t.Helper()
	all := []target.Target{target.MustParse("203.0.113.7"), target.MustParse("203.0.113.70"),
		target.MustParse("2001:db8::7")}
	for i := range 20 {
		all = append(all,
			target.Of(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 100)})),
			target.Of(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 100)})))
	}
	ContractOf(t, e, all)
}

// ContractOf is Contract about these targets, 40 at least, of which the first begins the second.
func ContractOf(t *testing.T, e enforcer.Enforcer, all []target.Target) {
	t.Helper()
	c := contract{t: t, e: e, one: all[0], near: all[1], other: all[2], all: all[3:]}
	c.single()
	c.stale()
	c.many()
	if c.other.Is6() {
		c.networks()
	}
	if line := e.Describe(c.one); !strings.Contains(line, c.one.String()) || strings.Contains(line, "\n") {
		t.Errorf("Describe(%s) = %q, want one line that names it", c.one, line)
	}
}

type contract struct {
	t                *testing.T
	e                enforcer.Enforcer
	one, near, other target.Target
	all              []target.Target
}

// single checks blocks that are made and lifted one at a time.
func (c contract) single() {
	c.t.Helper()
	c.want("at the start")
	c.sound("mending what was never made")
	c.want("mending what was never made")
	c.unblock(c.one)
	c.want("unblocking what was never blocked")
	if out := c.block(c.one, enforcer.Known{}); out.Already {
		c.t.Error("the first Block reports that the address was in force already")
	}
	c.want("first block", c.one)
	if out := c.block(c.one, enforcer.Known{Leased: true}); out.Made {
		c.t.Error("a second Block reports that it made the place of the first")
	}
	c.want("blocking twice", c.one)
	if out := c.block(c.near, enforcer.Known{Others: 1}); out.Made {
		c.t.Error("Block of a second address reports that it made the place of the first")
	}
	c.block(c.other, enforcer.Unknown)
	c.want("neighbour and another", c.one, c.near, c.other)
	c.sound("mending what is sound")
	c.want("mending what is sound", c.one, c.near, c.other)
	c.unblock(c.one)
	c.want("unblocking one", c.near, c.other)
	c.unblock(c.one)
	c.want("unblocking it again", c.near, c.other)
	c.unblock(c.other)
	c.want("unblocking the other", c.near)
	c.block(c.one, enforcer.Known{Others: 1})
	c.block(c.other, enforcer.Known{Leased: true})
	c.flush()
	c.want("flush")
	c.sound("mending after a flush")
	c.flush()
	c.want("flushing again")
	if out := c.block(c.one, enforcer.Known{Leased: true}); out.Already {
		c.t.Error("Block after a flush reports that the address was in force already")
	}
	c.want("block after flush", c.one)
	c.unblock(c.one)
	c.want("the end")
}

// stale checks that what the leases say may be wrong: other processes and people are about.
func (c contract) stale() {
	c.t.Helper()
	c.block(c.one, enforcer.Known{Leased: true, Others: 1000})
	c.block(c.one, enforcer.Known{})
	c.block(c.other, enforcer.Known{Others: 1000})
	c.block(c.other, enforcer.Known{})
	c.want("blocked though the leases know it not", c.one, c.other)
	c.unblock(c.one)
	c.want("unblocking what may stand twice", c.other)
	c.unblock(c.other)
	c.want("the end")
}

// networks checks that a network is blocked beside its addresses, as one thing of its own.
func (c contract) networks() {
	c.t.Helper()
	net64, net48 := target.MustParse("2001:db8::/64"), target.MustParse("2001:db8::/48")
	first := target.MustParse("2001:db8::") // of both
	for _, network := range []target.Target{net64, net48, target.MustParse("2001:db8::/56")} {
		c.block(network, enforcer.Known{})
		c.want("a network", network)
		c.sound("mending a network")
		c.block(network, enforcer.Known{Leased: true})
		c.want("a network twice", network)
		c.block(c.other, enforcer.Known{Leased: true})
		c.block(first, enforcer.Known{})
		c.want("addresses in it", network, c.other, first)
		c.unblock(c.other)
		c.unblock(c.other)
		c.want("an address in it freed", network, first)
		c.unblock(network)
		c.want("the network freed", first)
		c.unblock(network)
		c.unblock(first)
		c.want("all freed")
	}
	all := []target.Target{net64, net48, c.other, first, target.MustParse("2001:db8:0:1::/64"), c.one}
	if err := c.e.BlockAll(c.t.Context(), all); err != nil {
		c.t.Fatal(err)
	}
	c.want("many of both kinds", all...)
	if err := c.e.UnblockAll(c.t.Context(), all[1:3]); err != nil {
		c.t.Fatal(err)
	}
	c.want("some of both kinds freed", append(all[3:], net64)...)
	c.flush()
	c.want("flushed")
}

// many checks BlockAll and UnblockAll.
func (c contract) many() {
	c.t.Helper()
	all, most := c.all, len(c.all)*3/4
	blockAll := func(addrs ...target.Target) {
		c.t.Helper()
		if err := c.e.BlockAll(c.t.Context(), slices.Clone(addrs)); err != nil {
			c.t.Fatalf("BlockAll of %d: %v", len(addrs), err)
		}
	}
	unblockAll := func(addrs ...target.Target) {
		c.t.Helper()
		if err := c.e.UnblockAll(c.t.Context(), slices.Clone(addrs)); err != nil {
			c.t.Fatalf("UnblockAll of %d: %v", len(addrs), err)
		}
	}
	blockAll()
	unblockAll()
	unblockAll(all...)
	c.want("unblocking many that were never blocked")
	c.block(all[0], enforcer.Known{})
	blockAll(all[:most]...)
	c.want("many, one of them blocked already", all[:most]...)
	blockAll(append(slices.Clone(all), all...)...)
	c.want("more, all of them twice", all...)
	c.sound("mending many")
	c.want("mending many", all...)
	c.unblock(all[1])
	c.want("one of many unblocked", append(slices.Clone(all[:1]), all[2:]...)...)
	unblockAll(append(slices.Clone(all[:10]), all[:10]...)...)
	c.want("some of many unblocked", all[10:]...)
	blockAll(all...)
	unblockAll(all...)
	c.want("all unblocked")
	blockAll(all...)
	c.flush()
	c.want("many flushed")
}

// want checks that just these addresses are in force and nothing is wrong.
func (c contract) want(step string, addrs ...target.Target) {
	c.t.Helper()
	listing, err := c.e.List(c.t.Context())
	if err != nil {
		c.t.Fatalf("%s: List: %v", step, err)
	}
	if len(listing.Faults) > 0 {
		c.t.Errorf("%s: faults %q, want none", step, listing.Faults)
	}
	var got []target.Target
	for _, b := range listing.Blocks {
		got = append(got, b.Target)
		if b.Open != "" {
			c.t.Errorf("%s: %s is open: %s", step, b.Target, b.Open)
		}
	}
	addrs = slices.SortedFunc(slices.Values(addrs), target.Target.Compare)
	slices.SortFunc(got, target.Target.Compare)
	if d := cmp.Diff(addrs, got, cmpopts.EquateComparable(target.Target{}), cmpopts.EquateEmpty()); d != "" {
		c.t.Fatalf("%s: stands (-want +got):\n%s", step, d)
	}
}

// sound checks that Mend finds nothing to change.
func (c contract) sound(step string) {
	c.t.Helper()
	changes, err := c.e.Mend(c.t.Context())
	if err != nil {
		c.t.Fatalf("%s: Mend: %v", step, err)
	}
	if len(changes) > 0 {
		c.t.Errorf("%s: Mend changed %q, want nothing", step, changes)
	}
}

func (c contract) block(addr target.Target, known enforcer.Known) enforcer.Outcome {
	c.t.Helper()
	out, err := c.e.Block(c.t.Context(), addr, known)
	if err != nil {
		c.t.Fatalf("Block(%s, %+v): %v", addr, known, err)
	}
	return out
}

func (c contract) unblock(addr target.Target) {
	c.t.Helper()
	c.call("Unblock", func(ctx context.Context) error { return c.e.Unblock(ctx, addr) })
}

func (c contract) flush() { c.t.Helper(); c.call("Flush", c.e.Flush) }

func (c contract) call(name string, f func(context.Context) error) {
	c.t.Helper()
	if err := f(c.t.Context()); err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
}
