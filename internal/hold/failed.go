package hold

import (
	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// Untold returns the leases that wait of which nobody was told.
func (h *Holder) Untold() (untold []lease.Lease, err error) {
	err = h.Leases.Each(func(l lease.Lease) error {
		if l.State == lease.Waiting && !l.Told {
			untold = append(untold, l)
		}
		return nil
	})
	return untold, err
}

// Told notes that people were told of leases that wait: of each once, however often it is renewed.
func (h *Holder) Told(leases []lease.Lease) error {
	return h.Leases.Update(func(tx *lease.Tx) error {
		for _, told := range leases {
			on, err := tx.On(told.Target)
			if err != nil {
				return err
			}
			for _, l := range on {
				if l.Program != told.Program || l.State != lease.Waiting {
					continue
				}
				l.Told = true
				if err := tx.Put(l); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
