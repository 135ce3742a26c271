package kernel

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/google/nftables"
)

// TestFirewallUnblocksBesideOthers: others change tables of theirs all the time, so that no
// list of a long chain comes through in one piece, and each address is lifted all the same.
func TestFirewallUnblocksBesideOthers(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needTables(t)
	e := newFirewall(t, chooseVariant(t, "nft"))
	var addrs []netip.Addr
	for i := range 2000 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}))
	}
	if err := e.BlockAll(t.Context(), addrs, nil); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { churn(t, done) })
	const n = 50
	for _, addr := range addrs[:n] {
		if err := e.Unblock(t.Context(), addr); err != nil {
			t.Error(err)
		}
	}
	close(done)
	others.Wait()
	if blocks, err := e.List(t.Context()); err != nil || len(blocks) != len(addrs)-n {
		t.Errorf("%d are blocked, %v; want %d", len(blocks), err, len(addrs)-n)
	}
}

// churn makes and deletes a chain of another table until it is done.
func churn(t *testing.T, done <-chan struct{}) {
	kernel, err := nftables.New()
	if err != nil {
		t.Error(err)
		return
	}
	table := kernel.AddTable(&nftables.Table{Name: "another", Family: nftables.TableFamilyIPv4})
	for {
		select {
		case <-done:
			return
		default:
		}
		chain := kernel.AddChain(&nftables.Chain{Name: "chain", Table: table})
		if err := kernel.Flush(); err != nil {
			t.Error(err)
			return
		}
		kernel.DelChain(chain)
		if err := kernel.Flush(); err != nil {
			t.Error(err)
			return
		}
	}
}
