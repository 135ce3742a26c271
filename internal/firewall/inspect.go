package firewall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// Inspect says whether all that blocks rest on stands: the programs of both families, the
// chain, the jumps to it and what stands before them, the sets, the table of our own. What
// the first block will make is no fault while there is none. It changes nothing; what is
// looked at is in the kernel and not below the root that is given.
func (e *Firewall) Inspect(ctx context.Context, _ string) []enforcer.Finding {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	var found []enforcer.Finding
	table := e.opts.Backend == NFTables
	for _, v6 := range []bool{false, true} {
		if v6 && !e.kernelHasIPv6() {
			continue
		}
		f, err := e.family(v6)
		switch {
		case e.opts.Backend == NFTables:
		case e.standsInForIPTables(err):
			table = true
		case err != nil:
			found = append(found, noProgram(v6, err))
		default:
			found = append(found, f.inspect(ctx)...)
		}
		found = append(found, f.inspectStrays(ctx)...)
	}
	if table {
		found = append(found, e.inspectTable(ctx))
	}
	return found
}

func (e *Firewall) kernelHasIPv6() bool {
	_, err := os.Stat(filepath.Join(e.opts.Proc, "net/if_inet6"))
	return err == nil
}

func noProgram(v6 bool, err error) enforcer.Finding {
	f := enforcer.Finding{What: "iptables", Verdict: enforcer.Fault, Mend: "install iptables with the system's package manager", Found: err.Error()}
	if v6 {
		f.What = "ip6tables"
		if errors.Is(err, exec.ErrNotFound) {
			f.Found = "ip6tables is not installed, and the host has IPv6: attackers that come by it are not blocked"
		}
	}
	return f
}

// inspect looks over one family.
func (f family) inspect(ctx context.Context) []enforcer.Finding {
	name := filepath.Base(f.program)
	out, err := exec.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-S")
	if err != nil {
		mend := "load the kernel's modules: modprobe iptable_filter, or nf_tables"
		if os.Geteuid() != 0 {
			mend = "run it as root"
		}
		return []enforcer.Finding{{What: name, Verdict: enforcer.Fault, Found: err.Error(), Mend: mend}}
	}
	chains := readChains(string(out))
	rules, exists := chains[Chain]
	if !exists {
		found := []enforcer.Finding{{What: name, Verdict: enforcer.OK, Found: "no chain " + Chain + " yet: the first block makes it"}}
		return append(found, f.inspectSet(ctx, rules)...)
	}
	found := []enforcer.Finding{f.inspectChain(rules)}
	into := f.entries()
	if last := len(into) - 1; into[last] == forwardChain && slices.ContainsFunc(chains[forwardChain], chainRule.leadsToDocker) {
		into[last] = dockerUserChain
	}
	byRules := slices.ContainsFunc(rules, func(r chainRule) bool { return slices.Contains(r.match, "-s") })
	bySet := slices.ContainsFunc(rules, func(r chainRule) bool { return r.dropsSet(setName(f.v6)) })
	if f.opts.Backend == Auto && bySet {
		byRules = false // they only show what the set holds
	}
	var match []string
	if bySet && !byRules {
		match = f.bySet()
	}
	for _, chain := range into {
		found = append(found, f.inspectJump(chain, chains[chain], match, byRules))
	}
	return append(found, f.inspectSet(ctx, rules)...)
}

// inspectChain looks for a rule in our chain that lets everybody through.
func (f family) inspectChain(rules []chainRule) enforcer.Finding {
	name := filepath.Base(f.program)
	finding := enforcer.Finding{What: name + " chain", Verdict: enforcer.OK}
	blocks := 0
	for i, r := range rules {
		if len(r.match) == 0 && r.passes() {
			finding.Verdict = enforcer.Fault
			finding.Found = fmt.Sprintf("rule %d of chain %s lets everybody through: -j %s", i+1, Chain, r.target)
			finding.Mend = fmt.Sprintf("%s -D %s %d", name, Chain, i+1)
			return finding
		}
		if len(r.match) > 0 && r.match[0] == "-s" {
			blocks++
		}
	}
	finding.Found = fmt.Sprintf("chain %s has %d rules on addresses", Chain, blocks)
	return finding
}

