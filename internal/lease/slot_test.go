package lease

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/internal/target"
)

// FuzzSlot: what is written is read back, whatever the texts; and of bytes that nobody
// wrote, nothing is read as a lease.
func FuzzSlot(f *testing.F) {
	f.Add("firewall-drop.sh", "5712", "1304756247.60385", "root", "", []byte{203, 0, 113, 7}, int64(1795422839), 7, "boot", byte(Held))
	f.Add("", "", "", strings.Repeat("u", 500), strings.Repeat("ü", 300), bytes.Repeat([]byte{0x20}, 16), int64(0), 0, "", byte(Lifting)|8)
	f.Fuzz(func(t *testing.T, program, rule, alert, user, reason string, ip []byte, nano int64, pid int, boot string, state byte) {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok || len(program) > maxName {
			return
		}
		l := Lease{Target: target.Of(addr.Unmap()), Program: program, RuleID: rule, AlertID: alert, User: user, Reason: reason, State: State(state % 3)}
		if addr = addr.Unmap(); addr.Is6() && state&8 != 0 {
			l.Net = netip.PrefixFrom(addr, 48+int(state>>4)).Masked()
		}
		if nano != 0 {
			l.Since, l.Renewed, l.Until = time.Unix(0, nano/2).UTC(), time.Unix(0, nano).UTC(), time.Unix(0, nano).UTC()
		}
		if nano/2 == 0 {
			l.Since = time.Time{}
		}
		if pid != 0 {
			l.Daemon = &Daemon{Name: "wazuh-execd", PID: int(int32(pid)), Start: uint64(nano), Boot: boot}
		}
		slot, err := encode(l)
		if err != nil {
			t.Fatal(err)
		}
		var sector [slotSize]byte
		copy(sector[:], slot)
		got, used, err := decode(sector[:])
		if short, _, err2 := decode(slot); err != nil || err2 != nil || !used || !cmp.Equal(got, short, cmpopts.EquateComparable(target.Target{}, netip.Prefix{})) {
			t.Fatalf("%v, %v, %v", used, err, err2)
		}
		daemon := &Daemon{}
		if l.Daemon != nil {
			daemon = l.Daemon
		}
		for _, field := range texts(&l, daemon) { // of an overlong one the beginning is kept
			kept := cut(*field.text, field.most)
			if !strings.HasPrefix(*field.text, kept) || len(kept) > field.most || len(kept) < min(len(*field.text), field.most-3) {
				t.Errorf("of %q %q is kept", *field.text, kept)
			}
			*field.text = kept
		}
		if d := cmp.Diff(l, got, cmpopts.EquateComparable(target.Target{}, netip.Prefix{})); d != "" {
			t.Error(d)
		}
		for i := range sector {
			sector[i] ^= 1 << (i % 8)
			if l, used, err := decode(sector[:]); err == nil {
				t.Fatalf("byte %d is wrong, and it reads as %+v, %v", i, l, used)
			}
			sector[i] ^= 1 << (i % 8)
		}
	})
}
