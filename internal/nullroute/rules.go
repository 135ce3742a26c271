package nullroute

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// rulesPast returns the rules that send some packets to other tables before the main one is
// asked, where our routes are.
func rulesPast(s *netlink.Socket, v6 bool) ([]netlink.Rule, error) {
	rules, err := s.Rules(netlink.Family(v6))
	main := slices.IndexFunc(rules, func(r netlink.Rule) bool {
		return r.Always && r.Table == unix.RT_TABLE_MAIN
	})
	if main >= 0 {
		rules = rules[:main]
	}
	return slices.DeleteFunc(rules, func(r netlink.Rule) bool { return !r.Elsewhere() }), err
}

// waysPast returns from which addresses of this host packets to a blocked one still have a
// way, as on a host with two uplinks: `ip rule add from ADDRESS lookup TABLE`. Hosts without
// such a rule pay for one question.
func waysPast(s *netlink.Socket, addr target.Target) (notes []string) {
	rules, err := rulesPast(s, addr.Is6())
	if err != nil {
		return nil // the block stands; `check` says so
	}
	rules = slices.DeleteFunc(rules, func(r netlink.Rule) bool { return !r.From.IsValid() })
	if len(rules) == 0 {
		return nil
	}
	var sources []netip.Addr
	var requests []*nl.NetlinkRequest
	err = s.Addresses(int(netlink.Family(addr.Is6())), func(own netip.Prefix) {
		source := own.Addr()
		leads := func(r netlink.Rule) bool { return r.From.Contains(source) }
		if len(sources) < lookUpAtOnce && slices.ContainsFunc(rules, leads) {
			sources, requests = append(sources, source), append(requests, lookupFrom(source, addr))
		}
	})
	if err != nil {
		return nil
	}
	answers, err := s.Ask(requests...)
	if err != nil {
		return nil
	}
	for i, source := range sources {
		if !dropped(answers[i]) {
			notes = append(notes, fmt.Sprintf("packets from %s to %s still have a way, look at `ip rule`; "+
				"firewall-drop has no such gap", source, addr))
		}
	}
	return notes
}

// inspectRules names the rules by which packets may pass by our routes.
func inspectRules(s *netlink.Socket) (found []enforcer.Finding) {
	for _, v6 := range []bool{false, true} {
		rules, err := rulesPast(s, v6)
		if err != nil {
			found = append(found, enforcer.Finding{
				What: "routing rules", Verdict: enforcer.Fault, Found: err.Error(),
				Mend: "run it as root, on a kernel with rtnetlink",
			})
		}
		if len(rules) == 0 {
			continue
		}
		var named []string
		for _, r := range rules {
			named = append(named, fmt.Sprint(r.Priority))
		}
		command := "ip rule"
		if v6 {
			command = "ip -6 rule"
		}
		found = append(found, enforcer.Finding{
			What: "routing rules", Verdict: enforcer.Warn, Mend: "use firewall-drop on this host",
			Found: fmt.Sprintf("what `%s` sends to other tables before the main one passes by the routes: rule %s",
				command, strings.Join(named, ", ")),
		})
	}
	return found
}
