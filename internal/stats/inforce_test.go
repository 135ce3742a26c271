package stats

import (
	"testing"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// An address that two hold counts once, a network as one, and an account as what it is.
func TestInForceTargets(t *testing.T) {
	in := &InForce{}
	for _, on := range []target.Target{target.Account("mallory"), target.MustParse("203.0.113.7"),
		target.MustParse("2001:db8::/64"), target.MustParse("203.0.113.7")} {
		in.Leases = append(in.Leases, leased("x", lease.Lease{Target: on}))
	}
	in.count()
	if in.Addresses != 2 || in.Accounts != 1 {
		t.Errorf("%+v", in)
	}
	if l := in.Leases[2]; l.Address != "2001:db8::/64" || l.Account != "" {
		t.Errorf("%+v", l)
	}
	if l := in.Leases[3]; l.Address != "" || l.Account != "mallory" || l.Rule != NoRule {
		t.Errorf("%+v", l)
	}
}
