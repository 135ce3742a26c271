package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// Inspect returns what is wrong with all that blocks rest on, for `ossec-ar check`. It changes
// nothing; what is looked at is in the kernel and not below the root that is given.
func (e *Firewall) Inspect(ctx context.Context, _ string) (found []enforcer.Finding) {
	ctx, cancel := e.within(ctx, whole)
	defer cancel()
	for _, v6 := range []bool{false, true} {
		s := e.side(ctx, v6)
		if !errors.Is(s.absent, errAbsent) {
			found = append(found, s.inspect(ctx)...)
		}
		s.kernel.close()
	}
	return found
}

func (s *side) inspect(ctx context.Context) []enforcer.Finding {
	what := "firewall, IPv4"
	if s.v6 {
		what = "firewall, IPv6"
	}
	fault := func(found, mend string) enforcer.Finding {
		return enforcer.Finding{What: what, Verdict: enforcer.Fault, Found: found, Mend: mend}
	}
	if s.absent != nil {
		return []enforcer.Finding{fault(s.absent.Error()+": attackers that come by it are not blocked",
			"install iptables with the system's package manager")}
	}
	l, err := s.list(ctx)
	switch {
	case err != nil && os.Geteuid() != 0:
		return []enforcer.Finding{fault(err.Error(), "run it as root")}
	case errors.Is(err, errAbsent):
		return nil
	case err != nil:
		return []enforcer.Finding{fault(err.Error(),
			"load the kernel's modules: modprobe nf_tables, or iptable_filter, ip_set_hash_ip")}
	}
	var found []enforcer.Finding
	for _, why := range l.Faults {
		found = append(found, fault(why, "ossec-ar repair"))
	}
	switch b := s.used.(type) {
	case auto:
		if err := b.set.trouble(ctx); err != nil { // all become rules
			found = append(found, enforcer.Finding{What: what, Verdict: enforcer.Warn,
				Found: err.Error(), Mend: mendOf(err)})
		}
	case set:
		err = b.trouble(ctx)
	case table:
		err = b.trouble(ctx)
	}
	if err != nil {
		found = append(found, fault(err.Error(), mendOf(err)))
	}
	if len(found) == 0 {
		found = append(found, enforcer.Finding{
			What: what, Verdict: enforcer.OK,
			Found: fmt.Sprintf("%d addresses are blocked by %s", len(l.Blocks), s.used.name()),
		})
	}
	return found
}

func mendOf(trouble error) string {
	if errors.Is(trouble, ErrFull) {
		return "raise max_addresses in [firewall] of etc/active-response.toml"
	}
	return "rename or delete it"
}

// trouble returns what keeps addresses out of the set.
func (s set) trouble(ctx context.Context) error {
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return err
	}
	h, err := s.ipset().header(k)
	switch {
	case err != nil || h == nil:
		return err
	case h.foreign == nil && h.members >= s.opts.MaxAddresses:
		return fmt.Errorf("%w: set %s has %d members", ErrFull, setName(s.v6), h.members)
	}
	return h.foreign
}

// trouble returns what keeps addresses out of the table.
func (t table) trouble(ctx context.Context) error {
	k, err := t.kernel.dial(ctx)
	if err == nil {
		_, err = t.setExists(k, t.v6)
	}
	if err == nil {
		err = t.checkChains(k)
	}
	return err
}
