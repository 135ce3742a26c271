package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// rule is one rule of a chain, as `iptables -S` or nf_tables shows it.
type rule struct {
	source   target.Target // the address or network that it matches, when that is all that it asks for
	set      string        // the set whose members it matches by source, when that is all
	always   bool          // it matches every packet
	loopback bool          // it matches packets of the interface lo only
	target   string        // what it does with them: DROP, ACCEPT, the name of a chain; "" for nothing
	leaves   bool          // it goes to the chain for good (-g)

	packets, bytes uint64
	spec           []string // what follows the name of the chain, without counters
}

// anySet is the set of a rule that names it by a number (nf_tables).
const anySet = "*"

// anyVerdict is the target of a rule that takes it from a map (nf_tables).
const anyVerdict = "vmap"

func (r rule) drops() bool { return r.target == "DROP" || r.target == "REJECT" }

// blocks reports whether r blocks one address, or a network as it is blocked here.
func (r rule) blocks() bool { return r.source.IsValid() && r.drops() }

// isJump reports whether r leads every packet to that chain.
func (r rule) isJump(chain string) bool { return r.always && r.target == chain && !r.leaves }

// onSet reports whether r decides about the members of that set.
func (r rule) onSet(name string) bool { return r.set != "" && (r.set == name || r.set == anySet) }

// passes reports whether r ends the way of every packet through the chain.
func (r rule) passes() bool {
	return r.always && (r.target == "ACCEPT" || r.target == "RETURN" || r.leaves)
}

// chains are the chains of a table.
type chains map[string][]rule

func (c chains) look(chain string) ([]rule, bool) {
	rules, exists := c[chain]
	return rules, exists
}

// look returns the rules of a chain in order, and whether there is one of that name.
type look func(chain string) ([]rule, bool)

// harmless are the targets after which a packet is dropped, or goes on to the next rule.
var harmless = []string{
	"DROP", "REJECT", "TARPIT", "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "SECMARK", "CONNSECMARK",
	"SET", "TRACE", "AUDIT", "CT", "NOTRACK", "TCPMSS", "DSCP", "TOS", "TTL", "HL", "ECN", "RATEEST",
	"CLASSIFY", "IDLETIMER", "LED", "CHECKSUM", "TCPOPTSTRIP", "TEE",
}

// mayAccept reports whether a packet that comes to r may be accepted by it, or by what r leads
// to. A RETURN matters in the first chain only (depth 0): there it ends the way, too.
func (l look) mayAccept(r rule, depth int) bool {
	const deepest = 16
	switch {
	case r.loopback, r.target == "", slices.Contains(harmless, r.target):
		return false
	case r.target == "RETURN":
		return depth == 0
	case r.target == "ACCEPT", r.leaves, depth == deepest:
		return true
	}
	rules, exists := l(r.target)
	return !exists || slices.ContainsFunc(rules, func(r rule) bool { return l.mayAccept(r, depth+1) })
}

// bypass returns why packets that enter a chain may not come to ours, "" when all do.
func (l look) bypass(chain string) string {
	rules, _ := l(chain)
	at := slices.IndexFunc(rules, func(r rule) bool { return r.isJump(Chain) })
	if at < 0 {
		return chain + " does not jump to " + Chain
	}
	before := slices.IndexFunc(rules[:at], func(r rule) bool { return l.mayAccept(r, 0) })
	if before < 0 {
		return ""
	}
	return fmt.Sprintf("the jump in %s stands behind rule %d, which accepts", chain, before+1)
}

// forwardEntry returns the chain where the jump for forwarded packets belongs: Docker's own,
// if FORWARD leads there before anything accepts. It does not where somebody flushed it, or
// Docker is gone.
func (l look) forwardEntry() string {
	rules, _ := l(forwardChain)
	for _, r := range rules {
		if r.isJump(dockerUserChain) {
			return dockerUserChain
		}
		if l.mayAccept(r, 0) {
			break
		}
	}
	return forwardChain
}

// gaps are what lets packets by, of the rules of a chain before one.
type gaps struct {
	all  int   // the position of the first that is not about one address or network only, -1 for none
	some []gap // of the others before that
}

type gap struct {
	source target.Target
	at     int // the position
}

