package kernel

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestFirewallBulk: 100,000 in a few seconds, both ways; of rules, which each packet has
// to go through and iptables to look through, fewer.
func TestFirewallBulk(t *testing.T) {
	for _, w := range ways() {
		n := 100_000
		switch {
		case strings.HasPrefix(w.name, "auto with "):
			continue
		case w.backend == firewall.IPTables, testing.Short():
			n = 4000
		}
		t.Run(w.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			e, _ := w.on(t)
			addrs := manyAddresses(n)
			steps := []struct {
				name string
				want int
				do   func() error
			}{
				{"BlockAll", n, func() error { return e.BlockAll(t.Context(), targets(addrs)) }},
				{"BlockAll again", n, func() error { return e.BlockAll(t.Context(), targets(addrs)) }},
				{"Mend", n, func() error { _, err := e.Mend(t.Context()); return err }},
				{"UnblockAll of half", n / 2, func() error { return e.UnblockAll(t.Context(), targets(addrs[:n/2])) }},
				{"UnblockAll", 0, func() error { return e.UnblockAll(t.Context(), targets(addrs)) }},
			}
			for _, step := range steps {
				start := time.Now()
				if err := step.do(); err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				took := time.Since(start)
				t.Logf("%s of %d: %s", step.name, n, took)
				if took > 2*patience {
					t.Errorf("%s took %s", step.name, took)
				}
				if blocks, faults := standing(t, e); len(blocks) != step.want || len(faults) > 0 {
					t.Fatalf("after %s %d are listed, want %d; faults %q", step.name, len(blocks), step.want, faults)
				}
			}
		})
	}
}

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
	must(t, e.BlockAll(t.Context(), targets(addrs)))
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { churn(t, done) })
	const n = 50
	for _, addr := range addrs[:n] {
		if err := e.Unblock(t.Context(), target.Of(addr)); err != nil {
			t.Error(err)
		}
	}
	close(done)
	others.Wait()
	if blocks, _ := standing(t, e); len(blocks) != len(addrs)-n {
		t.Errorf("%d are blocked, want %d", len(blocks), len(addrs)-n)
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
