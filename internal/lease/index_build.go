package lease

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/target"
)

// key is what is kept of each lease to put many in order: a tenth of it.
type key struct {
	target  target.Target
	program string
	slot    uint32
	bits    int8 // of the network that it keeps blocked, 0 for none
}

// keys returns a key for every lease.
func (t *table) keys() ([]key, error) {
	keys := make([]key, 0, t.capacity)
	programs := map[string]string{} // few, and each in memory once
	err := t.each(func(slot uint32, l Lease) error {
		program, ok := programs[l.Program]
		if !ok {
			program = l.Program
			programs[program] = program
		}
		k := key{target: l.Target, program: program, slot: slot}
		if l.holdsNet() {
			k.bits = int8(l.Net.Bits())
		}
		keys = append(keys, k)
		return nil
	})
	return keys, err
}

// buildIndex makes the index anew from the slots. Should a lease stand twice, the later one
// counts.
func (t *table) buildIndex(boot string) error {
	keys, err := t.keys()
	if err != nil {
		return err
	}
	x := t.index
	known := x.header.live[0] + x.header.live[1]
	ofThisFile := x.header.clean && x.header.table == t.id && x.header.boot == boot && boot != ""
	if ofThisFile && known > uint32(len(keys)) {
		return fmt.Errorf("%w: %d leases are gone from it", ErrDamaged, known-uint32(len(keys)))
	}
	x.reset(t, boot)
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(a.target.Compare(b.target), cmp.Compare(a.program, b.program), cmp.Compare(a.slot, b.slot))
	})
	renewed := func(k key) time.Time {
		l, _, _ := t.read(k.slot) // it could be read just now
		return l.Renewed
	}
	used := make([]bool, t.capacity)
	for i, k := range keys {
		x.header.next = max(x.header.next, k.slot+1)
		if last := max(i-1, 0); last < i && k.target == keys[last].target && k.program == keys[last].program {
			if renewed(k).Before(renewed(keys[last])) {
				keys[i], keys[last] = keys[last], k
			}
			used[keys[last].slot] = false
			t.pending[keys[last].slot] = nil
		}
		used[keys[i].slot] = true
	}
	for _, k := range keys {
		if used[k.slot] {
			x.add(k.target, k.slot)
			if k.bits > 0 {
				x.hold(&Lease{Net: netip.PrefixFrom(k.target.Addr(), int(k.bits)).Masked()})
			}
		}
	}
	for slot := x.header.next; slot > 0; slot-- {
		if !used[slot-1] {
			x.push(slot - 1)
		}
	}
	return nil
}
