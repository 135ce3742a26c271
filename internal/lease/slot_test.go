package lease

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzSlot: what is written is read back, whatever the texts; and of bytes that nobody
// wrote, nothing is read as a lease.
func FuzzSlot(f *testing.F) {
	f.Add("firewall-drop.sh", "5712", "1304756247.60385", "root", []byte{203, 0, 113, 7}, int64(1795422839), 7, "boot", true)
	f.Add("", "", "", strings.Repeat("u", 500), bytes.Repeat([]byte{0x20}, 16), int64(0), 0, "", false)
	f.Fuzz(func(t *testing.T, program, rule, alert, user string, ip []byte, nano int64, pid int, boot string, lifting bool) {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok || len(program) > maxName {
			return
		}
		l := Lease{Addr: addr.Unmap(), Program: program, RuleID: rule, AlertID: alert, User: user, Lifting: lifting, Renewed: time.Unix(0, nano).UTC()}
		if nano == 0 {
			l.Renewed = time.Time{}
		}
		if pid != 0 && len(boot) <= 36 {
			l.Daemon = &Daemon{Name: "wazuh-execd", PID: int(int32(pid)), Start: uint64(nano), Boot: boot}
		}
		slot, err := encode(l)
		if err != nil {
			t.Fatal(err)
		}
		got, used, err := decode(slot[:])
		if err != nil || !used {
			t.Fatalf("%v, %v", used, err)
		}
		room := slotSize - atTexts - len(program)
		if l.Daemon != nil {
			room -= len(l.Daemon.Name) + len(boot)
		}
		for _, text := range []*string{&l.RuleID, &l.AlertID, &l.User} { // of an overlong one the beginning is kept
			*text = (*text)[:min(len(*text), room)]
			room -= len(*text)
		}
		if d := cmp.Diff(l, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Error(d)
		}
		for i := range slot {
			slot[i] ^= 1 << (i % 8)
			if l, used, err := decode(slot[:]); err == nil {
				t.Fatalf("byte %d is wrong, and it reads as %+v, %v", i, l, used)
			}
			slot[i] ^= 1 << (i % 8)
		}
	})
}
