package kernel

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// strayTools are programs of a host: iptables is of that variant, "" for none, and
// iptables-legacy is there besides.
func strayTools(t *testing.T, variant string) (dir string) {
	t.Helper()
	if dir = t.TempDir(); variant != "" {
		dir = chooseVariant(t, variant)
	}
	for _, name := range []string{"iptables-legacy", "iptables-legacy-restore", "ip6tables-legacy", "ip6tables-legacy-restore"} {
		if err := os.Symlink(Program(t, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// eachStray calls do where five addresses of each family and the attacker's are blocked by
// rules of an iptables that was then uninstalled, or made to mean the other variant.
func eachStray(t *testing.T, do func(t *testing.T, next func(backend string) *firewall.Firewall, attacker, victim *Host, all []netip.Addr)) {
	for name, variant := range map[string][2]string{
		"nft uninstalled": {"nft", ""}, "nft to legacy": {"nft", "legacy"}, "legacy to nft": {"legacy", "nft"}, "legacy uninstalled": {"legacy", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			needTables(t)
			attacker, victim := Hosts(t)
			all := []netip.Addr{attacker.V4, attacker.V6}
			for i := range 5 {
				all = append(all, address(i), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)}))
			}
			old := newFirewall(t, strayTools(t, variant[0]))
			for _, addr := range all {
				blockAddr(t, old, addr)
			}
			tools := strayTools(t, variant[1])
			do(t, func(backend string) *firewall.Firewall {
				return newFirewall(t, tools, func(o *firewall.Options) { o.Backend, o.MaxRules = backend, 512 })
			}, attacker, victim, all)
		})
	}
}

// pinged tells whether each family of the victim answers.
func pinged(t *testing.T, attacker, victim *Host, want bool) {
	t.Helper()
	wait := 300 * time.Millisecond
	if want {
		wait = patience
	}
	for _, to := range []netip.Addr{victim.V4, victim.V6} {
		if err := attacker.Ping(t, to, wait); (err == nil) != want {
			t.Errorf("ping to %s: %v, want an answer: %v", to, err, want)
		}
	}
}

func lists(t *testing.T, e *firewall.Firewall, want int, misplaced bool) {
	t.Helper()
	blocks, err := e.List(t.Context())
	if err != nil || len(blocks) != want {
		t.Fatalf("%d listed, %v; want %d", len(blocks), err, want)
	}
	for _, b := range blocks {
		if b.Misplaced != misplaced {
			t.Errorf("%s is listed as misplaced: %v, want %v", b.Addr, b.Misplaced, misplaced)
		}
	}
}

// TestFirewallStrays: what is blocked by an iptables that is not in use any more is listed,
// found by check, lifted, moved and flushed like all else.
func TestFirewallStrays(t *testing.T) {
	eachStray(t, func(t *testing.T, next func(string) *firewall.Firewall, attacker, victim *Host, all []netip.Addr) {
		for _, backend := range []string{firewall.Auto, firewall.NFTables} {
			e := next(backend)
			lists(t, e, len(all), true)
			if e.Missing(t.Context(), attacker.V4) {
				t.Errorf("%s misses what is blocked", backend)
			}
		}
		e := next(firewall.Auto)
		var found string
		for _, f := range e.Inspect(t.Context(), "") {
			if f.Verdict == enforcer.Warn {
				found += f.Found + "\n"
			}
		}
		if n := strings.Count(found, "not in use any more, but 6 rules of it"); n != 2 {
			t.Errorf("%d findings, want one for each family:\n%s", n, found)
		}
		pinged(t, attacker, victim, false)
		for _, addr := range []netip.Addr{attacker.V4, attacker.V6} {
			if err := e.Unblock(t.Context(), addr); err != nil {
				t.Fatal(err)
			}
		}
		pinged(t, attacker, victim, true)
		lists(t, e, len(all)-2, true)
		if err := e.UnblockAll(t.Context(), all[2:4], nil); err != nil {
			t.Fatal(err)
		}
		lists(t, e, len(all)-4, true)
		if err := e.BlockAll(t.Context(), all, nil); err != nil {
			t.Fatal(err)
		}
		pinged(t, attacker, victim, false)
		lists(t, e, len(all), false)
	})
}

// TestFirewallStraysFlushed: flush leaves nobody blocked.
func TestFirewallStraysFlushed(t *testing.T) {
	eachStray(t, func(t *testing.T, next func(string) *firewall.Firewall, attacker, victim *Host, _ []netip.Addr) {
		e := next(firewall.Auto)
		if err := e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		lists(t, e, 0, false)
		pinged(t, attacker, victim, true)
	})
}

// TestFirewallStrayWithoutItsProgram: the old iptables's table takes its program; without,
// nobody is told that the address is free.
func TestFirewallStrayWithoutItsProgram(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needTables(t)
	blockAddr(t, newFirewall(t, chooseVariant(t, "legacy")), address(1))
	e := newFirewall(t, t.TempDir(), func(o *firewall.Options) { o.Backend, o.MaxRules = firewall.Auto, 512 })
	for name, err := range map[string]error{
		"Unblock": e.Unblock(t.Context(), address(1)), "Flush": e.Flush(t.Context()), "UnblockAll": e.UnblockAll(t.Context(), []netip.Addr{address(1)}, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "a rule of the old iptables blocks: iptables-legacy in ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.Unblock(t.Context(), address(2)); err != nil {
		t.Errorf("what is not blocked: %v", err)
	}
}