// inspectJump looks for the jump in a chain, and for what decides before it. byRules
// tells that it takes rules to block, for which the jump must be without a match; match is
// that of the jump that should be there.
func (f family) inspectJump(chain string, rules []chainRule, match []string, byRules bool) enforcer.Finding {
	name := filepath.Base(f.program)
	finding := enforcer.Finding{What: name + " jump", Verdict: enforcer.OK, Found: chain + " jumps to " + Chain + " before all else"}
	at := slices.IndexFunc(rules, func(r chainRule) bool { return r.target == Chain && (len(r.match) == 0 || !byRules) })
	if at < 0 {
		finding.Verdict = enforcer.Fault
		finding.Found = fmt.Sprintf("chain %s does not jump to %s: nobody is blocked there before the next block makes the jump again", chain, Chain)
		finding.Mend = strings.Join(slices.Concat([]string{name, "-I", chain}, match, []string{"-j", Chain}), " ")
		return finding
	}
	jump := strings.Join(slices.Concat([]string{chain}, rules[at].match, []string{"-j", Chain}), " ")
	mend := name + " -D " + jump + " && " + name + " -I " + jump
	for i, r := range rules[:at] {
		if !r.passes() || slices.Equal(r.match, []string{"-i", "lo"}) {
			continue
		}
		if len(r.match) == 0 {
			return enforcer.Finding{What: finding.What, Verdict: enforcer.Fault, Mend: mend,
				Found: fmt.Sprintf("rule %d of chain %s, before the jump to %s, lets everybody through: -j %s", i+1, chain, Chain, r.target)}
		}
		if finding.Verdict == enforcer.OK {
			finding.Verdict, finding.Mend = enforcer.Warn, mend
			finding.Found = fmt.Sprintf("rule %d of chain %s, before the jump to %s, lets some packets through, of the blocked too: %s -j %s",
				i+1, chain, Chain, strings.Join(r.match, " "), r.target)
		}
	}
	if finding.Verdict == enforcer.OK && at > 0 {
		finding.Found = fmt.Sprintf("chain %s jumps to %s, and the %d rules before let nobody through", chain, Chain, at)
	}
	return finding
}

// inspectSet looks whether the set, where there is one, has room and is dropped.
func (f family) inspectSet(ctx context.Context, rules []chainRule) []enforcer.Finding {
	if !f.looksEverywhere(f) {
		return nil
	}
	set := setOf(f.v6)
	finding := enforcer.Finding{What: "set " + set.name, Verdict: enforcer.Fault}
	c, err := dial(ctx)
	if err != nil {
		finding.Found, finding.Mend = err.Error(), "run it as root"
		return []enforcer.Finding{finding}
	}
	defer c.close()
	h, err := set.header(c)
	switch {
	case err != nil && f.opts.Backend == IPSet:
		finding.Found, finding.Mend = err.Error(), "load the kernel's module: modprobe ip_set_hash_ip"
	case err != nil || h == nil && f.opts.Backend != IPSet:
		return nil // with Auto all become rules then
	case h == nil:
		finding.Verdict, finding.Found = enforcer.OK, "there is none yet: the first block makes it"
	case h.foreign != "":
		finding.Found = "it is somebody else's: " + h.foreign
		finding.Mend = "ipset destroy " + set.name + ", after what refers to it"
		if f.opts.Backend != IPSet {
			finding.Verdict = enforcer.Warn // all become rules
		}
	case h.members >= f.opts.MaxAddresses:
		finding.Found = fmt.Sprintf("it is full: it has %d members", h.members)
		finding.Mend = "raise max_addresses in [firewall] of etc/active-response.toml"
	case h.members > 0 && !slices.ContainsFunc(rules, func(r chainRule) bool { return r.dropsSet(set.name) }):
		name := filepath.Base(f.program)
		finding.Found = fmt.Sprintf("it has %d members, but chain %s has no rule that drops them", h.members, Chain)
		finding.Mend = fmt.Sprintf("%s -N %s; %s -I %s %s", name, Chain, name, Chain, strings.Join(f.dropsSet(f.opts.Target), " "))
	default:
		finding.Verdict = enforcer.OK
		finding.Found = fmt.Sprintf("it has %d members and room for %d", h.members, max(h.size, f.opts.MaxAddresses))
	}
	return []enforcer.Finding{finding}
}

