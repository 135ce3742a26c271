package stats

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Filter selects the lines that count. Of one list any may match; an empty list wants all.
type Filter struct {
	Responses []string       `json:"responses"` // base names, with or without ".sh"
	Rules     []string       `json:"rules"`     // ids
	Networks  []netip.Prefix `json:"networks"`
	Agents    []string       `json:"agents"` // names, for the fleet
}

// wantsResponse compares without ".sh", since one program has both names.
func (f *Filter) wantsResponse(name string) bool {
	return len(f.Responses) == 0 || slices.ContainsFunc(f.Responses, func(want string) bool {
		return strings.TrimSuffix(want, ".sh") == strings.TrimSuffix(name, ".sh")
	})
}

func (f *Filter) wantsRule(id string) bool {
	return len(f.Rules) == 0 || slices.Contains(f.Rules, cmp.Or(id, NoRule))
}

func (f *Filter) wantsAddr(addr netip.Addr) bool {
	return len(f.Networks) == 0 || slices.ContainsFunc(f.Networks,
		func(n netip.Prefix) bool { return n.Contains(addr) })
}

func (f *Filter) wantsAgent(name string) bool {
	return len(f.Agents) == 0 || slices.Contains(f.Agents, name)
}

// String returns the filter in words, "" for none.
func (f *Filter) String() string {
	var parts []string
	add := func(what string, values []string) {
		if len(values) > 0 {
			parts = append(parts, what+" "+strings.Join(values, " or "))
		}
	}
	var networks []string
	for _, n := range f.Networks {
		networks = append(networks, networkText(n))
	}
	add("response", f.Responses)
	add("rule", f.Rules)
	add("address", networks)
	add("agent", f.Agents)
	return strings.Join(parts, ", ")
}

// networkText writes a network of one address as that address.
func networkText(n netip.Prefix) string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.String()
}

// ParseNetworks reads addresses and networks.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	var errs []error
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			addr = addr.Unmap().WithZone("")
			networks = append(networks, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		n, err := netip.ParsePrefix(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q is neither an address nor a network such as 203.0.113.0/24",
				text))
			continue
		}
		if n.Addr().Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
		networks = append(networks, n.Masked())
	}
	return networks, errors.Join(errs...)
}
