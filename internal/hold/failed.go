package hold

import (
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// Unannounced returns the leases that wait and of which no notice was queued.
func (h *Holder) Unannounced() (unannounced []lease.Lease, err error) {
	err = h.Leases.Each(func(l lease.Lease) error {
		if l.State == lease.Waiting && !l.Announced {
			unannounced = append(unannounced, l)
		}
		return nil
	})
	slices.SortFunc(unannounced, lease.Lease.Compare)
	return unannounced, err
}

// Announced notes that notices of leases that wait were queued: one each, however often it is renewed.
func (h *Holder) Announced(leases []lease.Lease) error {
	return h.Leases.Update(func(tx *lease.Tx) error {
		for _, seen := range leases {
			on, err := tx.On(seen.Target)
			if err != nil {
				return err
			}
			for _, l := range on {
				if l.Program != seen.Program || l.State != lease.Waiting {
					continue
				}
				l.Announced = true
				if err := tx.Put(l); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
