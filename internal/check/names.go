package check

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// named is an entry with host names in it, and where it stands.
type named struct {
	names []string
	place string
}

// nobody returns a finding for each name that protects nobody.
func (n named) nobody(dead map[string]error) []Finding {
	var found findings
	for _, name := range n.names {
		if err := dead[name]; err != nil {
			found.warn("write its addresses there",
				"%s: the host name %s has no address now, and so protects nobody: %v",
				n.place, quote(name), err)
		}
	}
	return found
}

// hostNames asks for the names of entries, in the time that maintain has for that, and for all
// others on the whitelist. It returns why those protect nobody that have no address, remembered
// or now, and what is known of the others.
func (h whiteList) hostNames(ctx context.Context, names []string) (dead map[string]error, known []Finding) {
	dead = map[string]error{}
	if !h.Settings.Whitelist.ResolveNames {
		for _, name := range names {
			dead[name] = errors.New("resolve_names is false")
		}
		return dead, nil
	}
	spelled := map[string][]string{} // by the name as it is asked for
	for _, name := range names {
		var list whitelist.List
		_ = list.Add(name, "") // its faults are told elsewhere
		for _, plain := range list.HostNames() {
			spelled[plain] = append(spelled[plain], name)
		}
	}
	whole, _ := neverblock.List(h.Home, h.Settings.Whitelist, h.Now())
	all := whole.HostNames() // the manager's, too
	for name := range spelled {
		all = append(all, name)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	remembered, err := neverblock.Names(h.Home)
	if err != nil {
		known = append(known, warn("remove it: maintain makes it anew", "%v", err))
	}
	answers := neverblock.Ask(ctx, h.Resolver, all, h.Settings.Whitelist.ResolveTimeout.Duration)
	for i, name := range all {
		finding, why := h.hostName(name, remembered[name], answers[i])
		if why == nil {
			known = append(known, finding)
		}
		for _, as := range spelled[name] {
			dead[as] = why
		}
	}
	return dead, known
}

// hostName says what is known of a name, or why it protects nobody.
func (h whiteList) hostName(name string, n neverblock.Name, a neverblock.Answer) (Finding, error) {
	counts := n.At(h.Now())
	ago := "never asked for before"
	if !n.Answered.IsZero() {
		ago = "as answered " + h.Now().Sub(n.Answered).Round(time.Second).String() + " ago"
	}
	switch {
	case len(counts) == 0 && len(a.Addrs) > 0:
		return warn("ossec-ar whitelist refresh; maintain does that each minute",
			"the host name %s is %s now, and protects nobody until that is remembered (%s)",
			quote(name), list(a.Addrs), ago), nil
	case len(counts) == 0 && a.Err != nil:
		return Finding{}, a.Err
	case len(counts) == 0:
		return Finding{}, errors.New("the name server knows none")
	case a.Err != nil:
		return warn("look after the name server", //nolint:nilerr // the fault is what is found
			"the host name %s gets no answer (%v); %s counts, %s",
			quote(name), a.Err, list(counts), ago), nil
	}
	return ok("the host name %s is %s, %s", quote(name), list(counts), ago), nil
}

func list(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return some(texts)
}
