package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMaintainMany: a long list is imported, somebody takes all of it away as a whole, and
// one maintain puts it back in bulk; unimport takes it out again.
func TestMaintainMany(t *testing.T) {
	takeAway := map[string]string{
		"iptables-nft": "iptables -w -F", "iptables-legacy": "iptables -w -F; iptables -w -X",
		"ipset": "iptables -w -F; ipset destroy", "auto": "iptables -w -F; ipset destroy",
		"nftables": "nft delete table inet ossec_ar", "route-null": "ip route flush table main",
		"host-deny": ": >/etc/hosts.deny",
	}
	for _, b := range blockers() {
		n := 12_000          // more than two parts of those that are changed in one go
		if b.variant != "" { // each packet goes through them, and so does iptables
			n = 1000
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := b.set(t)
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
			}
			list := filepath.Join(t.TempDir(), "list")
			must(t, os.WriteFile(list, []byte(text.String()), 0o600))
			step := func(args ...string) string {
				t.Helper()
				began := time.Now()
				out := person(t, program, args...)
				if took := time.Since(began); took > patience {
					t.Errorf("%q took %s", args, took)
				}
				return out
			}
			step("import", list)
			agrees(t, program)
			shell(t, takeAway[b.name])
			if got := inForce(t, program); got != 0 {
				t.Fatalf("%d are left", got)
			}
			again := fmt.Sprintf("mended: blocked %d addresses again that were not in force\n", n)
			if got := heals(t, program); !strings.HasSuffix(got, again) {
				t.Errorf("maintain logs %.2000s", got)
			}
			if got := inForce(t, program); got != n {
				t.Errorf("%d are in force, want %d", got, n)
			}
			step("unimport")
			wantNone(t, "unimport", program)
		})
	}
}