// inspectTable looks over the table of our own in nf_tables.
func (e *Firewall) inspectTable(ctx context.Context) enforcer.Finding {
	finding := enforcer.Finding{What: "table inet " + nftTableName, Verdict: enforcer.Fault}
	c, err := dial(ctx)
	if err != nil {
		finding.Found, finding.Mend = err.Error(), "run it as root"
		return finding
	}
	defer c.close()
	const mend = "nft delete table inet " + nftTableName + ", then firewall-drop restore"
	all, err := ourTable().addresses(c)
	if err != nil {
		finding.Found, finding.Mend = err.Error(), "run it as root, on a kernel with nf_tables: modprobe nf_tables"
		return finding
	}
	for _, v6 := range []bool{false, true} {
		_, setErr := ourTable().hasSet(c, v6)
		err = cmp.Or(err, setErr)
	}
	if err = cmp.Or(err, e.foreignChain(c)); errors.Is(err, errForeign) {
		finding.Found, finding.Mend = err.Error(), mend
		return finding
	}
	stands, err := e.tableStands(c)
	dormant, _ := ourTable().dormant(c)
	switch {
	case err == nil && stands:
		finding.Verdict, finding.Found = enforcer.OK, fmt.Sprintf("it stands, with %d addresses", len(all))
	case len(all) == 0 && absentIsFine(err) == nil:
		finding.Verdict, finding.Found = enforcer.OK, "it is not there yet, or not whole: the first block makes it"
	default:
		finding.Found, finding.Mend = fmt.Sprintf("it has %d addresses, but its chains do not drop them", len(all)), mend
		if dormant {
			finding.Found += ": it is dormant"
		}
	}
	return finding
}

// chainRule is a rule as `iptables -S` shows it.
type chainRule struct {
	match  []string // without counters and comments
	target string
}

// leadsToDocker tells that all packets jump to Docker's chain.
func (r chainRule) leadsToDocker() bool { return r.target == dockerUserChain && len(r.match) == 0 }

// dropsSet tells that it blocks the members of that set.
func (r chainRule) dropsSet(name string) bool {
	return (r.target == "DROP" || r.target == "REJECT") && slices.Contains(r.match, name)
}

// passes tells that a packet that the rule matches gets by our chain.
func (r chainRule) passes() bool { return r.target == "ACCEPT" || r.target == "RETURN" }

// readChains reads what `iptables -S` prints: -P and -N for each chain, -A for each rule,
// in the order in which they are asked.
func readChains(text string) map[string][]chainRule {
	chains := map[string][]chainRule{}
	for line := range strings.Lines(text) {
		words := quotedFields(line)
		if len(words) < 2 {
			continue
		}
		if _, seen := chains[words[1]]; !seen {
			chains[words[1]] = nil
		}
		if words[0] != "-A" {
			continue
		}
		var r chainRule
		for i := 2; i < len(words); i++ {
			switch rest := words[i:]; {
			case rest[0] == "-c" && len(rest) > 2:
				i += 2
			case len(rest) > 3 && rest[0] == "-m" && rest[1] == "comment":
				i += 3
			case (rest[0] == "-j" || rest[0] == "-g") && len(rest) > 1 && r.target == "":
				r.target = rest[1]
				i++
			case r.target == "": // what follows the target is its own
				r.match = append(r.match, rest[0])
			}
		}
		chains[words[1]] = append(chains[words[1]], r)
	}
	return chains
}

// quotedFields splits at blanks that stand in no quotes.
func quotedFields(line string) []string {
	var fields []string
	var word strings.Builder
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, inWord = !quoted, true
		case !quoted && (c == ' ' || c == '\n' || c == '\t'):
			if inWord {
				fields = append(fields, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		fields = append(fields, word.String())
	}
	return fields
}
