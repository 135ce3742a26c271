package hold_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestEscalate: who is blocked for the third time within a week stays blocked when the daemon's
// timeout ends, until its own time is over or somebody frees it.
func TestEscalate(t *testing.T) {
	h, fake := newHolder(t, false)
	at := now
	h.Now = func() time.Time { return at }
	const day = 24 * time.Hour
	h.Escalate = []config.Step{
		{After: 3, Within: config.Duration{Duration: 7 * day}, Block: config.Duration{Duration: 30 * day}},
		{After: 4, Within: config.Duration{Duration: 60 * day}, Block: config.Duration{Duration: 90 * day}},
	}
	block := func(program string) hold.Taken {
		t.Helper()
		taken, err := h.Take(t.Context(), lease.Lease{Target: addr(1), Program: program, Since: at, Renewed: at})
		if err != nil || taken.LeaseErr != nil {
			t.Fatal(err, taken.LeaseErr)
		}
		return taken
	}
	lift := func() hold.Released {
		t.Helper()
		released, err := h.Release(t.Context(), addr(1), "firewall-drop.sh")
		if err != nil {
			t.Fatal(err)
		}
		return released
	}
	for range 2 {
		if taken := block("firewall-drop.sh"); !taken.Until.IsZero() {
			t.Errorf("held until %s at once", taken.Until)
		}
		block("firewall-drop.sh") // again while it is blocked: that is no further block
		block("custom-firewall-drop.sh")
		if _, err := h.Release(t.Context(), addr(1), "custom-firewall-drop.sh"); err != nil {
			t.Fatal(err)
		}
		lift()
		wantBlocked(t, "after the timeout", fake)
		at = at.Add(day)
	}
	if taken := block("firewall-drop.sh"); !taken.Until.Equal(at.Add(30 * day)) {
		t.Errorf("the third block is held until %s", taken.Until)
	}
	released := lift()
	if !released.Held() {
		t.Errorf("the end of the timeout freed it: %+v", released)
	}
	wantBlocked(t, "after the third timeout", fake, addr(1))
	on, err := h.Leases.On(addr(1))
	if err != nil || len(on) != 1 || on[0].Program != hold.Escalation || !strings.Contains(on[0].Reason, "blocked 3 times") {
		t.Errorf("%+v, %v", on, err)
	}
	if _, err := h.Free(t.Context(), addr(1)); err != nil {
		t.Fatal(err)
	}
	wantBlocked(t, "freed by hand", fake)

	for range 4 { // an account is somebody's who did nothing
		mallory := target.Account("mallory")
		taken, err := h.Take(t.Context(), lease.Lease{Target: mallory, Program: "x", Since: at, Renewed: at})
		if err != nil || !taken.Until.IsZero() {
			t.Errorf("an account is held until %s, %v", taken.Until, err)
		}
		if _, err := h.Release(t.Context(), mallory, "x"); err != nil {
			t.Fatal(err)
		}
	}

	// Blocks that were noted while the clock was years ahead do not count for all those years.
	ahead := target.MustParse("203.0.113.7")
	for _, years := range []time.Duration{20, 20, 20, 0} {
		when := at.Add(years * 365 * day)
		h.Now = func() time.Time { return when }
		taken, err := h.Take(t.Context(), lease.Lease{Target: ahead, Program: "x", Since: when, Renewed: when})
		if err != nil || years == 0 && !taken.Until.IsZero() {
			t.Errorf("when the clock is right again it is held until %s, %v", taken.Until, err)
		}
		if _, err := h.Free(t.Context(), ahead); err != nil {
			t.Fatal(err)
		}
	}
	h.Now = func() time.Time { return at }

	at = at.Add(20 * day)
	if taken := block("firewall-drop.sh"); !taken.Until.Equal(at.Add(90 * day)) {
		t.Errorf("the fourth block within the second step is held until %s", taken.Until)
	}
}