// of returns the position of a rule by which packets of t may get past, -1 for none. The zero Target is
// anybody that no rule is about.
func (g gaps) of(t target.Target) int {
	for _, gap := range g.some {
		if gap.source.Prefix().Overlaps(t.Prefix()) {
			return gap.at
		}
	}
	return g.all
}

// see adds the rule at a position.
func (g *gaps) see(l look, r rule, at int) {
	switch {
	case g.all >= 0 || !l.mayAccept(r, 0):
	case r.source.IsValid():
		g.some = append(g.some, gap{r.source, at})
	default:
		g.all = at
	}
}

// ahead returns, for each of the rules of our chain, the position of one before it by which its
// packets may get past, -1 for none.
func (l look) ahead(rules []rule) []int {
	at := make([]int, len(rules))
	before := gaps{all: -1}
	for i, r := range rules {
		at[i] = before.of(r.source)
		before.see(l, r, i)
	}
	return at
}

// setRule reports whether rules, those of a chain, drop a set by the target, "" for any, ahead of what may
// accept any of its members, and returns what may accept some.
func (l look) setRule(rules []rule, set, target string) (before gaps, drops bool) {
	before = gaps{all: -1}
	for i, r := range rules {
		if r.onSet(set) && (r.target == target || target == "" && r.drops()) {
			return before, before.all < 0
		}
		before.see(l, r, i)
	}
	return before, false
}

// parseChains reads what `iptables -v -S` prints: -P or -N for each chain, -A for each rule in
// the order in which they are asked. An error means that it is something else.
func parseChains(text string) (chains, error) {
	c := chains{}
	for line := range strings.Lines(text) {
		words := splitWords(line)
		if len(words) < 2 || !strings.HasPrefix(words[0], "-") {
			continue // a warning
		}
		switch name := words[1]; words[0] {
		case "-P", "-N":
			c[name] = nil
		case "-A":
			r, err := parseRule(words[2:])
			if err != nil {
				return nil, fmt.Errorf("reading rule %q: %w", line, err)
			}
			c[name] = append(c[name], r)
		}
	}
	return c, nil
}

// parseRule reads the words after `-A CHAIN`: matches, then counters, then the target, whose
// options follow it.
func parseRule(words []string) (rule, error) {
	var r rule
	var match []string
	for i := 0; i < len(words); i++ {
		rest := words[i:]
		switch {
		case rest[0] == "-c" && len(rest) > 2:
			var err error
			if r.packets, err = strconv.ParseUint(rest[1], 10, 64); err != nil {
				return r, err
			}
			if r.bytes, err = strconv.ParseUint(rest[2], 10, 64); err != nil {
				return r, err
			}
			i += 2
			continue
		case (rest[0] == "-j" || rest[0] == "-g") && len(rest) > 1 && r.target == "":
			r.target, r.leaves = rest[1], rest[0] == "-g"
		case len(rest) > 3 && rest[0] == "-m" && rest[1] == "comment":
			r.spec = append(r.spec, rest[:4]...) // -m comment --comment TEXT asks for nothing
			i += 3
			continue
		case r.target == "":
			match = append(match, rest[0])
		}
		r.spec = append(r.spec, rest[0])
	}
	r.understand(match)
	return r, nil
}

// understand finds out what the matches ask for, as far as it matters here.
func (r *rule) understand(match []string) {
	r.always = len(match) == 0
	if i := slices.Index(match, "-i"); i >= 0 && i+1 < len(match) {
		r.loopback = match[i+1] == "lo" && (i == 0 || match[i-1] != "!")
	}
	switch {
	case len(match) == 2 && match[0] == "-s":
		if prefix, err := netip.ParsePrefix(match[1]); err == nil {
			r.setSource(prefix)
		}
	case len(match) == 5 && match[1] == "set" && match[2] == "--match-set" && match[4] == "src":
		r.set = match[3]
	}
}

// setSource notes what a rule matches when it is what may be blocked.
func (r *rule) setSource(network netip.Prefix) {
	if network.IsSingleIP() || network.Addr().Is6() && slices.Contains(config.NetworkBits, network.Bits()) {
		r.source = target.Network(network)
	}
}

// splitWords splits at blanks that stand in no quotes.
func splitWords(line string) []string {
	var words []string
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
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// joinWords is the reverse of splitWords, for iptables-restore.
func joinWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		if quoted[i] = word; word == "" || strings.ContainsAny(word, " \t\"'\\") {
			quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
		}
	}
	return strings.Join(quoted, " ")
}
