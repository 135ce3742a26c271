package firewall

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// Inspect returns what is wrong with all that blocks rest on, for `ossec-ar check`: in the kernel, and
// in saved rules below root. It changes nothing.
func (e *Firewall) Inspect(ctx context.Context, root string) (found []enforcer.Finding) {
	ctx, cancel := e.within(ctx, whole)
	defer cancel()
	for _, v6 := range []bool{false, true} {
		s := e.side(ctx, v6)
		if !errors.Is(s.absent, errAbsent) {
			found = append(found, s.inspect(ctx)...)
		}
		s.kernel.close()
	}
	return append(found, saved(root)...)
}

func (s *side) inspect(ctx context.Context) []enforcer.Finding {
	what := "firewall, IPv4"
	if s.v6 {
		what = "firewall, IPv6"
	}
	fault := func(found, mend string) enforcer.Finding {
		return enforcer.Finding{What: what, Verdict: enforcer.Fault, Found: found, Mend: mend}
	}
	wrong := func(verdict enforcer.Verdict, text string, err error) enforcer.Finding {
		cause, mend := s.cause(err)
		if cause != "" {
			text = cause + ": " + text
		}
		return enforcer.Finding{What: what, Verdict: verdict, Found: text, Mend: mend}
	}
	if s.absent != nil {
		return []enforcer.Finding{wrong(enforcer.Fault,
			s.absent.Error()+": attackers that come by it are not blocked", s.absent)}
	}
	l, err := s.list(ctx)
	if s.fallBack(ctx, err) {
		l, err = s.list(ctx)
	}
	switch {
	case errors.Is(err, errAbsent):
		return nil
	case err != nil:
		return []enforcer.Finding{wrong(enforcer.Fault, err.Error(), err)}
	}
	var found []enforcer.Finding
	if s.instead != nil {
		found = append(found, enforcer.Finding{
			What: what, Verdict: enforcer.Warn, Mend: s.insteadMend,
			Found: fmt.Sprintf("addresses are blocked by %s, for iptables cannot work: %v", s.used.name(), s.instead),
		})
	}
	for _, why := range l.Faults {
		found = append(found, fault(why, "ossec-ar repair"))
	}
	switch b := s.used.(type) {
	case auto:
		if err := b.set.trouble(ctx); err != nil { // all become rules
			found = append(found, wrong(enforcer.Warn, err.Error()+": further addresses become rules", err))
		}
	case set:
		err = b.trouble(ctx)
	case table:
		err = b.trouble(ctx)
	}
	if err != nil {
		found = append(found, wrong(enforcer.Fault, err.Error(), err))
	}
	if their := s.their(ctx); their.has && their.unused != "" {
		found = append(found, enforcer.Finding{
			What: what, Verdict: enforcer.Warn, Mend: their.mendBy(),
			Found: fmt.Sprintf("%s is not used: %s", their.name(), their.unused),
		})
	}
	if len(found) == 0 {
		found = append(found, enforcer.Finding{
			What: what, Verdict: enforcer.OK,
			Found: fmt.Sprintf("addresses blocked by %s: %d", s.used.name(), len(l.Blocks)),
		})
	}
	return found
}

// trouble returns what keeps addresses out of the set.
func (s set) trouble(ctx context.Context) error {
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return err
	}
	if !knowsSets(k) {
		return errNoSets
	}
	h, err := s.ipset().header(k)
	switch {
	case err != nil || h == nil:
		return err
	case h.foreign == nil && h.members >= s.opts.MaxAddresses:
		return fmt.Errorf("%w: set %s has %d members", enforcer.ErrFull, setName(s.v6), h.members)
	}
	return h.foreign
}

// trouble returns what keeps addresses out of the table.
func (t table) trouble(ctx context.Context) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	sets, err := ourSets(k)
	if err != nil {
		return err
	}
	return checkChains(k, sets)
}
